"""What an attempt finished, as the job remembers it for the next attempt."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gpu_worker.decoding import SourceFormat
from shared.models import JobStatus, StemType
from stem_library_client import ApiError

SEPARATION, TAGS, NOTATION, RESULT = "separation", "tags", "notation", "result"


@dataclass(frozen=True)
class StemBlob:
    """An uploaded stem, the song's artwork, or a file of a stem's notes."""

    name: str
    uri: str
    sha256: str


@dataclass(frozen=True)
class Separation:
    """A song that was separated, by which model, and where its stems lie."""

    content_hash: str
    source: SourceFormat
    model_label: str
    stems: dict[StemType, StemBlob]
    tags: dict[str, str | None]
    """What the file says of itself, under the wire names of a completion."""


def of_separation(content_hash: str, source: SourceFormat, model_label: str) -> dict[str, str]:
    """Return the checkpoint of a finished separation; that of each stem follows its upload."""
    known = {"contentHash": content_hash, "source": asdict(source), "model": model_label}
    return {SEPARATION: json.dumps(known)}


def of_stem(stem: StemType, blob: StemBlob) -> dict[str, str]:
    """Return the checkpoint of an uploaded stem."""
    return {stem.value: json.dumps(asdict(blob))}


def of_tags(tags: Mapping[str, str | None]) -> dict[str, str]:
    """Return the checkpoint of what the file says of itself, its artwork uploaded."""
    return {TAGS: json.dumps(tags, ensure_ascii=False)}


def of_notation(blobs: Iterable[StemBlob]) -> dict[str, str]:
    """Return the checkpoint of the uploaded files of notes; an attempt that analyses anew has its own."""
    return {NOTATION: json.dumps([blob.name for blob in blobs])}


def of_result(completion: Mapping[str, Any]) -> dict[str, str]:
    """Return the checkpoint of a song whose stems are all saved: what `complete` needs."""
    return {RESULT: json.dumps(completion)}


def separation_of(checkpoints: Mapping[str, str]) -> Separation | None:
    """Return the separation whose tags were read and whose stems were all uploaded, or None."""
    if not checkpoints.keys() >= {SEPARATION, TAGS, *(stem.value for stem in StemType)}:
        return None
    known = json.loads(checkpoints[SEPARATION])
    stems = {stem: StemBlob(**json.loads(checkpoints[stem.value])) for stem in StemType}
    tags = json.loads(checkpoints[TAGS])
    return Separation(known["contentHash"], SourceFormat(**known["source"]), known["model"], stems, tags)


def result_of(checkpoints: Mapping[str, str]) -> dict[str, Any] | None:
    """Return what `complete` needs, if the stems were all saved."""
    text = checkpoints.get(RESULT)
    result: dict[str, Any] | None = json.loads(text) if text else None
    return result


def is_unknown(blob: StemBlob, refusal: ApiError) -> bool:
    """Return whether a refusal to note an upload means that nobody knows of its blob, nor ever will.

    A note whose answer was lost may have been taken at first, and another attempt have built on it since.
    """
    noted = refusal.problem.get("checkpoints")
    if noted is not None:
        return blob.name not in json.dumps(noted)
    ended_as = refusal.problem.get("jobStatus") or refusal.problem.get("outcome")
    return ended_as in (JobStatus.FAILED, JobStatus.CANCELLED)
