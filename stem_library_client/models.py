"""The API's records; made from its document by `python -m tests.client_models`, never by hand."""

# ruff: noqa

from datetime import date
from enum import StrEnum
from typing import Any, Literal

from pydantic import AwareDatetime
from typing_extensions import TypeAliasType

from stem_library_client.model import Model


class AnalysisStatus(StrEnum):
    """How far the analysis of an audio file is."""

    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    REJECTED = "Rejected"


class BpmBin(Model):
    """Stems whose tempo lies in `from_bpm <= bpm < to_bpm`."""

    from_bpm: int
    to_bpm: int
    stems: int


class ClaimRequest(Model):
    """Body of POST /api/jobs/{id}/claim."""

    attempt: int
    """
    The attempt that the queue message announced
    """
    worker_id: str


class Confidence(Model):
    """How sure the analysis is, from 0 (guess) to 1."""

    bpm: float | None = None
    key: float | None = None
    time_signature: float | None = None
    tuning: float | None = None


class Kind(StrEnum):
    """permanent: the file can't be taken; transient: try again later; released: the worker stops and gives the message and the attempt back"""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    RELEASED = "released"


class Failure(Model):
    """Body of POST /api/jobs/{id}/fail."""

    attempt: int
    worker_id: str
    error: str
    """
    A sentence that a musician understands
    """
    kind: Kind
    """
    permanent: the file can't be taken; transient: try again later; released: the worker stops and gives the message and the attempt back
    """


class FieldProblem(Model):
    """What is wrong with one field."""

    field: str
    """
    Wire name, dotted where nested; `body` or `query` for the whole
    """
    message: str


class GrowthDay(Model):
    """What came on a day (UTC) and is still there."""

    day: date
    songs: int
    stems: int


class Status(StrEnum):
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Health(Model):
    """The app, and what it depends on."""

    status: Status
    dependencies: dict[str, str]
    """
    `healthy`, or what is wrong, by dependency
    """


class Heartbeat(Model):
    """Body of POST /api/jobs/{id}/heartbeat."""

    attempt: int
    worker_id: str
    step: str | None = None
    progress: int | None = None
    checkpoints: dict[str, str] = {}
    """
    What the attempt finished since the last beat
    """


class JobDay(Model):
    """What happened to jobs on a day (UTC)."""

    day: date
    completed: int
    failed: int
    cancelled: int
    completed_deleted: int
    purged: int


class JobStats(Model):
    """Live jobs by status, and the last days, newest first."""

    by_status: dict["JobStatus", int]
    average_completion_seconds: float | None
    p95_completion_seconds: float | None
    days: list[JobDay]


class JobStatus(StrEnum):
    """Where a job stands."""

    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    STALE = "Stale"
    RETRYING = "Retrying"


class JobSummary(Model):
    """A job as lists show it: written at changes of state, so it lacks step and progress."""

    id: str
    type: Literal["Analysis"] = "Analysis"
    audio_file_id: str
    status: JobStatus
    attempt: int
    error_message: str | None = None
    created_at: AwareDatetime
    completed_at: AwareDatetime | None = None


class JobView(Model):
    """A job as users see it."""

    id: str
    type: Literal["Analysis"] = "Analysis"
    audio_file_id: str
    analysis_version: int
    status: JobStatus = JobStatus.PENDING
    attempt: int = 0
    """
    Fencing token: raised by every claim
    """
    retries: int = 0
    """
    Attempts that ended by a passing fault
    """
    max_retries: int = 3
    current_step: str | None = None
    progress: int = 0
    not_before: AwareDatetime | None = None
    """
    When the next attempt may begin
    """
    worker_id: str | None = None
    last_heartbeat: AwareDatetime | None = None
    """
    By the server's clock
    """
    error_message: str | None = None
    file_at_fault: bool = False
    """
    Failed because the file can't be taken, not by a fault of ours
    """
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None
    delete_after: AwareDatetime | None = None
    metadata: dict[str, Any] = {}


class KeyRegion(Model):
    """A stretch of a song in one key; times in seconds."""

    start: float
    end: float
    key: str
    confidence: float | None = None


class Lease(Model):
    """What the worker needs to know after a heartbeat."""

    status: JobStatus
    attempt: int
    progress: int


