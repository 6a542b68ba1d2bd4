"""The job's life over the real SDKs, with a clock that the tests turn."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessageState
from azure.servicebus.aio import ServiceBusClient

from functions.services import Services
from shared.errors import NotFoundError
from shared.job_states import BusyError, JobPolicy, SupersededError, TransitionRefusedError
from shared.models import AudioFile, Job, JobStatus, SongMusic
from shared.queries import JobQuery
from shared.settings import AppSettings
from shared.storage.search_index import SearchIndexContainer
from shared.worker_contract import AnalysisMessage, ClaimRequest, Completion, Failure, Heartbeat
from tests.integration.conftest import TurnedClock

LEASE_SECONDS = JobPolicy().lease.total_seconds()


def audio_file(clock: TurnedClock) -> AudioFile:
    song_id = str(uuid.uuid4())
    return AudioFile(
        id=song_id,
        name="a.wav",
        blob_uri="http://x/a.wav",
        size_bytes=1,
        etag='"0x1"',
        uploaded_at=clock(),
        created_at=clock(),
    )


async def create(services: Services, clock: TurnedClock) -> Job:
    audio = audio_file(clock)
    return await ensure(services, audio)


async def ensure(services: Services, audio: AudioFile) -> Job:
    stored = await services.jobs.ensure(audio, blob_name=f"{audio.id}/a.wav", analysis_version=1)
    return await services.workflow.settle(stored)


async def claim(services: Services, job: Job, worker: str = "w1", attempt: int = 1) -> Job:
    return await services.workflow.claim(job.id, ClaimRequest(attempt=attempt, worker_id=worker))


def completion(job: Job) -> Completion:
    return Completion(
        attempt=job.attempt,
        worker_id=str(job.worker_id),
        content_hash="0" * 64,
        duration_seconds=1,
        sample_rate=44_100,
        channels=2,
        song=SongMusic(),
    )


def failure(job: Job, kind: str) -> Failure:
    return Failure.model_validate(
        {"attempt": job.attempt, "workerId": job.worker_id, "error": "Something broke.", "kind": kind}
    )


async def messages_of(settings: AppSettings, job_id: str) -> list[AnalysisMessage]:
    """Take messages off the queue until none comes; return those of the job."""
    found: list[AnalysisMessage] = []
    async with (
        ServiceBusClient.from_connection_string(str(settings.service_bus)) as client,
        client.get_queue_receiver(settings.analysis_queue, max_wait_time=1) as receiver,
    ):
        async for message in receiver:
            await receiver.complete_message(message)
            content = AnalysisMessage.model_validate_json(str(message))
            if content.job_id == job_id:
                found.append(content)
    return found


async def test_many_creators_get_one_job_and_the_queue_one_message(
    services: Services, settings: AppSettings, clock: TurnedClock
):
    audio = audio_file(clock)
    jobs = await asyncio.gather(*(ensure(services, audio) for _ in range(10)))
    assert len({job.id for job in jobs}) == 1
    message = AnalysisMessage(
        job_id=jobs[0].id,
        audio_file_id=audio.id,
        blob_name=f"{audio.id}/a.wav",
        attempt=1,
        analysis_version=1,
    )
    assert await messages_of(settings, jobs[0].id) == [message]


async def test_a_job_runs_to_completion_and_is_deleted_thirty_seconds_later(
    services: Services, clock: TurnedClock
):
    job = await claim(services, await create(services, clock))
    assert (job.status, job.attempt, job.started_at) == (JobStatus.RUNNING, 1, clock())
    completed = await services.workflow.complete(job.id, completion(job))
    assert (completed.status, completed.progress) == (JobStatus.COMPLETED, 100)
    assert completed.delete_after == clock() + timedelta(seconds=30)

    clock.turn(seconds=29.9)
    assert not await services.workflow.delete_job_if_due(job.id, 1)
    assert (await services.jobs.get(job.id)).record.status is JobStatus.COMPLETED
    clock.turn(seconds=0.1)
    assert await services.workflow.delete_job_if_due(job.id, 1)
    assert await services.workflow.delete_job_if_due(job.id, 1), "repeating it is no error"
    with pytest.raises(NotFoundError) as gone:
        await services.jobs.get(job.id)
    assert gone.value.extensions["outcome"] == "Completed"
    assert gone.value.extensions["stems"] == f"/api/audio/{job.audio_file_id}/stems"


async def test_an_unknown_job_is_just_not_found(services: Services):
    with pytest.raises(NotFoundError) as missing:
        await services.jobs.get(str(uuid.uuid4()))
    assert not missing.value.extensions


async def test_completing_twice_changes_nothing(services: Services, clock: TurnedClock):
    job = await claim(services, await create(services, clock))
    first = await services.workflow.complete(job.id, completion(job))
    clock.turn(seconds=5)
    assert await services.workflow.complete(job.id, completion(job)) == first


async def test_a_live_lease_is_not_taken_over(services: Services, settings: AppSettings, clock: TurnedClock):
    job = await claim(services, await create(services, clock))
    await messages_of(settings, job.id)
    clock.turn(seconds=LEASE_SECONDS - 1)
    with pytest.raises(BusyError):
        await claim(services, job, "w2")
    assert (await services.jobs.get(job.id)).record.worker_id == "w1"


async def test_a_claim_whose_answer_was_lost_can_be_repeated(services: Services, clock: TurnedClock):
    job = await claim(services, await create(services, clock))
    clock.turn(seconds=5)
    assert await claim(services, job) == job
    clock.turn(seconds=LEASE_SECONDS)
    again = await claim(services, job)
    assert (again.attempt, again.retries) == (2, 1), "a lapsed lease is a lost attempt, whoever had it"


async def test_a_deletion_that_comes_too_late_leaves_the_job_on_the_list(
    services: Services, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
):
    job = await create(services, clock)
    await services.workflow.cancel(job.id)
    clock.turn(days=8)
    remove = SearchIndexContainer.remove_job

    async def retried_meanwhile(index: SearchIndexContainer, ended: Job) -> None:
        monkeypatch.setattr(SearchIndexContainer, "remove_job", remove)
        await services.workflow.settle(await services.jobs.retry(ended.id))
        await remove(index, ended)

    monkeypatch.setattr(SearchIndexContainer, "remove_job", retried_meanwhile)
    assert not await services.workflow.delete_job_if_due(job.id)
    query = JobQuery(audio_file_id=job.audio_file_id)
    listed = (await services.search.jobs(query)).value
    assert [(one.id, one.status) for one in listed] == [(job.id, JobStatus.RETRYING)]


async def test_a_refused_claim_leaves_a_message_for_later(
    services: Services, settings: AppSettings, clock: TurnedClock
):
    job = await claim(services, await create(services, clock))
    await messages_of(settings, job.id)
    with pytest.raises(BusyError):
        await claim(services, job, "w2")
    async with (
        ServiceBusClient.from_connection_string(str(settings.service_bus)) as client,
        client.get_queue_receiver(settings.analysis_queue) as receiver,
    ):
        peeked = await receiver.peek_messages(max_message_count=1000, sequence_number=1)
    (later,) = [message for message in peeked if job.id in str(message)]
    assert later.state is ServiceBusMessageState.SCHEDULED
    assert AnalysisMessage.model_validate_json(str(later)).attempt == 1
    assert later.scheduled_enqueue_time_utc is not None
    ends = clock() + timedelta(seconds=LEASE_SECONDS)
    assert abs(later.scheduled_enqueue_time_utc - ends) < timedelta(seconds=1)


async def test_a_lapsed_lease_is_taken_over_and_the_zombie_refused(services: Services, clock: TurnedClock):
    zombie = await claim(services, await create(services, clock))
    clock.turn(seconds=LEASE_SECONDS + 1)
    job = await claim(services, zombie, "w2")
    assert (job.attempt, job.worker_id) == (2, "w2")
    beat = Heartbeat(attempt=1, worker_id="w1")
    for call in (
        services.jobs.heartbeat(job.id, beat),
        services.workflow.complete(job.id, completion(zombie)),
        services.workflow.fail(job.id, failure(zombie, "transient")),
        services.workflow.fail(job.id, failure(zombie, "permanent")),
    ):
        with pytest.raises(SupersededError):
            await call
    assert (await services.jobs.get(job.id)).record == job


async def test_of_two_workers_that_claim_at_once_one_wins(services: Services, clock: TurnedClock):
    job = await create(services, clock)
    results = await asyncio.gather(
        claim(services, job, "w1"), claim(services, job, "w2"), return_exceptions=True
    )
    assert sorted(type(result) for result in results if not isinstance(result, Job)) == [BusyError]
    assert (await services.jobs.get(job.id)).record.attempt == 1


async def test_heartbeats_keep_the_lease_and_progress_never_falls(services: Services, clock: TurnedClock):
    job = await claim(services, await create(services, clock))
    for step, progress, expected in (("Separating", 40, 40), ("Separating", 30, 40), (None, None, 40)):
        clock.turn(seconds=LEASE_SECONDS - 1)
        beat = Heartbeat(attempt=1, worker_id="w1", step=step, progress=progress, checkpoints={"a": "b"})
        beaten = await services.jobs.heartbeat(job.id, beat)
        assert (beaten.progress, beaten.current_step, beaten.last_heartbeat) == (
            expected,
            "Separating",
            clock(),
        )
        with pytest.raises(BusyError):
            await claim(services, job, "w2")
    assert beaten.checkpoints == {"a": "b"}


async def test_a_passing_fault_is_tried_again_until_the_last_attempt(
    settings: AppSettings, clock: TurnedClock
):
    fast = settings.model_copy(update={"max_retries": 2, "retry_backoff_seconds": 0.05})
    services = Services.build(fast, clock=clock)
    job = await create(services, clock)
    for attempt in (1, 2, 3):
        announced = await messages_of(settings, job.id)
        assert [message.attempt for message in announced] == [attempt]
        job = await claim(services, job, attempt=attempt)
        assert job.attempt == attempt
        job = await services.workflow.fail(job.id, failure(job, "transient"))
        assert job.status is (JobStatus.FAILED if attempt == 3 else JobStatus.RETRYING)
    assert job.error_message == "Something broke."
    assert not job.file_at_fault
    await services.close()


async def test_repeating_a_failure_counts_once(services: Services, clock: TurnedClock):
    job = await claim(services, await create(services, clock))
    first = await services.workflow.fail(job.id, failure(job, "transient"))
    assert await services.workflow.fail(job.id, failure(job, "transient")) == first
    assert first.retries == 1


async def test_an_old_message_of_a_retried_job_is_superseded(services: Services, clock: TurnedClock):
    job = await claim(services, await create(services, clock))
    await services.workflow.fail(job.id, failure(job, "transient"))
    with pytest.raises(SupersededError):
        await claim(services, job, "w2", attempt=1)
    assert (await claim(services, job, "w2", attempt=2)).attempt == 2


async def test_a_released_job_costs_no_retry_and_its_message_stays_good(
    services: Services, clock: TurnedClock
):
    job = await claim(services, await create(services, clock))
    released = await services.workflow.fail(job.id, failure(job, "released"))
    assert (released.status, released.retries, released.queued_attempt) == (JobStatus.RETRYING, 0, 1)
    assert (await claim(services, job, "w2", attempt=1)).status is JobStatus.RUNNING


async def test_a_file_at_fault_fails_at_once_and_stays_seven_days(services: Services, clock: TurnedClock):
    job = await claim(services, await create(services, clock))
    failed = await services.workflow.fail(job.id, failure(job, "permanent"))
    assert (failed.status, failed.file_at_fault) == (JobStatus.FAILED, True)
    with pytest.raises(SupersededError):
        await claim(services, job)
    with pytest.raises(TransitionRefusedError):
        await services.workflow.complete(job.id, completion(job))
    clock.turn(days=6, hours=23)
    assert not await services.workflow.delete_job_if_due(job.id, 1)
    clock.turn(hours=1, seconds=1)
    assert await services.workflow.delete_job_if_due(job.id, 1)


async def test_a_running_job_is_never_deleted(services: Services, clock: TurnedClock):
    job = await claim(services, await create(services, clock))
    clock.turn(days=30)
    assert not await services.workflow.delete_job_if_due(job.id, 1)


async def test_a_deletion_of_an_older_attempt_spares_the_job(services: Services, clock: TurnedClock):
    job = await claim(services, await create(services, clock))
    clock.turn(seconds=LEASE_SECONDS + 1)
    again = await claim(services, job, "w2")
    await services.workflow.complete(job.id, completion(again))
    clock.turn(seconds=31)
    assert not await services.workflow.delete_job_if_due(job.id, 1)
    assert await services.workflow.delete_job_if_due(job.id, 2)


async def test_the_list_walks_the_days_backwards_and_ends(services: Services, clock: TurnedClock):
    clock.turn(days=100)
    newest_first: list[str] = []
    for days in (0, 0, 1, 4, 0):
        clock.turn(days=days, seconds=1)
        newest_first.insert(0, (await create(services, clock)).id)
    walked: list[str] = []
    token = None
    while not walked or token:
        page = await services.search.jobs(JobQuery(status=JobStatus.PENDING, limit=2, page_token=token))
        walked += [summary.id for summary in page.value]
        token = page.next_token
    assert walked[:5] == newest_first, "the jobs of other tests are older"
    assert len(set(walked)) == len(walked)
