"""A waiting job whose message the queue has lost gets another one; no other job does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessageState
from azure.servicebus.aio import ServiceBusClient
from azure.storage.blob import ContainerClient

from functions.services import Services
from local.process import Program, free_port
from local.resources import SERVICE_BUS_FILE, create_blob_container, create_cosmos_containers
from shared.job_states import SupersededError
from shared.models import Job, JobStatus
from shared.settings import AppSettings
from shared.worker_contract import AnalysisMessage, ClaimRequest, Failure
from tests.integration.conftest import COSMOS_KEY, TurnedClock
from tests.integration.songs import claim, complete, completion, upload

LAG = 5
"""Minutes by which clocks may differ."""


@pytest.fixture(scope="module")
def settings(settings: AppSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppSettings]:
    """Settings of a deployment of its own: what lies on the queue, and who waits, is what a test says."""
    data = tmp_path_factory.mktemp("alone")
    bus, cosmos = free_port(), free_port()
    for name in ("bus", "cosmos"):
        (data / name).mkdir()
    programs = [
        Program.module(
            "bus", "local.service_bus", *_arguments(bus, data / "bus"), "--config", str(SERVICE_BUS_FILE)
        ),
        Program.module("cosmos", "local.cosmos", *_arguments(cosmos, data / "cosmos")),
    ]
    for program in programs:
        program.wait_ready()
    create_blob_container(str(settings.audio_storage), "lost-messages")
    create_cosmos_containers(f"http://127.0.0.1:{cosmos}/", COSMOS_KEY)
    connection = (
        f"Endpoint=sb://127.0.0.1:{bus};SharedAccessKeyName=x;SharedAccessKey=eA==;"
        "UseDevelopmentEmulator=true;"
    )
    yield settings.model_copy(
        update={
            "service_bus": connection,
            "cosmos_endpoint": f"http://127.0.0.1:{cosmos}/",
            "audio_container": "lost-messages",
            "retry_backoff_seconds": 1000,
        }
    )
    for program in programs:
        program.kill()


def _arguments(port: int, data: Path) -> tuple[str, ...]:
    return ("--port", str(port), "--data", str(data))


@pytest.fixture
async def services(settings: AppSettings, clock: TurnedClock) -> AsyncIterator[Services]:
    """Services that find no job waiting."""
    built = Services.build(settings, clock=clock)
    for status in (JobStatus.PENDING, JobStatus.RETRYING, JobStatus.RUNNING):
        container = await built.database.container("jobs")
        query = "SELECT c.id FROM c WHERE c.status = @status"
        found = container.query_items(query, parameters=[{"name": "@status", "value": status}])
        for document in [each async for each in found]:
            await built.workflow.delete_job(document["id"])
    await purge(settings, also_put_off=True)
    yield built
    await built.close()


async def purge(settings: AppSettings, *, also_put_off: bool = False) -> None:
    """Lose what is on the queue, as an operator's purge would."""
    queue = settings.analysis_queue
    async with (
        ServiceBusClient.from_connection_string(str(settings.service_bus)) as client,
        client.get_queue_receiver(queue) as receiver,
        client.get_queue_sender(queue) as sender,
    ):
        seen = await receiver.peek_messages(100, sequence_number=1)
        put_off = [each.sequence_number for each in seen if each.state is ServiceBusMessageState.SCHEDULED]
        if put_off and also_put_off:
            await sender.cancel_scheduled_messages([number for number in put_off if number is not None])
        left = len(seen) - len(put_off)
        while left:
            for message in await receiver.receive_messages(left):
                await receiver.complete_message(message)
                left -= 1


async def attempts_of(settings: AppSettings, job: Job) -> list[int]:
    """Return which attempts the messages of a job announce that are on the queue, oldest first."""
    async with (
        ServiceBusClient.from_connection_string(str(settings.service_bus)) as client,
        client.get_queue_receiver(settings.analysis_queue) as receiver,
    ):
        seen = await receiver.peek_messages(100, sequence_number=1)
    messages = [AnalysisMessage.model_validate_json(str(each)) for each in seen]
    return [message.attempt for message in messages if message.job_id == job.id]


async def announced_by(services: Services) -> int:
    """Sweep; return how many jobs were announced again."""

    async def on_ended(job: Job) -> None:
        raise AssertionError(f"{job.id} ended")

    return (await services.sweeps.sweep(on_ended)).announced


async def fresh(services: Services, job: Job) -> Job:
    return (await services.jobs.get(job.id)).record


async def fail(services: Services, job: Job, kind: str) -> Job:
    wire = {"attempt": job.attempt, "workerId": job.worker_id, "error": "It broke.", "kind": kind}
    return await services.workflow.fail(job.id, Failure.model_validate(wire))


async def lose(services: Services, container: ContainerClient, clock: TurnedClock) -> Job:
    """Return a job whose message was sent, and purged, 20 minutes ago."""
    clock.turn(minutes=-20)
    lost = await upload(services, container)
    await purge(services.settings)
    clock.turn(minutes=20)
    return lost