class LibraryStats(Model):
    """The whole library; stems are those of each song's present analysis."""

    songs: int
    songs_by_status: dict[AnalysisStatus, int]
    stems: int
    stems_by_type: dict["StemType", int]
    stems_by_key: dict[str, int]
    stems_by_status: dict["StemAnalysisStatus", int]
    bpm_histogram: list[BpmBin]
    stem_seconds: float
    stem_bytes: int
    growth: list[GrowthDay]


Notation = TypeAliasType("Notation", list[Any] | dict[str, Any])
"""
The transcription of a stem: `notes`, and what the worker says besides.
"""


class Problem(Model):
    """What is wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    """
    The path of the request
    """
    errors: list[FieldProblem] | None = None
    """
    The fields at fault
    """


class Purged(Model):
    """How many jobs a purge deleted."""

    purged: int


class ReanalysisReport(Model):
    """What a call started, and whether there is more to do."""

    started: int
    """
    Jobs of songs that the library held by an older version
    """
    failed: int = 0
    """
    Songs whose job could not be started; the log says why
    """
    waiting: int
    """
    Jobs that no worker has taken yet, those included
    """
    done: bool
    """
    Whether no other song is left; false where the bound left no room to look
    """


class RepairReport(Model):
    """What one step looked at, and what it had to correct."""

    checked: int = 0
    records: int = 0
    counts: int = 0
    sums: int = 0
    projections: int = 0
    busy: int = 0


class Sort(StrEnum):
    """Orders of a stem search."""

    BPM = "bpm"
    KEY = "key"
    CREATED_AT = "createdAt"


class StemAnalysis(Model):
    """What lies along a stem's time, as native JSON; null where there is none."""

    chord_progression: list[Any] | dict[str, Any] | None
    """
    `[{start, end, chord, confidence}]`, chords as in Harte
    """
    beats: list[Any] | dict[str, Any] | None
    """
    `[{time, position}]`, seconds and place in the bar from 1
    """
    sections: list[Any] | dict[str, Any] | None
    """
    `[{start, end, label, confidence}]`
    """
    notation_data: list[Any] | dict[str, Any] | None
    """
    `{notes: [{onset, offset, pitch | drum, velocity, confidence}], midiUri, musicXmlUri}`, pitches are MIDI's; the files are had at `/api/stems/{id}/notation?format=`
    """
    active_regions: list[Any] | dict[str, Any] | None
    """
    `[{start, end}]`, when the stem sounds
    """


class StemAnalysisStatus(StrEnum):
    """How far the analysis of a stem is."""

    PENDING = "Pending"
    PROCESSING = "Processing"
    COMPLETED = "Completed"
    FAILED = "Failed"


class StemType(StrEnum):
    """The four sources that Demucs separates."""

    DRUMS = "Drums"
    BASS = "Bass"
    VOCALS = "Vocals"
    OTHER = "Other"


