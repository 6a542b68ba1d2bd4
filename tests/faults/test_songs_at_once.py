"""A worker with two songs at work: one is separated at a time, what befalls one leaves the other alone."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from gpu_worker import consumer
from gpu_worker.channel import Ready
from gpu_worker.consumer import DRAINED_AFTER
from gpu_worker.engine import WAITING, CancelledError
from gpu_worker.lease import Lease
from gpu_worker.main import Worker
from gpu_worker.settings import WorkerSettings
from local.process import Program
from stem_library_client.models import Completion, Job
from tests.conftest import wait_for
from tests.faults.many import RESULT
from tests.faults.product import Product
from tests.faults.workers import (
    LONG_LOCK,
    job_of,
    model_processes,
    receive_by_hand,
    upload_noise,
    wait_for_job,
)

LONG = 600.0
"""Seconds of noise: no machine is done with it before it is frozen, and no test waits for its end."""
SHORT = 5.0


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, scratch: Path) -> Iterator[Product]:
    settings = {"SONGS_AT_ONCE": "2", "COMPLETED_JOB_TTL_SECONDS": "600", "TMPDIR": str(scratch)}
    with Product(tmp_path_factory.mktemp("pair"), lock=LONG_LOCK, **settings) as product:
        yield product


@pytest.fixture
def worker(product: Product) -> Program:
    living = [worker for worker in product.workers if worker.return_code is None]
    return living[0] if living else product.start_worker()


def separating(worker: Program) -> list[int]:
    """Return the model processes that write stems."""
    return [model for model in model_processes(worker) if any(map(is_stem, files_of(model)))]


def files_of(process: int) -> list[str]:
    found = []
    for file in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(file.readlink()))
    return found


def is_stem(file: str) -> bool:
    return file.endswith("/stems/drums.wav")


def hold_device(product: Product, worker: Program, folder: Path) -> tuple[str, int]:
    """Freeze a model in the middle of a song's separation; return its audio file id and the process."""
    audio_file_id = upload_noise(product, folder, LONG)
    [holder] = wait_for(lambda: separating(worker), "the separation")
    os.kill(holder, signal.SIGSTOP)
    return audio_file_id, holder


def cancel(product: Product, audio_file_id: str) -> None:
    job = job_of(product, audio_file_id)
    assert job is not None
    assert httpx.post(f"{product.api}/api/jobs/{job['id']}/cancel").json()["status"] == "Cancelled"


def wait_until_it_waits(product: Product, audio_file_id: str) -> None:
    wait_for_job(product, audio_file_id, status="Running", currentStep=WAITING)


def test_one_is_separated_at_a_time_and_a_killed_model_frees_the_device(
    product: Product, worker: Program, tmp_path: Path
):
    held, holder = hold_device(product, worker, tmp_path)
    waiting = upload_noise(product, tmp_path, SHORT)
    wait_until_it_waits(product, waiting)
    assert separating(worker) == [holder]
    assert job_of(product, held)["status"] == "Running"  # type: ignore[index]
    os.kill(holder, signal.SIGKILL)
    done = wait_for_job(product, waiting, status="Completed")
    assert (done["attempt"], done["retries"]) == (1, 0)
    assert done["metadata"]["seconds"]["wait"] > 0
    again = wait_for_job(product, held, status="Running", attempt=2)
    assert again["retries"] == 1
    assert again["workerId"].rpartition(".")[0] == done["workerId"].rpartition(".")[0]
    cancel(product, held)


def test_a_cancel_of_one_leaves_the_other_alone(product: Product, worker: Program, tmp_path: Path):
    held, holder = hold_device(product, worker, tmp_path)
    first = upload_noise(product, tmp_path, SHORT)
    wait_until_it_waits(product, first)
    cancel(product, first)
    second = upload_noise(product, tmp_path, SHORT)
    wait_until_it_waits(product, second)
    assert separating(worker) == [holder]
    job = job_of(product, held)
    assert job is not None
    assert (job["status"], job["attempt"]) == ("Running", 1)
    cancel(product, held)
    done = wait_for_job(product, second, status="Completed")
    assert (done["attempt"], done["retries"]) == (1, 0)
    assert job_of(product, first)["status"] == "Cancelled"  # type: ignore[index]