async def test_a_job_whose_message_was_purged_is_announced_again(
    services: Services, container: ContainerClient, settings: AppSettings, clock: TurnedClock
):
    job = await upload(services, container)
    await purge(settings)
    clock.turn(minutes=LAG, seconds=-1)
    assert await announced_by(services) == 0, "clocks may differ by so much"
    clock.turn(seconds=2)
    assert await announced_by(services) == 1
    assert await announced_by(services) == 0
    again = await fresh(services, job)
    assert (again.status, again.retries, again.queued_attempt) == (JobStatus.PENDING, 0, 2)
    assert again.waiting_since == job.waiting_since
    assert await attempts_of(settings, job) == [2]
    done = await complete(services, container, again)
    assert (done.status, done.attempt) == (JobStatus.COMPLETED, 1)


async def test_what_came_before_the_oldest_message_is_lost_and_what_came_after_is_not(
    services: Services, container: ContainerClient, settings: AppSettings, clock: TurnedClock
):
    lost = await lose(services, container, clock)
    kept = await upload(services, container)
    assert await announced_by(services) == 1
    assert (await fresh(services, lost)).queued_attempt == 2
    assert (await fresh(services, kept)).queued_attempt == 1
    assert await announced_by(services) == 0


async def test_jobs_in_a_long_queue_keep_their_one_message(
    services: Services, container: ContainerClient, settings: AppSettings, clock: TurnedClock
):
    """The head is at work, as long as it likes; what was given back lies where it lay."""
    jobs = [await upload(services, container) for _ in range(3)]
    async with (
        ServiceBusClient.from_connection_string(str(settings.service_bus)) as client,
        client.get_queue_receiver(settings.analysis_queue) as receiver,
    ):
        (head,) = await receiver.receive_messages(1)
        for _ in range(3):
            clock.turn(hours=2)
            assert await announced_by(services) == 0
        await fail(services, await claim(services, jobs[0]), "released")
        assert await announced_by(services) == 0
        await receiver.abandon_message(head)
        clock.turn(hours=2)
        assert await announced_by(services) == 0
        left = await receiver.peek_messages(10, sequence_number=1)
    assert [message.delivery_count for message in left] == [1, 0, 0], "to look is no delivery"


async def test_what_is_put_off_says_nothing_of_the_others_and_is_not_lost(
    services: Services, container: ContainerClient, settings: AppSettings, clock: TurnedClock
):
    lost = await lose(services, container, clock)
    put_off = await fail(services, await claim(services, await upload(services, container)), "transient")
    await purge(settings)
    assert await announced_by(services) == 0, "at the head is what is put off alone"
    await upload(services, container)
    assert await announced_by(services) == 1
    assert (await fresh(services, lost)).queued_attempt == 2
    clock.turn(hours=2)
    assert await announced_by(services) == 0
    assert (await fresh(services, put_off)).queued_attempt == 2


async def test_a_message_that_was_not_lost_after_all_does_no_harm(
    services: Services, container: ContainerClient, settings: AppSettings, clock: TurnedClock
):
    job = await upload(services, container)
    clock.turn(minutes=1)
    found = await asyncio.gather(*(services.workflow.announce_again(job.id, clock()) for _ in range(2)))
    assert any(found)
    assert await attempts_of(settings, job) == [1, 2]
    with pytest.raises(SupersededError):
        await services.workflow.claim(job.id, ClaimRequest(attempt=1, worker_id="w1"))
    claimed = await services.workflow.claim(job.id, ClaimRequest(attempt=2, worker_id="w2"))
    with pytest.raises(SupersededError):
        await services.workflow.claim(job.id, ClaimRequest(attempt=1, worker_id="w1"))
    done = await services.workflow.complete(job.id, completion(claimed))
    assert done.status is JobStatus.COMPLETED


async def test_a_crash_before_the_new_message_is_repaired_by_the_next_sweep(
    services: Services, container: ContainerClient, settings: AppSettings, clock: TurnedClock
):
    job = await upload(services, container)
    await purge(settings)
    clock.turn(minutes=LAG)
    assert await services.jobs.announce_again(job.id, clock()) is not None
    assert await services.jobs.announce_again(job.id, clock()) is None, "it is about to be sent"
    assert await announced_by(services) == 0
    clock.turn(minutes=1)
    assert await announced_by(services) == 0
    assert await attempts_of(settings, job) == [2]


async def test_jobs_that_do_not_wait_are_left_alone(
    services: Services, container: ContainerClient, settings: AppSettings, clock: TurnedClock
):
    running = await claim(services, await upload(services, container))
    cancelled = await upload(services, container)
    await services.workflow.cancel(cancelled.id)
    await purge(settings)
    clock.turn(minutes=20)
    assert await announced_by(services) == 0
    given_back = await fail(services, running, "released")
    assert await announced_by(services) == 0, "it was there until now"
    clock.turn(minutes=LAG)
    assert await announced_by(services) == 1
    assert (await fresh(services, given_back)).queued_attempt == 2
    again = await services.workflow.claim(running.id, ClaimRequest(attempt=2, worker_id="w"))
    assert again.attempt == 2
