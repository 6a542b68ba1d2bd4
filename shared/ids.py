"""Deterministic identifiers: the same work, file or stem has the same id, however often it is announced."""

import hashlib
import re
import uuid
from dataclasses import dataclass

NAMESPACE = uuid.UUID("6f9d0f0e-2f0b-5d43-9c7e-0c9b1d6f5a11")
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
DERIVED_FOLDERS = ("stems", "analysis")
ARTWORK_NAMES = ("artwork.jpg", "artwork.png", "artwork.webp")
NOTATION_SUFFIXES = {"midiUri": "mid", "musicXmlUri": "musicxml"}
"""Of the files of a stem's notes, by where its notation says that they are."""


@dataclass(frozen=True, kw_only=True)
class UploadName:
    """What the name of an uploaded blob says."""

    blob_name: str
    audio_file_id: str
    file_name: str


def parse_upload_name(blob_name: str) -> UploadName | None:
    """Return what an upload's blob name says; None if a blob of that name is not an upload.

    Uploads are `{audioFileId}/{fileName}` and `{fileName}` at the container's root. What the worker
    derives lies deeper, under `{audioFileId}/stems/` and `{audioFileId}/analysis/`, and must never
    start an analysis: that would be a loop which costs money.
    """
    match blob_name.split("/"):
        case [file_name] if file_name:
            return UploadName(
                blob_name=blob_name, audio_file_id=str(uuid.uuid5(NAMESPACE, file_name)), file_name=file_name
            )
        case [folder, file_name] if GUID.fullmatch(folder) and file_name not in ("", *DERIVED_FOLDERS):
            return UploadName(blob_name=blob_name, audio_file_id=folder.lower(), file_name=file_name)
        case _:
            return None


def stem_blob_name(audio_file_id: str, stem_type: str, *, job_id: str, attempt: int) -> str:
    """Return the blob for a stem's sound: each attempt has its own, so that none can overwrite another's."""
    return f"{attempt_folder(audio_file_id, job_id, attempt)}{stem_type.lower()}.wav"


def attempt_folder(audio_file_id: str, job_id: str, attempt: int) -> str:
    """Return the prefix of the blobs that one attempt of a job uploads."""
    return f"{stems_folder(audio_file_id, job_id)}{attempt}/"


def stems_folder(audio_file_id: str, job_id: str) -> str:
    """Return the prefix of the blobs of a job's stems."""
    return f"{audio_file_id}/stems/{job_id}/"


def idempotency_key(audio_file_id: str, etag: str, analysis_version: int) -> str:
    """Return the hash that names one piece of work: this file, in this version, by this analysis."""
    return hashlib.sha256(f"{audio_file_id}\n{etag}\n{analysis_version}".encode()).hexdigest()


def job_id(key: str) -> str:
    """Return the job's id, derived from its idempotency key."""
    return str(uuid.uuid5(NAMESPACE, f"job\n{key}"))


def stem_id(audio_file_id: str, stem_type: str, analysis_version: int) -> str:
    """Return the stem's id: a repeated POST of the same stem updates and never duplicates."""
    return str(uuid.uuid5(NAMESPACE, f"stem\n{audio_file_id}\n{stem_type}\n{analysis_version}"))
