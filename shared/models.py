"""The records AudioFile, Stem and Job.

Wire names are camelCase, Python names snake_case. Times are UTC, on the wire ISO 8601 with `Z`;
durations and beats are seconds. What could not be measured is null, and `unmeasured` says why.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.fields import (
    Bpm,
    Camelot,
    Component,
    Count,
    Decibels,
    Hertz,
    JsonText,
    KeyName,
    Level,
    Loudness,
    Name,
    Rate,
    Reasons,
    Seconds,
    Share,
    SwingRatio,
    TimeSignature,
    Tuning,
)

ANALYSIS_VERSION = 3
"""Raised whenever the analysis gives other results for the same bytes."""

BEAT_TRACKER = (
    "What found the beats, and so tempo and bars: `pulse readings`, or a network's name and weights digest, "
    "as in `beat_this-final0@1a2b3c4d`"
)

STRUCTURE_FIELDS = ("chord_progression", "beats", "sections", "notation_data", "active_regions")


RecordT_co = TypeVar("RecordT_co", covariant=True)


@dataclass(frozen=True)
class Stored(Generic[RecordT_co]):
    """A record as it was read, with the ETag that a conditional write of it needs."""

    record: RecordT_co
    etag: str


class WireModel(BaseModel):
    """A record with camelCase wire names that refuses fields it does not know."""

    # Built at first use: a cold start is shorter by a tenth.
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, defer_build=True
    )

    def to_wire(self) -> dict[str, Any]:
        """Return the record as JSON values under its wire names."""
        return self.model_dump(mode="json", by_alias=True)


class StemType(StrEnum):
    """The four sources that Demucs separates."""

    DRUMS = "Drums"
    BASS = "Bass"
    VOCALS = "Vocals"
    OTHER = "Other"


class AnalysisStatus(StrEnum):
    """How far the analysis of an audio file is."""

    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    REJECTED = "Rejected"
    """The file itself can't be taken: not audio, damaged, too long, too large."""


class StemAnalysisStatus(StrEnum):
    """How far the analysis of a stem is."""

    PENDING = "Pending"
    PROCESSING = "Processing"
    COMPLETED = "Completed"
    FAILED = "Failed"


class JobStatus(StrEnum):
    """Where a job stands."""

    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    STALE = "Stale"
    RETRYING = "Retrying"


TERMINAL_STATUSES = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})
WAITING_STATUSES = frozenset({JobStatus.PENDING, JobStatus.RETRYING})
"""Of jobs that a message on the queue brings to a worker."""


class Confidence(WireModel):
    """How sure the analysis is, from 0 (guess) to 1."""

    bpm: Share | None = None
    key: Share | None = None
    time_signature: Share | None = None
    tuning: Share | None = None


class KeyRegion(WireModel):
    """A stretch of a song in one key; times in seconds."""

    start: Seconds
    end: Seconds
    key: KeyName
    confidence: Share | None = None


class TempoReading(WireModel):
    """Another tempo that the pulse may be read in, as a rule half or double."""

    bpm: Bpm
    weight: Share = Field(description="Among all readings")


class SongMusic(WireModel):
    """The song-level result that an AudioFile carries."""

    bpm: Bpm | None = None
    key: KeyName | None = None
    time_signature: TimeSignature | None = None
    tuning: Tuning | None = None
    beat_tracker: Name | None = Field(None, description=BEAT_TRACKER)
    alternative_bpm: TempoReading | None = Field(None, description="The next likely tempo")
    swing_ratio: SwingRatio | None = Field(
        None, description="Length of a beat's first eighth over that of its second; 1 is straight"
    )
    key_regions: Annotated[list[KeyRegion], Field(max_length=200)] | None = Field(
        None, description="The keys that the song passes through, in order"
    )


class AudioFile(SongMusic):
    """An uploaded song."""

    id: str
    name: str
    blob_uri: str
    content_type: str | None = None
    size_bytes: Count
    etag: str
    content_hash: str | None = Field(None, description="SHA-256 of the bytes, measured by the worker")
    duration_seconds: Seconds | None = None
    sample_rate: int | None = None
    channels: int | None = None
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    artwork_uri: str | None = Field(None, description="The picture of the file's tags")
    created_at: AwareDatetime = Field(description="When the first version of the file came")
    uploaded_at: AwareDatetime = Field(description="When the present version of the file came")
    analysis_status: AnalysisStatus = AnalysisStatus.PENDING
    analysis_version: int | None = Field(None, description="Version of the analysis that the record holds")
    error: str | None = None
    job_id: str | None = Field(None, description="The latest job of this file; it may be deleted already")


