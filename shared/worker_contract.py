"""What the worker and the Function app say to each other about a job: queue message and request bodies."""

from typing import Literal

from pydantic import AwareDatetime, Field, ValidationInfo, field_validator, model_validator

from shared.fields import (
    Attempt,
    Camelot,
    Channels,
    Checkpoints,
    Count,
    Guid,
    KeySpelling,
    Name,
    Notes,
    SampleRate,
    Seconds,
    Sentence,
    Uri,
    Version,
)
from shared.keys import MusicalKey
from shared.models import (
    ANALYSIS_VERSION,
    SongMusic,
    StemAnalysisStatus,
    StemMeasures,
    StemType,
    WireModel,
)


class ClaimRequest(WireModel):
    """Body of POST /api/jobs/{id}/claim."""

    attempt: Attempt = Field(description="The attempt that the queue message announced")
    worker_id: Name = Field(min_length=1)


class Heartbeat(WireModel):
    """Body of POST /api/jobs/{id}/heartbeat."""

    attempt: Attempt
    worker_id: Name
    step: Name | None = None
    progress: int | None = Field(None, ge=0, le=100)
    checkpoints: Checkpoints = Field({}, description="What the attempt finished since the last beat")


class Completion(WireModel):
    """Body of POST /api/jobs/{id}/complete: the song-level result, or that there was nothing to do."""

    attempt: Attempt
    worker_id: Name
    content_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    unchanged: bool = Field(False, description="The bytes are those that the library holds the result of")
    duration_seconds: Seconds | None = None
    sample_rate: SampleRate | None = None
    channels: Channels | None = None
    song: SongMusic | None = None
    title: Name | None = Field(None, description="As the file's tags say, as artist and album")
    artist: Name | None = None
    album: Name | None = None
    artwork_uri: Uri | None = Field(None, description="The picture of the tags, in the attempt's folder")
    metadata: Notes = Field({}, description="Model, device, seconds by step")

    @model_validator(mode="after")
    def _whole_unless_unchanged(self) -> "Completion":
        result = (self.duration_seconds, self.sample_rate, self.channels, self.song)
        if result != (None,) * 4 if self.unchanged else None in result:
            raise ValueError("durationSeconds, sampleRate, channels and song are needed, unless unchanged")
        return self


class Failure(WireModel):
    """Body of POST /api/jobs/{id}/fail."""

    attempt: Attempt
    worker_id: Name
    error: Sentence = Field(min_length=1, description="A sentence that a musician understands")
    kind: Literal["permanent", "transient", "released"] = Field(
        description="permanent: the file can't be taken; transient: try again later; "
        "released: the worker stops and gives the message and the attempt back"
    )


class StemWrite(StemMeasures):
    """Body of POST /api/stems: what is said of one stem; what is not said is null."""

    audio_file_id: Guid
    type: StemType
    blob_uri: Uri
    key: KeySpelling | None = None
    camelot: Camelot | None = Field(
        None, validate_default=True, description="Follows from `key`; refused if it says another"
    )
    duration_seconds: Seconds | None = None
    file_size_bytes: Count | None = None
    sample_rate: SampleRate | None = None
    channels: Channels | None = None
    separated_at: AwareDatetime | None = None
    separation_model: Name | None = Field(
        None, description="Name and weights digest, as in `htdemucs@955717e8`"
    )
    analysis_version: Version = ANALYSIS_VERSION
    analysis_status: StemAnalysisStatus = StemAnalysisStatus.COMPLETED
    analysis_error: Sentence | None = None
    analysed_at: AwareDatetime | None = None
    job_id: Guid | None = Field(None, description="With `attempt`: refused unless this attempt still runs")
    attempt: Attempt | None = None

    @field_validator("camelot")
    @classmethod
    def _follows_from_key(cls, camelot: str | None, info: ValidationInfo) -> str | None:
        if "key" not in info.data:
            return camelot  # the key itself is at fault, which is said already
        key = info.data["key"]
        wanted = MusicalKey.parse(key).camelot if key else None
        if camelot not in (None, wanted):
            raise ValueError(f"{camelot} is not the code of key {key}" if key else "needs a key")
        return wanted


class AnalysisMessage(WireModel):
    """A message of the queue `analysis-jobs`."""

    job_id: str
    audio_file_id: str
    blob_name: str
    attempt: int
    analysis_version: int
