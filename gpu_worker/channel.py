"""What the worker and its model process say to each other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_worker.decoding import SourceFormat
from shared.models import StemType


@dataclass(frozen=True)
class ModelNames:
    """Which models the process loads, and where; as in settings.py."""

    stem_model: str
    stem_model_repo: Path | None
    beat_model: str
    beat_model_repo: Path | None
    device: str


@dataclass(frozen=True)
class Ready:
    """The model is loaded."""

    model_label: str
    model_note: str | None
    beat_tracker: str
    """As the records of this process will say."""
    device: str


@dataclass(frozen=True)
class Unavailable:
    """The model can't be loaded; the process ends."""

    reason: str


@dataclass(frozen=True)
class SongTask:
    """A song to decode, separate and analyse; everything is written below `folder`."""

    song: Path
    folder: Path
    max_minutes: float


@dataclass(frozen=True)
class AnalysisTask:
    """Stems that were separated before, to be analysed; everything is written below `folder`."""

    stems: dict[StemType, Path]
    folder: Path


@dataclass(frozen=True)
class Progress:
    """A step has come to this share, 0 to 1."""

    step: str
    share: float


@dataclass(frozen=True)
class Decoded:
    """The mix is there, and waits for the device: the process goes on when it is told `DeviceFree`."""


@dataclass(frozen=True)
class DeviceFree:
    """To the process: separate now."""

    has_waited: bool
    """Whether another song had the device when this one was decoded."""


@dataclass(frozen=True)
class Separated:
    """The stems are there."""

    source: SourceFormat
    stems: dict[StemType, Path]


@dataclass(frozen=True)
class Analysed:
    """The song is done: results under the wire names, and the seconds that each step took."""

    song: dict[str, Any]
    stems: dict[StemType, dict[str, Any]]
    notation: dict[StemType, dict[str, Path]]
    """The files of each stem's notes, by the field of its notation that says where they are."""
    seconds: dict[str, float]


@dataclass(frozen=True)
class Rejected:
    """The file can't be taken; a sentence for a musician."""

    reason: str


@dataclass(frozen=True)
class Broken:
    """A step failed by a fault that is not the file's."""

    reason: str


Task = SongTask | AnalysisTask
Answer = Progress | Decoded | Separated | Analysed | Rejected | Broken
