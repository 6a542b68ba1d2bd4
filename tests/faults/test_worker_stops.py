"""Workers that are told to stop, by SIGTERM or by a cancel, in the middle of a song."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile as sf

from gpu_worker.channel import Analysed, Answer, Ready, Separated, SongTask
from gpu_worker.checkpoints import StemBlob
from gpu_worker.decoding import SourceFormat
from gpu_worker.lease import Lease
from gpu_worker.pipeline import Pipeline
from gpu_worker.settings import WorkerSettings
from gpu_worker.songs import SongStorage
from shared.models import StemType
from stem_library_client import ApiError
from stem_library_client.models import ClaimRequest
from tests.conftest import wait_for, wire
from tests.faults.product import Product
from tests.faults.workers import (
    LONG_LOCK,
    blobs_of,
    check_four_stems,
    job_of,
    receive_by_hand,
    upload_name_of,
    upload_noise,
    wait_for_job,
    wait_until_held,
)

SONG = 10.0
"""Seconds: separation tells several times how far it is."""
BACK_WITHIN = 5.0
FREE_WITHIN = 10.0


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, scratch: Path) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("stops")
    with Product(folder, lock=LONG_LOCK, COMPLETED_JOB_TTL_SECONDS="600", TMPDIR=str(scratch)) as product:
        yield product


@pytest.mark.parametrize("step", ["Separating", "Analysing"])
def test_sigterm_gives_message_and_attempt_back_and_leaves_nothing(
    product: Product, scratch: Path, tmp_path: Path, step: str
):
    worker = product.start_worker(held_at=step)
    audio_file_id = upload_noise(product, tmp_path, SONG)
    job = wait_until_held(product, audio_file_id, step)
    assert list(scratch.glob("stem-library-*"))
    stopped = time.monotonic()
    os.kill(worker.pid, signal.SIGTERM)
    assert job["id"] in receive_by_hand(product, is_done=False)
    assert time.monotonic() - stopped < BACK_WITHIN
    wait_for(lambda: worker.return_code is not None, "the end of the worker")
    assert worker.return_code == 0
    back = job_of(product, audio_file_id)
    assert back is not None
    assert (back["status"], back["attempt"], back["retries"]) == ("Retrying", 1, 0)
    assert list(scratch.glob("stem-library-*")) == []
    left = set(blobs_of(product, audio_file_id)) - {upload_name_of(product, audio_file_id)}
    assert all(f"/stems/{job['id']}/1/" in name for name in left), "what the next attempt goes on from"

    product.start_worker()
    done = wait_for_job(product, audio_file_id, status="Completed")
    assert (done["attempt"], done["retries"]) == (2, 0)
    check_four_stems(product, done)
    product.workers[-1].kill()


@pytest.mark.parametrize("step", ["Separating", "Analysing"])
def test_a_cancel_frees_the_worker_and_a_retry_completes(product: Product, tmp_path: Path, step: str):
    worker = product.start_worker(held_at=step)
    audio_file_id = upload_noise(product, tmp_path, SONG)
    job = wait_until_held(product, audio_file_id, step)
    following = upload_noise(product, tmp_path, SONG)
    waiting = wait_for_job(product, following, status="Pending")
    cancelled = httpx.post(f"{product.api}/api/jobs/{job['id']}/cancel").json()
    assert cancelled["status"] == "Cancelled"
    taken = wait_for_job(product, following, patience=FREE_WITHIN, status="Running")
    assert (taken["id"], taken["workerId"]) == (waiting["id"], job["workerId"])
    wait_for_job(product, following, status="Completed")
    assert set(blobs_of(product, audio_file_id)) == {upload_name_of(product, audio_file_id)}
    assert wire(product.client.get_job, job["id"])["status"] == "Cancelled"  # type: ignore[index]

    assert httpx.post(f"{product.api}/api/jobs/{job['id']}/retry").json()["status"] == "Retrying"
    done = wait_for_job(product, audio_file_id, status="Completed")
    check_four_stems(product, done)
    worker.kill()


class CancelledAmidUpload(SongStorage):
    """A user's cancel arrives while a file of that kind is on its way into the storage."""

    def __init__(self, product: Product, kind: str) -> None:
        super().__init__(settings_of(product))
        self._api = product.api
        self._kind = kind
        self.uploaded: list[str] = []

    def _upload(self, name: str, path: Path, content_type: str) -> StemBlob:
        if path.suffix == self._kind:
            job_id = name.split("/")[-3]
            httpx.post(f"{self._api}/api/jobs/{job_id}/cancel").raise_for_status()
            self.uploaded.append(name)
        return super()._upload(name, path, content_type)


class Separates:
    """Stands where the model is: silence, at once."""

    def wait_ready(self, should_stop: Callable[[], bool]) -> Ready:
        return Ready("none", None, "pulse readings", "cpu")

    def process(
        self, task: SongTask, *, on_answer: Callable[[Answer], None], should_stop: Callable[[], bool]
    ) -> Analysed:
        paths = {stem: task.folder / f"{stem}.wav" for stem in StemType}
        for path in paths.values():
            sf.write(path, np.zeros((100, 2)), 44_100)
        on_answer(Separated(SourceFormat(duration_seconds=1.0, sample_rate=44_100, channels=2), paths))
        midi = task.folder / "bass.mid"
        midi.write_bytes(b"MThd")
        return Analysed({}, {stem: {} for stem in StemType}, {StemType.BASS: {"midiUri": midi}}, {})


def settings_of(product: Product) -> WorkerSettings:
    return WorkerSettings(
        API_BASE_URL=product.api, AUDIO_STORAGE=product.storage, SERVICEBUS=product.service_bus
    )


@pytest.mark.parametrize("kind", [".wav", ".mid"])
def test_what_arrives_after_the_cancel_is_taken_back(product: Product, tmp_path: Path, kind: str):
    audio_file_id = upload_noise(product, tmp_path, 1)
    pending = wait_for_job(product, audio_file_id, status="Pending")
    claimed = product.client.claim_job(pending["id"], ClaimRequest(attempt=1, worker_id="w"))
    storage = CancelledAmidUpload(product, kind)
    pipeline = Pipeline(
        client=product.client,
        storage=storage,
        engine=Separates(),  # type: ignore[arg-type]
        max_minutes=1,
        worker_id="w",
    )
    lease = Lease(product.client, job_id=pending["id"], attempt=1, worker_id="w", interval=1)
    with pytest.raises(ApiError, match="409"):
        pipeline.process(claimed, lease, lambda: False)
    assert storage.uploaded
    assert set(blobs_of(product, audio_file_id)) == {upload_name_of(product, audio_file_id)}
