"""The metrics after known scenarios, and the trace of a job over its attempts."""

import collections
import dataclasses
from collections.abc import Iterator
from typing import Any
from unittest.mock import AsyncMock

import azure.durable_functions as df
import pytest
from azure.functions.meta import Datum
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient
from azure.storage.blob import ContainerClient
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, _Gauge
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from functions import sweeps
from functions.services import Services
from local.functions.app import decode
from local.functions.durable_api import client_binding
from shared import telemetry
from shared.library_statistics import TOTALS
from shared.models import Job, JobStatus, StemType
from shared.settings import AppSettings
from shared.storage.cosmos import Container, Document
from shared.storage.library_counters import SHARDS
from shared.worker_contract import Failure
from tests.integration.conftest import TurnedClock
from tests.integration.songs import claim, complete, upload

Values = dict[tuple[str, str], Any]


class Readings:
    """What the instruments say; each reading begins anew."""

    def __init__(self) -> None:
        delta = dict.fromkeys((Counter, Histogram, _Gauge), AggregationTemporality.DELTA)
        self._reader = InMemoryMetricReader(preferred_temporality=delta)
        metrics.set_meter_provider(MeterProvider([self._reader], shutdown_on_exit=False))
        trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))

    def take(self) -> Values:
        """Return values by name and attribute; of histograms number and sum."""
        data = self._reader.get_metrics_data()
        found: Values = {}
        for resource in data.resource_metrics if data else ():
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                for point in metric.data.data_points:
                    attribute = ",".join(map(str, (point.attributes or {}).values()))
                    is_number = hasattr(point, "value")
                    value = point.value if is_number else (point.count, point.sum)
                    found[metric.name.removeprefix("stem_library."), attribute] = value
        return found


@pytest.fixture(scope="module")
def of_process() -> Readings:
    return Readings()


@pytest.fixture
def readings(of_process: Readings) -> Iterator[Readings]:
    of_process.take()
    yield of_process


async def fail(services: Services, job: Job, kind: str = "permanent") -> None:
    claimed = await claim(services, job)
    failure = Failure.model_validate(
        {"attempt": claimed.attempt, "workerId": "w", "error": "No.", "kind": kind}
    )
    await services.workflow.fail(job.id, failure)


async def test_jobs_that_ended_and_were_deleted_are_counted_once(
    readings: Readings, services: Services, container: ContainerClient, clock: TurnedClock
):
    quick, slow = [await upload(services, container) for _ in range(2)]
    failed, cancelled, kept = [await upload(services, container) for _ in range(3)]
    clock.turn(seconds=20)
    done = await complete(services, container, quick)
    await fail(services, failed)
    await services.workflow.cancel(cancelled.id)
    clock.turn(seconds=40)
    await complete(services, container, slow)
    await services.jobs.settle(await services.jobs.get(done.id), services.library.follow)  # told again
    assert readings.take() == {
        ("jobs.ended", "Completed"): 2,
        ("jobs.ended", "Failed"): 1,
        ("jobs.ended", "Cancelled"): 1,
        ("jobs.completion_time", ""): (2, 20 + 60),
    }
    clock.turn(minutes=1)
    for job in (quick, slow, failed, kept):
        await services.workflow.delete_job_if_due(job.id)
    assert readings.take() == {("jobs.deleted", ""): 2}
    clock.turn(days=7)
    assert await services.sweeps.purge() >= 2
    assert readings.take()["jobs.purged", ""] >= 2  # those of other tests too


async def test_a_sweep_says_how_jobs_queue_and_library_stand(
    readings: Readings, services: Services, container: ContainerClient, clock: TurnedClock
):
    await sweeps.measure(services)
    before = readings.take()
    job = await upload(services, container)
    await complete(services, container, job)
    waiting = await upload(services, container)
    await sweeps.measure(services)
    after = readings.take()
    change = {name: after[name] - before[name] for name in before}
    assert {kind: change["library.stems", kind] for kind in StemType} == dict.fromkeys(StemType, 1)
    assert change["library.growth", ""] == 4
    assert change["jobs", JobStatus.COMPLETED] == change["jobs", JobStatus.PENDING] == 1
    assert {status for name, status in after if name == "jobs"} == set(JobStatus)
    await services.workflow.delete_job(waiting.id)


