"""A flood of duplicate messages, reordered and with older attempts among them: each song is analysed once."""

import random
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from gpu_worker.channel import Ready
from gpu_worker.lease import Lease
from gpu_worker.main import Worker
from gpu_worker.settings import WorkerSettings
from shared.worker_contract import AnalysisMessage
from stem_library_client import ApiError, StemLibraryClient
from stem_library_client.models import ClaimRequest, Completion, Job
from tests.conftest import wait_for
from tests.faults.many import RESULT, Calls, take_messages, upload_songs
from tests.faults.product import Product
from tests.faults.workers import QUEUE, is_queue_empty

JOBS, MESSAGES, WORKERS = 50, 1000, 3
LATE = 100
"""Messages that come when their jobs have been deleted."""


class Analyses:
    """Stands where a worker has its model: notes the analysis, meets a duplicate, and completes the job."""

    def __init__(self, product: Product, worker_id: str) -> None:
        self.worker_id = worker_id
        self.done: list[tuple[str, int]] = []
        self._client = StemLibraryClient(product.api)

    def process(self, job: Job, lease: Lease, should_stop: Callable[[], bool]) -> None:
        self.done.append((job.id, job.attempt))
        with pytest.raises(ApiError, match="Another worker holds this job"):
            self._client.claim_job(job.id, ClaimRequest(attempt=job.attempt, worker_id="thief"))
        completion = {**RESULT, "attempt": job.attempt, "workerId": self.worker_id}
        self._client.complete_job(job.id, Completion.model_validate(completion))


def work_until_empty(product: Product, worker_id: str) -> list[tuple[str, int]]:
    """Consume the queue as a worker does; return job and attempt of each analysis."""
    settings = WorkerSettings(
        API_BASE_URL=product.api,
        AUDIO_STORAGE=product.storage,
        SERVICEBUS=product.service_bus,
        HEARTBEAT_SECONDS=1,
        WORKER_MODE="drain",
    )
    worker, analyses = Worker(settings), Analyses(product, worker_id)
    ready = Ready("none", None, "none", "none")
    [consumer] = worker._consumers
    consumer._engine = SimpleNamespace(  # type: ignore[assignment]
        start=bool, wait_ready=lambda should_stop: ready, stop=bool, has_gpu=False
    )
    consumer._pipeline = analyses  # type: ignore[assignment]
    worker.run()
    return analyses.done


def send(product: Product, messages: list[AnalysisMessage]) -> None:
    with (
        ServiceBusClient.from_connection_string(product.service_bus) as bus,
        bus.get_queue_sender(QUEUE) as sender,
    ):
        for start in range(0, len(messages), 100):
            sender.send_messages(
                [
                    ServiceBusMessage(message.model_dump_json(by_alias=True), message_id=str(uuid.uuid4()))
                    for message in messages[start : start + 100]
                ]
            )


async def test_duplicates_cost_no_analysis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    chance = random.Random(13)
    with Product(tmp_path, COMPLETED_JOB_TTL_SECONDS="2") as product:
        await upload_songs(product, JOBS)
        messages = take_messages(product, JOBS)
        fallen = list(messages)[::2]
        lost = {"attempt": 1, "workerId": "fallen"}
        await Calls(product, "claim", **lost).make(fallen)
        await Calls(product, "fail", **lost, error="It broke.", kind="transient").make(fallen)
        queued = {job_id: 2 if job_id in fallen else 1 for job_id in messages}
        each = MESSAGES // JOBS
        flood = [
            message.model_copy(update={"attempt": 1 if number % 2 else queued[job_id]})
            for job_id, message in messages.items()
            for number in range(each)
        ]
        chance.shuffle(flood)
        send(product, flood[LATE:])
        with ThreadPoolExecutor(WORKERS) as pool:
            done = pool.map(work_until_empty, [product] * WORKERS, ["w1", "w2", "w3"])
            analyses = [analysis for of_worker in done for analysis in of_worker]
        assert len(flood) == MESSAGES
        assert sorted(analyses) == sorted(queued.items())
        assert is_queue_empty(product)
        wait_for(lambda: not [*product.client.list_jobs()], "the deletion of all jobs")
        send(product, flood[:LATE])
        monkeypatch.setattr("gpu_worker.main.DRAINED_AFTER", 2)  # nothing is put off any more
        assert work_until_empty(product, "w4") == []
        assert is_queue_empty(product)
        async with httpx.AsyncClient(base_url=product.api) as api:
            days = (await api.get("/api/jobs/stats")).json()["days"]
        ends = [sum(day[end] for day in days) for end in ("completed", "failed", "cancelled")]
        assert ends == [JOBS, 0, 0]
