"""A song and its stems, made over HTTP as users and worker make them."""

import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from tests.conftest import wait_for

TYPES = ("Drums", "Bass", "Vocals", "Other")
USERS = {"Read": "reader", "Write": "writer", "Worker": "worker"}
"""The development users of local.settings.sample.json that have one role alone."""


def signed_in(user: str) -> dict[str, str]:
    """Headers of a development user of local.settings.sample.json."""
    return {"Authorization": f"Bearer {user}"}


@dataclass(frozen=True)
class Song:
    """A song of the library, and the ids of its stems and its job."""

    id: str
    job_id: str
    stems: list[str]


def upload(http: httpx.Client, name: str = "My song.wav") -> dict[str, Any]:
    """Upload what is no audio, and wait until the library knows of it; return its record."""
    ask = {"fileName": name, "sizeBytes": 5}
    ticket = http.post("/api/audio/uploads", json=ask, headers=signed_in("writer")).json()
    put = httpx.put(ticket["uploadUrl"], content=b"hello", headers={"x-ms-blob-type": "BlockBlob"})
    assert put.status_code == 201
    path = f"/api/audio/{ticket['audioFileId']}"

    def found() -> dict[str, Any] | None:
        answer = http.get(path, headers=signed_in("reader"))
        return answer.json() if answer.status_code == 200 else None

    known: dict[str, Any] = wait_for(found, "the upload")
    return known


def stem_body(song: dict[str, Any], kind: str, **changes: Any) -> dict[str, Any]:
    """What may be said of a stem of the song."""
    folder = song["blobUri"].rpartition("/")[0]
    return {
        "audioFileId": song["id"],
        "type": kind,
        "blobUri": f"{folder}/stems/{kind.lower()}.wav",
        "durationSeconds": 2.5,
        "fileSizeBytes": 100,
        "bpm": 120.5,
        "key": "C# major",
        "beats": [{"time": 0.5, "position": 1}],
        **changes,
    }


def make_song(http: httpx.Client, **values: Any) -> Song:
    """Make a song with four stems."""
    song = upload(http, f"{uuid.uuid4()}.wav")
    stems = []
    for kind in TYPES:
        body = stem_body(song, kind, **values)
        answer = http.post("/api/stems", json=body, headers=signed_in("worker"))
        assert answer.status_code == 201, answer.text
        stems.append(answer.json()["id"])
    return Song(song["id"], song["jobId"], stems)
