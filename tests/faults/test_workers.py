"""Workers that are killed or frozen in the middle of a song: another takes over, and only then."""

import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from shared.worker_contract import AnalysisMessage
from tests.conftest import stems_of, wait_for, wire
from tests.faults.product import SETTINGS, Product
from tests.faults.workers import (
    QUEUE,
    blobs_of,
    check_four_stems,
    is_queue_empty,
    let_go,
    receive_by_hand,
    upload_name_of,
    upload_noise,
    wait_for_job,
    wait_until_held,
)

SONG = 10.0
"""Seconds: separation tells several times how far it is."""
STALE_AFTER = 9.0
"""Seconds, where a sweep is to find a job; one comes every 5 s."""
LEASE = float(SETTINGS["LEASE_SECONDS"])
COPIES = 20
KEPT = {"COMPLETED_JOB_TTL_SECONDS": "600"}
TAKE_OVER_SECONDS = 30.0
"""Far below any stale timeout; lock and lease are 5 and 6 s here."""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Here only a lapsed lease can bring a job back: the stale timeout is longer than any test."""
    with Product(tmp_path_factory.mktemp("leases"), HEARTBEAT_TIMEOUT_MINUTES="30", **KEPT) as product:
        yield product


def kill_workers(product: Product) -> None:
    for worker in product.workers:
        worker.kill()


def wait_longer_than(seconds: float) -> None:
    end = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() > end, f"the end of {seconds} s")


def send_copies(product: Product, message: AnalysisMessage, copies: int) -> None:
    with (
        ServiceBusClient.from_connection_string(product.service_bus) as bus,
        bus.get_queue_sender(QUEUE) as sender,
    ):
        text = message.model_dump_json(by_alias=True)
        sender.send_messages([ServiceBusMessage(text, message_id=str(uuid.uuid4())) for _ in range(copies)])


def test_a_living_worker_keeps_its_job_and_a_killed_one_loses_it_soon(product: Product, tmp_path: Path):
    kill_workers(product)
    first = product.start_worker(held_at="Separating")
    audio_file_id = upload_noise(product, tmp_path, SONG)
    job = wait_until_held(product, audio_file_id, "Separating")
    message = AnalysisMessage(
        job_id=job["id"],
        audio_file_id=audio_file_id,
        blob_name=upload_name_of(product, audio_file_id),
        attempt=1,
        analysis_version=job["analysisVersion"],
    )
    second = product.start_worker()
    send_copies(product, message, COPIES)
    wait_for(lambda: any("not for this worker" in line for line in second.tail), "a refused claim")
    wait_longer_than(LEASE)
    held = wait_for_job(product, audio_file_id, status="Running")
    assert (held["attempt"], held["retries"], held["workerId"]) == (1, 0, job["workerId"])
    first.kill()
    taken = wait_for_job(product, audio_file_id, attempt=2, patience=TAKE_OVER_SECONDS)
    assert (taken["retries"], taken["workerId"] != job["workerId"]) == (1, True)
    done = wait_for_job(product, audio_file_id, status="Completed")
    assert (done["attempt"], done["retries"]) == (2, 1)
    check_four_stems(product, done)
    wait_for(lambda: is_queue_empty(product), "the end of all copies")


@pytest.mark.parametrize("step", ["Separating", "Analysing"])
def test_a_zombie_changes_nothing_and_serves_on(product: Product, tmp_path: Path, step: str):
    kill_workers(product)
    zombie = product.start_worker(held_at=step)
    audio_file_id = upload_noise(product, tmp_path, SONG)
    frozen = wait_until_held(product, audio_file_id, step)
    os.killpg(zombie.pid, signal.SIGSTOP)
    heir = product.start_worker()
    done = wait_for_job(product, audio_file_id, status="Completed")
    assert (done["attempt"], done["workerId"] != frozen["workerId"]) == (2, True)

    def state() -> tuple[object, ...]:
        stems = stems_of(product.client, audio_file_id)
        return wire(product.client.get_job, done["id"]), stems, blobs_of(product, audio_file_id)

    before = state()
    os.killpg(zombie.pid, signal.SIGCONT)
    wait_for(lambda: any("refused" in line or "another's" in line for line in zombie.tail), "its notice")
    heir.kill()
    following = upload_noise(product, tmp_path, SONG)
    served = wait_for_job(product, following, status="Completed")
    assert (served["workerId"], served["attempt"]) == (frozen["workerId"], 1)
    assert state() == before
    check_four_stems(product, done)


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Product]:
    """A product that takes a job for stale after 9 s without a heartbeat."""
    (tmp_path / "product").mkdir()
    with Product(tmp_path / "product", HEARTBEAT_TIMEOUT_MINUTES=str(STALE_AFTER / 60), **KEPT) as product:
        yield product


def test_without_its_message_a_lost_job_comes_back_by_the_sweep(forgetful: Product, tmp_path: Path):
    worker = forgetful.start_worker(held_at="Separating")
    audio_file_id = upload_noise(forgetful, tmp_path, SONG)
    job = wait_until_held(forgetful, audio_file_id, "Separating")
    worker.kill()
    assert job["id"] in receive_by_hand(forgetful, is_done=True)
    assert is_queue_empty(forgetful)
    rescued = wait_for_job(forgetful, audio_file_id, status="Retrying")
    assert (rescued["attempt"], rescued["retries"]) == (1, 1)
    assert rescued["errorMessage"] == "No heartbeat for 0.15 minutes."
    heir = forgetful.start_worker(held_at="Separating")
    assert wait_until_held(forgetful, audio_file_id, "Separating")["attempt"] == 2
    wait_longer_than(STALE_AFTER + 5)
    let_go(heir)
    done = wait_for_job(forgetful, audio_file_id, status="Completed")
    # It took longer than the timeout, and beat: so it was not stale again.
    assert (done["attempt"], done["retries"]) == (2, 1)
    check_four_stems(forgetful, done)
