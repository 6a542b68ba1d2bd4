"""A library raised to a newer analysis by the command, while the Function app dies and a song is deleted."""

import io
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile as sf
from azure.storage.blob import BlobServiceClient

from functions.services import Services
from shared.models import ANALYSIS_VERSION, StemType
from shared.settings import AppSettings
from stem_library_client import StemLibraryClient
from tests.conftest import stems_of, wait_for, wire
from tests.faults.product import Product
from tests.integration.songs import complete

STEMS = (sys.executable, "-c", "from stem_library_client.command import main; main()")
OLDER = ANALYSIS_VERSION - 1


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("product"), COMPLETED_JOB_TTL_SECONDS="2") as product:
        yield product


async def add_older_songs(product: Product, demo_song: Path, number: int) -> list[str]:
    """Have songs in the library as the analysis before this one left them."""
    file = io.BytesIO()
    sound, rate = sf.read(demo_song, frames=44_100)
    sf.write(file, sound, rate, format="FLAC")
    services = Services.build(AppSettings.model_validate(product.settings))
    songs = [str(uuid.uuid4()) for _ in range(number)]
    with pytest.MonkeyPatch.context() as patch, _storage(product) as storage:
        for module in ("shared.library", "shared.workflow", "tests.integration.songs"):
            patch.setattr(f"{module}.ANALYSIS_VERSION", OLDER)
        container = storage.get_container_client("audio-files")
        for song in songs:
            container.upload_blob(f"{song}/song.flac", file.getvalue())
            job = await services.workflow.on_upload(f"{song}/song.flac")
            assert job is not None
            await complete(services, container, job)
    await services.close()
    return songs


def _storage(product: Product) -> BlobServiceClient:
    return BlobServiceClient.from_connection_string(product.storage)


def stems(product: Product, *arguments: str) -> str:
    env = {**os.environ, "STEMS_API": product.api}
    command = [*STEMS, *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=600).stdout


def status_of(product: Product, audio_file_id: str) -> Any:
    audio = wire(product.client.get_audio, audio_file_id)
    return audio and (audio["analysisVersion"], audio["analysisStatus"])


async def test_the_whole_library_is_raised_once(product: Product, demo_song: Path):
    product.host.kill()
    songs = await add_older_songs(product, demo_song, 4)
    product.restart_host(crash_at="before job created")
    with pytest.raises(httpx.TransportError), StemLibraryClient(product.api, patience=0) as client:
        client.reanalyse_library(limit=1)
    product.restart_host()
    assert sorted(status_of(product, song) for song in songs) == [
        *[(OLDER, "Completed")] * 3,
        (OLDER, "Pending"),
    ], "the call died between a song and its job"
    assert stems(product, "reanalyse", "--outdated", "--limit", "2") == "2 started; there may be more.\n"
    deleted = next(song for song in songs if status_of(product, song) == (OLDER, "Completed"))
    product.client.delete_audio(deleted)
    kept = [song for song in songs if song != deleted]
    product.start_worker()
    assert stems(product, "reanalyse", "--outdated", "--max-waiting", "1").endswith("none is left.\n")
    done = (ANALYSIS_VERSION, "Completed")
    wait_for(lambda: all(status_of(product, song) == done for song in kept), "the newer analysis")
    for song in kept:
        assert [stem["type"] for stem in stems_of(product.client, song)] == list(StemType)
        assert len(product.client.get_stems_of_audio(song, version=OLDER)) == len(StemType)
    ended = sum(day.completed for day in product.client.get_job_stats().days)
    assert ended == len(songs) + len(kept), "each was analysed anew once"
    assert wire(product.client.get_audio, deleted) is None