class StemWrite(Model):
    """Body of POST /api/stems: what is said of one stem; what is not said is null."""

    chord_progression: str | list[Any] | dict[str, Any] | None = None
    beats: str | list[Any] | dict[str, Any] | None = None
    sections: str | list[Any] | dict[str, Any] | None = None
    notation_data: str | list[Any] | dict[str, Any] | None = None
    active_regions: str | list[Any] | dict[str, Any] | None = None
    """
    When the stem sounds: start and end
    """
    bpm: float | None = None
    key: str | None = None
    camelot: str | None = None
    """
    Follows from `key`; refused if it says another
    """
    time_signature: str | None = None
    tuning: float | None = None
    beat_tracker: str | None = None
    """
    What found the beats, and so tempo and bars: `pulse readings`, or a network's name and weights digest, as in `beat_this-final0@1a2b3c4d`
    """
    confidence: Confidence | None = None
    rms_level: float | None = None
    """
    dBFS
    """
    peak_level: float | None = None
    """
    Sample peak, dBFS
    """
    loudness_lufs: float | None = None
    """
    Integrated loudness, ITU-R BS.1770-4
    """
    spectral_centroid: float | None = None
    """
    Hz, mean over sounding frames
    """
    spectral_bandwidth: float | None = None
    """
    Hz, mean over sounding frames
    """
    spectral_rolloff: float | None = None
    """
    Hz (85 %), mean over sounding frames
    """
    zero_crossing_rate: float | None = None
    """
    Crossings per sample, sounding frames
    """
    dynamic_range: float | None = None
    """
    dB between the 95th and 10th frame RMS
    """
    onset_rate: float | None = None
    """
    Onsets per second
    """
    silence_ratio: float | None = None
    """
    Share of frames below -60 dBFS
    """
    true_peak_level: float | None = None
    """
    dBTP, ITU-R BS.1770-4 annex 2
    """
    crest_factor: float | None = None
    """
    dB from RMS to sample peak
    """
    spectral_flatness: float | None = None
    """
    0 tones to 1 noise, sounding frames
    """
    spectral_contrast: float | None = None
    """
    dB, mean over octaves, sounding frames
    """
    stereo_width: float | None = None
    """
    Side's share of energy; 0.5 unrelated channels
    """
    clipping_count: int | None = None
    """
    Runs at full scale
    """
    leakage: dict[StemType, float] | None = None
    """
    |Correlation| with the other stems
    """
    unmeasured: dict[str, str] = {}
    """
    For values that are null: why
    """
    similarity: list[float] | None = None
    """
    The dot product of two stems' vectors, of 3, says how alike they are
    """
    audio_file_id: str
    type: StemType
    blob_uri: str
    duration_seconds: float | None = None
    file_size_bytes: int | None = None
    sample_rate: int | None = None
    channels: int | None = None
    separated_at: AwareDatetime | None = None
    separation_model: str | None = None
    """
    Name and weights digest, as in `htdemucs@955717e8`
    """
    analysis_version: int = 3
    analysis_status: StemAnalysisStatus = StemAnalysisStatus.COMPLETED
    analysis_error: str | None = None
    analysed_at: AwareDatetime | None = None
    job_id: str | None = None
    """
    With `attempt`: refused unless this attempt still runs
    """
    attempt: int | None = None


class SweepReport(Model):
    """How many records a run changed."""

    rescued: int = 0
    settled: int = 0
    announced: int = 0
    uploads_found: int = 0
    deletions_finished: int = 0
    indexed: int = 0


class TempoReading(Model):
    """Another tempo that the pulse may be read in, as a rule half or double."""

    bpm: float
    weight: float
    """
    Among all readings
    """


class Upload(Model):
    """Where to PUT the song, with the header `x-ms-blob-type: BlockBlob`."""

    audio_file_id: str
    upload_url: str
    """
    May create and write this one blob, until it expires
    """
    expires_at: AwareDatetime


class UploadRequest(Model):
    """A song that is to be uploaded."""

    file_name: str
    """
    A plain file name, without folders
    """
    content_type: str | None = None
    size_bytes: int


class AudioFile(Model):
    """An uploaded song."""

    bpm: float | None = None
    key: str | None = None
    time_signature: str | None = None
    tuning: float | None = None
    beat_tracker: str | None = None
    """
    What found the beats, and so tempo and bars: `pulse readings`, or a network's name and weights digest, as in `beat_this-final0@1a2b3c4d`
    """
    alternative_bpm: TempoReading | None = None
    """
    The next likely tempo
    """
    swing_ratio: float | None = None
    """
    Length of a beat's first eighth over that of its second; 1 is straight
    """
    key_regions: list[KeyRegion] | None = None
    """
    The keys that the song passes through, in order
    """
    id: str
    name: str
    blob_uri: str
    content_type: str | None = None
    size_bytes: int
    etag: str
    content_hash: str | None = None
    """
    SHA-256 of the bytes, measured by the worker
    """
    duration_seconds: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    artwork_uri: str | None = None
    """
    The picture of the file's tags
    """
    created_at: AwareDatetime
    """
    When the first version of the file came
    """
    uploaded_at: AwareDatetime
    """
    When the present version of the file came
    """
    analysis_status: AnalysisStatus = AnalysisStatus.PENDING
    analysis_version: int | None = None
    """
    Version of the analysis that the record holds
    """
    error: str | None = None
    job_id: str | None = None
    """
    The latest job of this file; it may be deleted already
    """