def test_sigterm_gives_both_messages_back(product: Product, worker: Program, scratch: Path, tmp_path: Path):
    held, _ = hold_device(product, worker, tmp_path)
    waiting = upload_noise(product, tmp_path, SHORT)
    wait_until_it_waits(product, waiting)
    os.kill(worker.pid, signal.SIGTERM)
    wait_for(lambda: worker.return_code is not None, "the end of the worker")
    assert worker.return_code == 0
    messages = "".join(receive_by_hand(product, is_done=True) for _ in range(2))
    for audio_file_id in (held, waiting):
        job = job_of(product, audio_file_id)
        assert job is not None
        assert job["id"] in messages
        assert (job["status"], job["attempt"], job["retries"]) == ("Retrying", 1, 0)
    assert list(scratch.glob("stem-library-*")) == []


class Model:
    """Stands where a consumer has its model: does what it is told with a job."""

    worker_id = "w"

    def __init__(self, process: Callable[[Job, Callable[[], bool]], None]) -> None:
        self._process = process

    def process(self, job: Job, lease: Lease, should_stop: Callable[[], bool]) -> None:
        self._process(job, should_stop)


def worker_without_models(
    product: Product, process: Callable[[Job, Callable[[], bool]], None], mode: str
) -> Worker:
    for other in product.workers:
        other.kill()
    worker = Worker(
        WorkerSettings(
            API_BASE_URL=product.api,
            AUDIO_STORAGE=product.storage,
            SERVICEBUS=product.service_bus,
            SONGS_AT_ONCE=2,
            HEARTBEAT_SECONDS=1,
            WORKER_MODE=mode,
        )
    )
    ready = Ready("none", None, "none", "none")
    for each in worker._consumers:
        each._engine = SimpleNamespace(  # type: ignore[assignment]
            start=bool, wait_ready=lambda should_stop: ready, stop=bool, has_gpu=False
        )
        each._pipeline = Model(process)  # type: ignore[assignment]
    return worker


def test_a_draining_worker_ends_when_both_found_the_queue_empty(
    product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(consumer, "RECEIVE_SECONDS", 0.1)

    def while_the_other_finds_nothing(job: Job, should_stop: Callable[[], bool]) -> None:
        def empty() -> int:
            return max(each.empty_receives for each in worker._consumers)

        wait_for(lambda: empty() > 2 * DRAINED_AFTER, "empty receives of the other")
        assert not should_stop()
        completion = {**RESULT, "attempt": job.attempt, "workerId": Model.worker_id}
        product.client.complete_job(job.id, Completion.model_validate(completion))

    worker = worker_without_models(product, while_the_other_finds_nothing, "drain")
    audio_file_id = upload_noise(product, tmp_path, 1)
    worker.run()
    assert wait_for_job(product, audio_file_id, status="Completed")["attempt"] == 1
    assert [each.empty_receives >= DRAINED_AFTER for each in worker._consumers] == [True, True]


def test_a_consumer_that_fails_ends_the_worker_and_the_other_gives_back(product: Product, tmp_path: Path):
    both_at_work = threading.Barrier(2)
    given_back: list[str] = []

    def one_fails(job: Job, should_stop: Callable[[], bool]) -> None:
        if both_at_work.wait() == 0:
            raise RuntimeError("a fault of ours")
        wait_for(should_stop, "the signal to stop")
        given_back.append(job.audio_file_id)
        raise CancelledError

    worker = worker_without_models(product, one_fails, "serve")
    songs = [upload_noise(product, tmp_path, 1) for _ in range(2)]
    with pytest.raises(RuntimeError, match="a fault of ours"):
        worker.run()
    [back] = given_back
    job = job_of(product, back)
    assert job is not None
    assert (job["status"], job["attempt"], job["retries"]) == ("Retrying", 1, 0)
    [lost] = set(songs) - {back}
    assert job_of(product, lost)["status"] == "Running"  # type: ignore[index]  # until its lease lapses
