"""Many jobs of tiny songs, and a worker's calls for them without a model."""

import asyncio
import uuid
from collections.abc import Iterable
from typing import Any

import httpx
from azure.servicebus import ServiceBusClient
from azure.storage.blob.aio import BlobServiceClient

from shared.worker_contract import AnalysisMessage
from tests.conftest import wait_for
from tests.faults.product import Product
from tests.faults.workers import QUEUE

AT_ONCE = 16
"""Calls in flight: the host is busy then, and answers each in good time."""
RESULT = {"contentHash": "1" * 64, "durationSeconds": 1, "sampleRate": 44_100, "channels": 2, "song": {}}


async def upload_songs(product: Product, number: int) -> None:
    async with BlobServiceClient.from_connection_string(product.storage) as service:
        container = service.get_container_client("audio-files")
        for _ in range(number):
            await container.upload_blob(f"{uuid.uuid4()}/song.wav", b"sound")


def take_messages(product: Product, number: int) -> dict[str, AnalysisMessage]:
    """Take the messages of so many jobs off the queue; return them by job."""
    found: dict[str, AnalysisMessage] = {}

    def take() -> bool:
        for message in receiver.receive_messages(max_message_count=50, max_wait_time=1):
            receiver.complete_message(message)
            content = AnalysisMessage.model_validate_json(str(message))
            found[content.job_id] = content
        return len(found) == number

    with (
        ServiceBusClient.from_connection_string(product.service_bus) as bus,
        bus.get_queue_receiver(QUEUE) as receiver,
    ):
        wait_for(take, "the messages of all jobs", 60 + number)
    return found


class Calls:
    """The same call for all jobs, several at once, each repeated while the host is away."""

    def __init__(self, product: Product, action: str, **body: Any) -> None:
        self._api = product.api
        self._action, self._body = action, body
        self.answers: dict[str, dict[str, Any]] = {}

    async def make(self, jobs: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the answers by job."""
        slots = asyncio.Semaphore(AT_ONCE)
        async with httpx.AsyncClient(base_url=self._api, timeout=60) as api, asyncio.TaskGroup() as calls:
            for job_id in jobs:
                calls.create_task(self._make(api, slots, job_id))
        return self.answers

    async def _make(self, api: httpx.AsyncClient, slots: asyncio.Semaphore, job_id: str) -> None:
        async with slots:
            while job_id not in self.answers:
                try:
                    answer = await api.post(f"/api/jobs/{job_id}/{self._action}", json=self._body)
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
                    continue
                assert answer.status_code == 200, answer.text
                self.answers[job_id] = answer.json()
