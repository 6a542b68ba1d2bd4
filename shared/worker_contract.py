"""What the worker and the Function app say to each other about a job: queue message and request bodies."""

from typing import Literal

from pydantic import Field, model_validator

from shared.fields import Attempt, Channels, Checkpoints, Name, Notes, SampleRate, Seconds, Sentence, Uri
from shared.models import SongMusic, WireModel


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


class AnalysisMessage(WireModel):
    """A message of the queue `analysis-jobs`."""

    job_id: str
    audio_file_id: str
    blob_name: str
    attempt: int
    analysis_version: int