async def test_the_age_of_the_oldest_message_is_how_long_a_worker_has_been_waited_for(
    readings: Readings, services: Services, container: ContainerClient, clock: TurnedClock
):
    async def age() -> float:
        await sweeps.measure(services)
        value: float = readings.take()["queue.oldest_message_age", ""]
        return value

    for job in await services.sweeps.jobs.unsettled_since(clock(), 100):
        await services.workflow.delete_job(job)
    await delete_waiting(services)
    assert await age() == 0
    job = await upload(services, container)
    clock.turn(minutes=3)
    younger = await upload(services, container)
    assert await age() == 180
    await services.workflow.cancel(younger.id)
    await fail(services, job, "transient")
    assert await age() == 0, "it waits for the end of its backoff, not for a worker"
    clock.turn(minutes=1)
    assert 45 <= await age() <= 60
    await fail(services, (await services.jobs.get(job.id)).record, "released")
    assert await age() == 0, "it was at work until now"
    clock.turn(minutes=1)
    await services.workflow.cancel(job.id)
    assert await age() == 0
    await services.workflow.retry(job.id)
    clock.turn(seconds=10)
    assert await age() == 10
    await services.workflow.delete_job(job.id)


async def delete_waiting(services: Services) -> None:
    """Delete what other tests left waiting."""
    container = await services.database.container("jobs")
    query = "SELECT c.id FROM c WHERE c.status IN ('Pending', 'Retrying')"
    for document in [each async for each in container.query_items(query)]:
        await services.workflow.delete_job(document["id"])


async def test_dead_letters_are_counted(readings: Readings, services: Services):
    app = df.DFApp()
    app.register_functions(sweeps.blueprint(services))
    functions = {function.get_function_name(): function for function in app.get_functions()}
    on_dead_letter = functions["on_dead_letter"].get_user_function()
    message = decode("serviceBusTrigger", b"nonsense", "bytes", {"UserProperties": Datum("{}", "json")})
    await on_dead_letter(message=message, client=client_binding("http://127.0.0.1:1"))
    assert readings.take() == {("queue.dead_letters", ""): 1}


async def test_every_attempts_message_belongs_to_the_trace_of_the_upload(
    readings: Readings,
    services: Services,
    container: ContainerClient,
    settings: AppSettings,
    clock: TurnedClock,
):
    with telemetry.span("on_upload"):
        begun = telemetry.present()
        job = await upload(services, container)
    assert (job.traceparent, telemetry.present()) == (begun, None)
    with telemetry.span("of a user, days later"):
        await fail(services, job)
        await services.workflow.retry(job.id)
    found = [message.application_properties for message in await raw_messages_of(settings, job)]
    assert [telemetry.traceparent_of(properties) for properties in found] == [begun] * 2
    assert found[0][b"Diagnostic-Id"] == found[0][b"traceparent"]


async def raw_messages_of(settings: AppSettings, job: Job) -> list[ServiceBusReceivedMessage]:
    async with (
        ServiceBusClient.from_connection_string(str(settings.service_bus)) as client,
        client.get_queue_receiver(settings.analysis_queue, max_wait_time=1) as receiver,
    ):
        found = [message async for message in receiver]
        for message in found:
            await receiver.complete_message(message)
    return [message for message in found if job.id in str(message)]


@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:9"])
async def test_a_sweep_measures_only_if_anybody_is_told(
    services: Services, monkeypatch: pytest.MonkeyPatch, endpoint: str | None
):
    measured: list[Services] = []

    async def note(measured_of: Services) -> None:
        measured.append(measured_of)

    monkeypatch.setattr(sweeps, "measure", note)
    settings = services.settings.model_copy(update={"otlp_endpoint": endpoint})
    telling = dataclasses.replace(services, settings=settings, sweeps=AsyncMock())
    await sweeps.run_sweep(telling, AsyncMock())
    assert len(measured) == (endpoint is not None)


async def test_to_measure_reads_the_counters_of_no_other_day(
    services: Services, monkeypatch: pytest.MonkeyPatch
):
    read: list[str] = []
    point_read = Container._read

    async def noted(container: Container, item_id: str, partition: str) -> Document | None:
        read.append(item_id)
        return await point_read(container, item_id, partition)

    monkeypatch.setattr(Container, "_read", noted)
    await sweeps.measure(services)
    assert collections.Counter(read) == {TOTALS: SHARDS, f"{services.clock():%Y-%m}": SHARDS}
