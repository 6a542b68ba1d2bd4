"""What the tests of workers share: songs, workers that are held up at work, and looks at the product."""

import json
import os
import signal
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile as sf
from azure.servicebus import ServiceBusClient
from azure.storage.blob import BlobServiceClient

from local.process import Program
from shared.models import StemType
from tests.conftest import PATIENCE, stems_of, wait_for, wire
from tests.faults.product import Product

QUEUE = "analysis-jobs"
LONG_LOCK = "PT2M"
"""Within a test no message comes back by the end of its lock: only a worker gives it back."""
SAMPLE_RATE = 22_050


def upload_noise(product: Product, folder: Path, seconds: float) -> str:
    """Upload noise, which is separated about 4 times as fast as it plays; return its audio file id."""
    song = folder / f"{uuid.uuid4()}.flac"
    noise = np.random.default_rng().standard_normal((int(seconds * SAMPLE_RATE), 1))
    sf.write(song, 0.1 * noise, SAMPLE_RATE)
    return product.client.upload(song)


def job_of(product: Product, audio_file_id: str) -> dict[str, Any] | None:
    audio = wire(product.client.get_audio, audio_file_id)
    return wire(product.client.get_job, audio["jobId"]) if audio and audio["jobId"] else None


def wait_for_job(
    product: Product, audio_file_id: str, patience: float = PATIENCE, **state: Any
) -> dict[str, Any]:
    """Wait until the song's job is in that state; return it."""

    def look() -> dict[str, Any] | None:
        job = job_of(product, audio_file_id)
        return job if job and all(job[name] == value for name, value in state.items()) else None

    found: dict[str, Any] = wait_for(look, f"the state {state}", patience)
    return found


def wait_until_held(product: Product, audio_file_id: str, step: str) -> dict[str, Any]:
    """Wait until the newest worker's model stands still at the step (`held_at`); return the song's job."""
    wait_for(product.held.exists, f"a model that stands still at {step}")
    return wait_for_job(product, audio_file_id, status="Running", currentStep=step)


def let_go(worker: Program) -> None:
    """Have the model that a step held up (`held_at`) go on."""
    os.killpg(worker.pid, signal.SIGCONT)


def model_processes(worker: Program) -> list[int]:
    """Return the worker's model processes; a child stands with the thread that started it."""
    found = []
    for children in Path(f"/proc/{worker.pid}/task").glob("*/children"):
        for child in children.read_text().split():
            with suppress(FileNotFoundError):  # it has just ended
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


def blobs_of(product: Product, audio_file_id: str) -> dict[str, str]:
    """Return the ETag of each of a song's blobs."""
    with BlobServiceClient.from_connection_string(product.storage) as service:
        found = service.get_container_client("audio-files").list_blobs(name_starts_with=f"{audio_file_id}/")
        return {blob.name: blob.etag for blob in found}


def upload_name_of(product: Product, audio_file_id: str) -> str:
    """Return the name of the blob that the song was uploaded as."""
    uri: str = wire(product.client.get_audio, audio_file_id)["blobUri"]  # type: ignore[index]
    return uri.partition("/audio-files/")[2]


def check_four_stems(product: Product, job: dict[str, Any]) -> None:
    """The song has its four stems and the files of their notes, all of this job, and no other blob of a job.

    Its artwork is there, if it has any.
    """
    stems = stems_of(product.client, job["audioFileId"])
    assert [stem["type"] for stem in stems] == list(StemType)
    notations = [json.loads(stem["notationData"]) for stem in stems if stem["notationData"]]
    uris = [stem["blobUri"] for stem in stems]
    uris += [notation[field] for notation in notations for field in ("midiUri", "musicXmlUri")]
    uris.append(httpx.get(f"{product.api}/api/audio/{job['audioFileId']}").json()["artworkUri"])
    used = {uri.partition("/audio-files/")[2] for uri in uris if uri}
    assert all(f"/{job['id']}/" in name for name in used)
    assert {name for name in blobs_of(product, job["audioFileId"]) if "/stems/" in name} == used


def receive_by_hand(product: Product, is_done: bool) -> str:
    """Take the one message off the queue, and complete it or put it back; return its text."""

    def receive() -> str | None:
        for message in receiver.receive_messages(max_message_count=1, max_wait_time=1):
            settle: Callable[..., None] = receiver.complete_message if is_done else receiver.abandon_message
            settle(message)
            return str(message)
        return None

    with (
        ServiceBusClient.from_connection_string(product.service_bus) as bus,
        bus.get_queue_receiver(QUEUE) as receiver,
    ):
        text: str = wait_for(receive, "the message")
        return text


def is_queue_empty(product: Product) -> bool:
    """Whether no message is left, locked and scheduled ones included."""
    with (
        ServiceBusClient.from_connection_string(product.service_bus) as bus,
        bus.get_queue_receiver(QUEUE) as receiver,
    ):
        return not receiver.peek_messages()
