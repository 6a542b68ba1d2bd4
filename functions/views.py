"""Bodies and answers of routes that are no records: what goes over the wire besides the models of shared/."""

from typing import Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field, RootModel

from shared.models import JobStatus, WireModel
from shared.queries import PageToken

Structure = list[Any] | dict[str, Any] | None


class UploadRequest(WireModel):
    """A song that is to be uploaded."""

    file_name: str = Field(min_length=1, max_length=255, description="A plain file name, without folders")
    content_type: str | None = Field(None, max_length=200)
    size_bytes: int = Field(ge=0)


class Upload(WireModel):
    """Where to PUT the song, with the header `x-ms-blob-type: BlockBlob`."""

    audio_file_id: str
    upload_url: str = Field(description="May create and write this one blob, until it expires")
    expires_at: AwareDatetime


class StemsQuery(WireModel):
    """Parameters of the stems of a song."""

    version: int | None = Field(
        None, ge=1, le=1_000_000, description="Of the analysis; the latest by default"
    )


class NotationQuery(WireModel):
    """Parameters of a stem's notation."""

    format: Literal["midi", "musicxml", "json"] = "json"


class CleanupQuery(WireModel):
    """Parameters of the purge."""

    days_old: int | None = Field(None, ge=0, le=3650, description="Since the end; by default the retention")


class ReanalysisQuery(WireModel):
    """Parameters of the analysis of the library anew."""

    limit: int = Field(20, ge=1, le=100, description="Jobs that one call starts at most")
    max_waiting: int = Field(
        20, ge=1, le=10_000, description="None is started while so many jobs wait for a worker"
    )


class RepairQuery(WireModel):
    """Parameters of the repair."""

    page_token: PageToken | None = Field(None, description="As it stands in `nextLink`")


class StemAnalysis(WireModel):
    """What lies along a stem's time, as native JSON; null where there is none."""

    chord_progression: Structure = Field(
        description="`[{start, end, chord, confidence}]`, chords as in Harte"
    )
    beats: Structure = Field(description="`[{time, position}]`, seconds and place in the bar from 1")
    sections: Structure = Field(description="`[{start, end, label, confidence}]`")
    notation_data: Structure = Field(
        description="`{notes: [{onset, offset, pitch | drum, velocity, confidence}], midiUri, musicXmlUri}`, "
        "pitches are MIDI's; the files are had at `/api/stems/{id}/notation?format=`"
    )
    active_regions: Structure = Field(description="`[{start, end}]`, when the stem sounds")


class Notation(RootModel[list[Any] | dict[str, Any]]):
    """The transcription of a stem: `notes`, and what the worker says besides."""


class Lease(WireModel):
    """What the worker needs to know after a heartbeat."""

    status: JobStatus
    attempt: int
    progress: int


class Purged(WireModel):
    """How many jobs a purge deleted."""

    purged: int


class Health(WireModel):
    """The app, and what it depends on."""

    status: Literal["healthy", "unhealthy"]
    dependencies: dict[str, str] = Field(description="`healthy`, or what is wrong, by dependency")


class FieldProblem(WireModel):
    """What is wrong with one field."""

    field: str = Field(description="Wire name, dotted where nested; `body` or `query` for the whole")
    message: str


class Problem(WireModel):
    """What is wrong (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path of the request")
    errors: list[FieldProblem] | None = Field(None, description="The fields at fault")
