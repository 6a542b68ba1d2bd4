"""What the log says of jobs: an `action` and a level each, that queries and alerts go by."""

import json
import logging
from typing import Any

import azure.durable_functions as df
import pytest
from azure.storage.blob import ContainerClient

from functions import job_cleanup
from functions.services import Services
from shared.errors import NotFoundError
from shared.models import Job, JobOutcome, JobStatus
from shared.storage.jobs import JobHistoryContainer
from shared.worker_contract import Failure
from tests.integration.conftest import TurnedClock
from tests.integration.songs import claim, complete, upload

LEVELS = {
    "job created": logging.INFO,
    "job running": logging.INFO,
    "job completed": logging.INFO,
    "job deleted": logging.INFO,
    "job failed": logging.WARNING,
    "job stale": logging.WARNING,
    "job retrying": logging.INFO,
    "purge failed": logging.ERROR,
    "deletion failed": logging.ERROR,
}


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "azure")
    caplog.set_level(logging.INFO)  # last: it is the handler's level too


def actions(caplog: pytest.LogCaptureFixture, job: Job) -> list[str]:
    """Return what the log says of a job, each at the level that it should have."""
    found = [vars(record) for record in caplog.records if vars(record).get("job_id") == job.id]
    assert all(each["levelno"] == LEVELS[each["action"]] for each in found)
    return [each["action"] for each in found]


async def test_a_completed_job(
    services: Services, container: ContainerClient, clock: TurnedClock, caplog: pytest.LogCaptureFixture
):
    job = await complete(services, container, await upload(services, container))
    clock.turn(seconds=31)
    assert await services.workflow.delete_job_if_due(job.id)
    assert actions(caplog, job) == ["job created", "job running", "job completed", "job deleted"]
    await services.workflow.on_upload(job.blob_name)
    assert not await services.sweeps.jobs.of_audio(job.audio_file_id)
    assert len(actions(caplog, job)) == 4, "what changes nothing says nothing"


async def test_a_failed_job_and_a_stale_one(
    services: Services, container: ContainerClient, clock: TurnedClock, caplog: pytest.LogCaptureFixture
):
    failed = await claim(services, await upload(services, container))
    failure = Failure(attempt=1, worker_id="w", error="The file is empty.", kind="permanent")
    await services.workflow.fail(failed.id, failure)
    assert actions(caplog, failed)[2:] == ["job failed"]
    silent = await claim(services, await upload(services, container))
    clock.turn(minutes=31)
    await services.workflow.rescue(silent.id)
    assert actions(caplog, silent)[2:] == ["job stale", "job retrying"]


async def test_a_purge_that_fails_for_one_job_goes_on_with_the_others(
    services: Services,
    container: ContainerClient,
    clock: TurnedClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    jobs = [await complete(services, container, await upload(services, container)) for _ in range(3)]
    clock.turn(seconds=31)
    with monkeypatch.context() as broken:
        break_deletion(broken, jobs[1])
        await services.sweeps.purge()
    assert [await is_there(services, job) for job in jobs] == [False, True, False]
    assert "purge failed" in actions(caplog, jobs[1])
    await services.sweeps.purge()
    assert not await is_there(services, jobs[1])


async def test_a_deletion_that_fails_says_so_and_can_be_repeated(
    services: Services,
    container: ContainerClient,
    clock: TurnedClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    job = await complete(services, container, await upload(services, container))
    clock.turn(seconds=31)
    delete = activity(services)
    due = json.dumps({"jobId": job.id, "attempt": job.attempt})
    with monkeypatch.context() as broken:
        break_deletion(broken, job)
        with pytest.raises(RuntimeError):
            await delete(due)
    assert actions(caplog, job)[-1] == "deletion failed"
    assert await is_there(services, job)
    assert await delete(due)
    assert actions(caplog, job)[-1] == "job deleted"
    assert await delete(due), "a job that is gone is no failure"
    assert actions(caplog, job).count("deletion failed") == 1


def activity(services: Services) -> Any:
    app = df.DFApp()
    app.register_functions(job_cleanup.blueprint(services))
    found = {function.get_function_name(): function.get_user_function() for function in app.get_functions()}
    return found["delete_job_if_due"]


def break_deletion(monkeypatch: pytest.MonkeyPatch, job: Job) -> None:
    put = JobHistoryContainer.put

    async def failing(self: JobHistoryContainer, outcome: JobOutcome) -> None:
        if outcome.id == job.id:
            raise RuntimeError("a fault that nobody foresaw")
        await put(self, outcome)

    monkeypatch.setattr(JobHistoryContainer, "put", failing)


async def is_there(services: Services, job: Job) -> bool:
    try:
        return (await services.jobs.get(job.id)).record.status is JobStatus.COMPLETED
    except NotFoundError:
        return False