class Job(Model):
    """One analysis of one version of an audio file, with what only the worker and the app need to know."""

    id: str
    type: Literal["Analysis"] = "Analysis"
    audio_file_id: str
    analysis_version: int
    status: JobStatus = JobStatus.PENDING
    attempt: int = 0
    """
    Fencing token: raised by every claim
    """
    retries: int = 0
    """
    Attempts that ended by a passing fault
    """
    max_retries: int = 3
    current_step: str | None = None
    progress: int = 0
    not_before: AwareDatetime | None = None
    """
    When the next attempt may begin
    """
    worker_id: str | None = None
    last_heartbeat: AwareDatetime | None = None
    """
    By the server's clock
    """
    error_message: str | None = None
    file_at_fault: bool = False
    """
    Failed because the file can't be taken, not by a fault of ours
    """
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None
    delete_after: AwareDatetime | None = None
    metadata: dict[str, Any] = {}
    blob_name: str
    etag: str
    """
    The blob's version that this job analyses
    """
    idempotency_key: str
    queued_attempt: int = 1
    """
    Attempt that the newest message announces
    """
    message_seen_at: AwareDatetime | None = None
    """
    When the newest message was last known to exist, or when it is due
    """
    checkpoints: dict[str, str] = {}
    """
    What an attempt finished, for the next one
    """
    known_content_hash: str | None = None
    """
    SHA-256 of what the library holds by this analysis: the same bytes end the job
    """
    result: dict[str, Any] | None = None
    """
    What the worker said at completion
    """
    waiting_since: AwareDatetime | None = None
    """
    Since when, or from when on, it waits for a worker
    """
    traceparent: str | None = None
    """
    The trace that every attempt belongs to (W3C)
    """
    unsettled_since: AwareDatetime | None = None
    """
    Set by a change of state until all that follows from it is written
    """


class SongMusic(Model):
    """The song-level result that an AudioFile carries."""

    bpm: float | None = None
    key: str | None = None
    time_signature: str | None = None
    tuning: float | None = None
    beat_tracker: str | None = None
    """
    What found the beats, and so tempo and bars: `pulse readings`, or a network's name and weights digest, as in `beat_this-final0@1a2b3c4d`
    """
    alternative_bpm: TempoReading | None = None
    """
    The next likely tempo
    """
    swing_ratio: float | None = None
    """
    Length of a beat's first eighth over that of its second; 1 is straight
    """
    key_regions: list[KeyRegion] | None = None
    """
    The keys that the song passes through, in order
    """


class Stem(Model):
    """One separated and analysed stem of the library."""

    chord_progression: str | None = None
    beats: str | None = None
    sections: str | None = None
    notation_data: str | None = None
    active_regions: str | None = None
    """
    When the stem sounds: start and end
    """
    bpm: float | None = None
    key: str | None = None
    camelot: str | None = None
    time_signature: str | None = None
    tuning: float | None = None
    beat_tracker: str | None = None
    """
    What found the beats, and so tempo and bars: `pulse readings`, or a network's name and weights digest, as in `beat_this-final0@1a2b3c4d`
    """
    confidence: Confidence | None = None
    rms_level: float | None = None
    """
    dBFS
    """
    peak_level: float | None = None
    """
    Sample peak, dBFS
    """
    loudness_lufs: float | None = None
    """
    Integrated loudness, ITU-R BS.1770-4
    """
    spectral_centroid: float | None = None
    """
    Hz, mean over sounding frames
    """
    spectral_bandwidth: float | None = None
    """
    Hz, mean over sounding frames
    """
    spectral_rolloff: float | None = None
    """
    Hz (85 %), mean over sounding frames
    """
    zero_crossing_rate: float | None = None
    """
    Crossings per sample, sounding frames
    """
    dynamic_range: float | None = None
    """
    dB between the 95th and 10th frame RMS
    """
    onset_rate: float | None = None
    """
    Onsets per second
    """
    silence_ratio: float | None = None
    """
    Share of frames below -60 dBFS
    """
    true_peak_level: float | None = None
    """
    dBTP, ITU-R BS.1770-4 annex 2
    """
    crest_factor: float | None = None
    """
    dB from RMS to sample peak
    """
    spectral_flatness: float | None = None
    """
    0 tones to 1 noise, sounding frames
    """
    spectral_contrast: float | None = None
    """
    dB, mean over octaves, sounding frames
    """
    stereo_width: float | None = None
    """
    Side's share of energy; 0.5 unrelated channels
    """
    clipping_count: int | None = None
    """
    Runs at full scale
    """
    leakage: dict[StemType, float] | None = None
    """
    |Correlation| with the other stems
    """
    unmeasured: dict[str, str] = {}
    """
    For values that are null: why
    """
    similarity: list[float] | None = None
    """
    The dot product of two stems' vectors, of 3, says how alike they are
    """
    id: str
    audio_file_id: str
    type: StemType
    blob_uri: str
    duration_seconds: float | None = None
    file_size_bytes: int | None = None
    sample_rate: int | None = None
    channels: int | None = None
    separated_at: AwareDatetime | None = None
    separation_model: str | None = None
    analysis_version: int
    analysis_status: StemAnalysisStatus
    analysis_error: str | None = None
    analysed_at: AwareDatetime | None = None
    created_at: AwareDatetime


