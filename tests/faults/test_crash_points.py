"""`kill -9` before and after each external effect: each song completes once, with four stems, no orphans."""

import io
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile as sf
from azure.storage.blob import BlobServiceClient, ContainerClient
from mutagen.flac import FLAC, Picture

from shared.models import StemType
from tests.conftest import stems_of, wait_for, wire
from tests.faults.product import Product
from tests.faults.workers import check_four_stems

HOST_EFFECTS = (
    "upload noted",
    "lists told",
    "record counted",
    "record settled",
    "job created",
    "library told Pending",
    "list told Pending",
    "message sent",
    "settled Pending",
    "job Running",
    "library told Running",
    "list told Running",
    "settled Running",
    "stem staged",
    "job Completed",
    "stems published",
    "library told Completed",
    "list told Completed",
    "end counted",
    "settled Completed",
    "orchestration started",
    "outcome noted",
    "job deleted",
)
WORKER_EFFECTS = (
    "job claimed",
    "song downloaded",
    "artwork uploaded",
    "tags noted",
    "separation noted",
    "Drums uploaded",
    "Drums noted",
    "Other uploaded",
    "Other noted",
    "notation uploaded",
    "notation noted",
    "Drums saved",
    "Other saved",
    "result noted",
    "job completed",
    "message settled",
)
# Before an effect is after the one before it, give or take what is only computed: all take twice the time.
SIDES = ("before", "after") if os.environ.get("CRASH_POINTS") == "all" else ("after",)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(
        tmp_path_factory.mktemp("product"), COMPLETED_JOB_TTL_SECONDS="2", MAX_RETRIES="50"
    ) as product:
        yield product


@pytest.fixture(scope="module")
def container(product: Product) -> Iterator[ContainerClient]:
    with BlobServiceClient.from_connection_string(product.storage) as service:
        yield service.get_container_client("audio-files")


@pytest.fixture(scope="module")
def song(demo_song: Path) -> bytes:
    """Some seconds of the demo song, so that the crashes take the time and not the music, with artwork."""
    sound, rate = sf.read(demo_song, frames=4 * 44_100)
    file = io.BytesIO()
    sf.write(file, sound, rate, format="FLAC")
    file.seek(0)
    tags = FLAC(file)
    artwork = Picture()
    artwork.data = b"\x89PNG\r\n\x1a\n"
    tags.add_picture(artwork)
    file.seek(0)
    tags.save(file)
    return file.getvalue()


def upload(container: ContainerClient, song: bytes) -> str:
    """Upload the song as its own client does, whatever the Function app is doing."""
    audio_file_id = str(uuid.uuid4())
    container.upload_blob(f"{audio_file_id}/song.flac", song)
    return audio_file_id


def check_completed_once(product: Product, container: ContainerClient, audio_file_id: str) -> None:
    def job_id() -> Any:
        try:
            audio = wire(product.client.get_audio, audio_file_id)
        except httpx.TransportError:
            return None
        return audio and audio["analysisStatus"] == "Completed" and audio["jobId"]

    job = wait_for(job_id, "the completion")
    wait_for(lambda: wire(product.client.get_job, job) is None, "the deletion of the job")
    outcome = httpx.get(f"{product.api}/api/jobs/{job}").json()
    assert outcome["outcome"] == "Completed"
    assert httpx.get(f"{product.api}/api/audio/{audio_file_id}/artwork").status_code == 302
    check_four_stems(product, {"id": job, "audioFileId": audio_file_id})
    found = httpx.get(f"{product.api}/api/stems", params={"audioFileId": audio_file_id}).json()["value"]
    assert sorted(item["type"] for item in found) == sorted(StemType)
    names = container.list_blob_names(name_starts_with=f"{audio_file_id}/")
    assert len([name for name in names if "/analysis/" in name]) <= len(StemType)
    for stem in stems_of(product.client, audio_file_id):
        assert httpx.get(f"{product.api}/api/stems/{stem['id']}").status_code == 200


def test_a_function_app_that_dies_again_and_again(product: Product, container: ContainerClient, song: bytes):
    """At every moment once, a song arriving before each: it may be an older song that comes to the moment."""
    product.start_worker()
    before = httpx.get(f"{product.api}/api/stems/stats").json()
    songs = []
    for moment in _moments(HOST_EFFECTS):
        product.restart_host(crash_at=moment)
        songs.append(upload(container, song))
        wait_for(lambda: product.host.return_code is not None, f"the crash {moment}")
    product.restart_host()
    for audio_file_id in songs:
        check_completed_once(product, container, audio_file_id)
    stats = httpx.get(f"{product.api}/api/stems/stats").json()
    assert stats["songs"] - before["songs"] == len(songs)
    assert stats["songsByStatus"]["Completed"] == stats["songs"]
    assert stats["stems"] - before["stems"] == len(StemType) * len(songs)


def test_a_worker_that_dies_again_and_again(product: Product, container: ContainerClient, song: bytes):
    if product.host.return_code is not None:
        product.restart_host()
    songs = []
    for moment in _moments(WORKER_EFFECTS):
        for worker in product.workers:
            worker.kill()
        victim = product.start_worker(crash_at=moment)
        songs.append(upload(container, song))
        wait_for(lambda victim=victim: victim.return_code is not None, f"the crash {moment}")
    product.start_worker()
    for audio_file_id in songs:
        check_completed_once(product, container, audio_file_id)


def _moments(effects: tuple[str, ...]) -> list[str]:
    return [f"{side} {effect}" for effect in effects for side in SIDES]
