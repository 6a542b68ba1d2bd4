"""What callers may ask of lists and searches: query parameters by their wire names, and pages of answers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from shared.fields import Bpm, Guid, Seconds
from shared.keys import KEY_PATTERN, MusicalKey
from shared.models import AnalysisStatus, JobStatus, StemAnalysisStatus, StemType, WireModel

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_BPM = 1000
MAX_TOKEN = 4000
"""Characters: servers take request lines of 8 kB."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Page(Generic[Item]):
    """A page of a list, and the token of the next one; None on the last."""

    value: list[Item]
    next_token: str | None


def _key(text: Any) -> Any:
    return MusicalKey.parse(text) if isinstance(text, str) else text


KeyText = Annotated[
    MusicalKey,
    BeforeValidator(_key),
    WithJsonSchema({"type": "string", "pattern": KEY_PATTERN, "examples": ["C# major", "Dbm", "3B"]}),
]


PageToken = Annotated[str, Field(max_length=MAX_TOKEN, pattern="^[A-Za-z0-9_-]*$")]


class Sort(StrEnum):
    """Orders of a stem search."""

    BPM = "bpm"
    """Slowest first; stems without a tempo are left out where no key is asked for."""
    KEY = "key"
    """By key in the order of pitch, each from slow to fast; with `compatible`, by closeness."""
    CREATED_AT = "createdAt"
    """Newest first."""


class PageQuery(WireModel):
    """Parameters of every list."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    page_token: PageToken | None = Field(None, description="As it stands in `nextLink`")

    def filters(self) -> dict[str, Any]:
        """Return what the list is narrowed by, under wire names: a page token is bound to this."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"limit", "page_token"})


class AudioQuery(PageQuery):
    """Parameters of the list of audio files."""

    status: AnalysisStatus | None = None


class JobQuery(PageQuery):
    """Parameters of the list of jobs."""

    status: JobStatus | None = None
    type: str | None = Field(None, pattern="^Analysis$")
    audio_file_id: Guid | None = None


class StemFilter(PageQuery):
    """What every search of stems may be narrowed by, and its order."""

    type: StemType | None = None
    min_bpm: Bpm | None = Field(None, description="Inclusive")
    max_bpm: Bpm | None = Field(None, description="Inclusive")
    half_double: bool = Field(False, description="Take half and double tempo for the same")
    min_duration: Seconds | None = Field(None, description="Seconds, inclusive")
    max_duration: Seconds | None = Field(None, description="Seconds, inclusive")
    status: StemAnalysisStatus | None = None
    audio_file_id: Guid | None = None
    sort: Sort | None = Field(None, description="`key` where a key is given, else `bpm` where a tempo is")

    @field_validator("max_bpm", "max_duration")
    @classmethod
    def _not_below_the_minimum(cls, value: float | None, info: ValidationInfo) -> float | None:
        lower = info.data.get(str(info.field_name).replace("max_", "min_"))
        if value is not None and lower is not None and value < lower:
            raise ValueError(f"must not be below {lower}, which is asked for as the minimum")
        return value


class KeyQuery(StemFilter):
    """Parameters of GET /api/stems/key/{key}."""

    compatible: bool = Field(False, description="Also harmonic neighbours of the key, closest first")


class StemQuery(KeyQuery):
    """Parameters of GET /api/stems."""

    key: KeyText | None = None


class BpmQuery(StemQuery):
    """Parameters of GET /api/stems/bpm."""

    sort: Sort | None = Sort.BPM