class StemItem(Model):
    """A stem as search shows it: without what lies along its time, with its song's name."""

    bpm: float | None = None
    key: str | None = None
    camelot: str | None = None
    time_signature: str | None = None
    tuning: float | None = None
    beat_tracker: str | None = None
    """
    What found the beats, and so tempo and bars: `pulse readings`, or a network's name and weights digest, as in `beat_this-final0@1a2b3c4d`
    """
    confidence: Confidence | None = None
    rms_level: float | None = None
    """
    dBFS
    """
    peak_level: float | None = None
    """
    Sample peak, dBFS
    """
    loudness_lufs: float | None = None
    """
    Integrated loudness, ITU-R BS.1770-4
    """
    spectral_centroid: float | None = None
    """
    Hz, mean over sounding frames
    """
    spectral_bandwidth: float | None = None
    """
    Hz, mean over sounding frames
    """
    spectral_rolloff: float | None = None
    """
    Hz (85 %), mean over sounding frames
    """
    zero_crossing_rate: float | None = None
    """
    Crossings per sample, sounding frames
    """
    dynamic_range: float | None = None
    """
    dB between the 95th and 10th frame RMS
    """
    onset_rate: float | None = None
    """
    Onsets per second
    """
    silence_ratio: float | None = None
    """
    Share of frames below -60 dBFS
    """
    true_peak_level: float | None = None
    """
    dBTP, ITU-R BS.1770-4 annex 2
    """
    crest_factor: float | None = None
    """
    dB from RMS to sample peak
    """
    spectral_flatness: float | None = None
    """
    0 tones to 1 noise, sounding frames
    """
    spectral_contrast: float | None = None
    """
    dB, mean over octaves, sounding frames
    """
    stereo_width: float | None = None
    """
    Side's share of energy; 0.5 unrelated channels
    """
    clipping_count: int | None = None
    """
    Runs at full scale
    """
    leakage: dict[StemType, float] | None = None
    """
    |Correlation| with the other stems
    """
    unmeasured: dict[str, str] = {}
    """
    For values that are null: why
    """
    id: str
    audio_file_id: str
    type: StemType
    blob_uri: str
    duration_seconds: float | None = None
    file_size_bytes: int | None = None
    sample_rate: int | None = None
    channels: int | None = None
    separated_at: AwareDatetime | None = None
    separation_model: str | None = None
    analysis_version: int
    analysis_status: StemAnalysisStatus
    analysis_error: str | None = None
    analysed_at: AwareDatetime | None = None
    created_at: AwareDatetime
    analysis_url: str
    """
    Where beats, chords, sections and notation are
    """
    song: str
    """
    The song's title, or its file name
    """
    artist: str | None = None


class Completion(Model):
    """Body of POST /api/jobs/{id}/complete: the song-level result, or that there was nothing to do."""

    attempt: int
    worker_id: str
    content_hash: str
    unchanged: bool = False
    """
    The bytes are those that the library holds the result of
    """
    duration_seconds: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    song: SongMusic | None = None
    title: str | None = None
    """
    As the file's tags say, as artist and album
    """
    artist: str | None = None
    album: str | None = None
    artwork_uri: str | None = None
    """
    The picture of the tags, in the attempt's folder
    """
    metadata: dict[str, Any] = {}
    """
    Model, device, seconds by step
    """