class StemValues(WireModel):
    """The values that the analysis measured of one stem; what it could not measure is null.

    Tempo and key are those of the song, which its stems share; the metrics (levels, spectrum, onsets,
    silence) are the stem's own.
    """

    bpm: Bpm | None = None
    key: KeyName | None = None
    camelot: Camelot | None = None
    time_signature: TimeSignature | None = None
    tuning: Tuning | None = None
    beat_tracker: Name | None = Field(None, description=BEAT_TRACKER)
    confidence: Confidence = Confidence()
    rms_level: Level | None = Field(None, description="dBFS")
    peak_level: Level | None = Field(None, description="Sample peak, dBFS")
    loudness_lufs: Loudness | None = Field(None, description="Integrated loudness, ITU-R BS.1770-4")
    spectral_centroid: Hertz | None = Field(None, description="Hz, mean over sounding frames")
    spectral_bandwidth: Hertz | None = Field(None, description="Hz, mean over sounding frames")
    spectral_rolloff: Hertz | None = Field(None, description="Hz (85 %), mean over sounding frames")
    zero_crossing_rate: Share | None = Field(None, description="Crossings per sample, sounding frames")
    dynamic_range: Decibels | None = Field(None, description="dB between the 95th and 10th frame RMS")
    onset_rate: Rate | None = Field(None, description="Onsets per second")
    silence_ratio: Share | None = Field(None, description="Share of frames below -60 dBFS")
    true_peak_level: Loudness | None = Field(None, description="dBTP, ITU-R BS.1770-4 annex 2")
    crest_factor: Decibels | None = Field(None, description="dB from RMS to sample peak")
    spectral_flatness: Share | None = Field(None, description="0 tones to 1 noise, sounding frames")
    spectral_contrast: Decibels | None = Field(None, description="dB, mean over octaves, sounding frames")
    stereo_width: Share | None = Field(None, description="Side's share of energy; 0.5 unrelated channels")
    clipping_count: Count | None = Field(None, description="Runs at full scale")
    leakage: dict[StemType, Share] | None = Field(None, description="|Correlation| with the other stems")
    unmeasured: Reasons = Field({}, description="For values that are null: why")


class StemStructures(WireModel):
    """What lies along a stem's time, as JSON text; null where there is none."""

    chord_progression: JsonText | None = None
    beats: JsonText | None = None
    sections: JsonText | None = None
    notation_data: JsonText | None = None
    active_regions: JsonText | None = Field(None, description="When the stem sounds: start and end")


class StemMeasures(StemValues, StemStructures):
    """All that the analysis says of one stem."""

    similarity: Annotated[list[Component], Field(max_length=64)] | None = Field(
        None, description="The dot product of two stems' vectors, of 3, says how alike they are"
    )


class StemIdentity(WireModel):
    """What a stem is, and where its sound lies."""

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


class Stem(StemIdentity, StemMeasures):
    """One separated and analysed stem of the library."""


class StemItem(StemIdentity, StemValues):
    """A stem as search shows it: without what lies along its time, with its song's name."""

    analysis_url: str = Field(description="Where beats, chords, sections and notation are")
    song: str = Field(description="The song's title, or its file name")
    artist: str | None = None


class JobView(WireModel):
    """A job as users see it."""

    id: str
    type: Literal["Analysis"] = "Analysis"
    audio_file_id: str
    analysis_version: int
    status: JobStatus = JobStatus.PENDING
    attempt: int = Field(0, description="Fencing token: raised by every claim")
    retries: int = Field(0, description="Attempts that ended by a passing fault")
    max_retries: int = 3
    current_step: str | None = None
    progress: int = Field(0, ge=0, le=100)
    not_before: AwareDatetime | None = Field(None, description="When the next attempt may begin")
    worker_id: str | None = None
    last_heartbeat: AwareDatetime | None = Field(None, description="By the server's clock")
    error_message: str | None = None
    file_at_fault: bool = Field(
        False, description="Failed because the file can't be taken, not by a fault of ours"
    )
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None
    delete_after: AwareDatetime | None = None
    metadata: dict[str, Any] = {}


class Job(JobView):
    """One analysis of one version of an audio file, with what only the worker and the app need to know."""

    blob_name: str
    etag: str = Field(description="The blob's version that this job analyses")
    idempotency_key: str
    queued_attempt: int = Field(1, description="Attempt that the newest message announces")
    message_seen_at: AwareDatetime | None = Field(
        None, description="When the newest message was last known to exist, or when it is due"
    )
    checkpoints: dict[str, str] = Field({}, description="What an attempt finished, for the next one")
    known_content_hash: str | None = Field(
        None, description="SHA-256 of what the library holds by this analysis: the same bytes end the job"
    )
    result: dict[str, Any] | None = Field(None, description="What the worker said at completion")
    waiting_since: AwareDatetime | None = Field(
        None, description="Since when, or from when on, it waits for a worker"
    )
    traceparent: str | None = Field(None, description="The trace that every attempt belongs to (W3C)")
    unsettled_since: AwareDatetime | None = Field(
        None, description="Set by a change of state until all that follows from it is written"
    )

    @property
    def is_terminal(self) -> bool:
        """Whether the job's work has ended."""
        return self.status in TERMINAL_STATUSES

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for a worker."""
        return self.status in WAITING_STATUSES


class JobSummary(WireModel):
    """A job as lists show it: written at changes of state, so it lacks step and progress."""

    id: str
    type: Literal["Analysis"]
    audio_file_id: str
    status: JobStatus
    attempt: int
    error_message: str | None = None
    created_at: AwareDatetime
    completed_at: AwareDatetime | None = None


class JobOutcome(WireModel):
    """What became of a job that is deleted."""

    id: str
    audio_file_id: str
    outcome: JobStatus
    error_message: str | None = None
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None
    deleted_at: datetime
