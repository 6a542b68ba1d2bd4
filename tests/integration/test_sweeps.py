"""Sweeps: what crashes and lost messages leave is repaired, and nothing younger than its time is touched."""

import uuid
from datetime import timedelta

import pytest
from azure.storage.blob import ContainerClient

from functions.services import Services
from shared.errors import NotFoundError
from shared.models import AnalysisStatus, Job, JobStatus, StemType
from shared.settings import AppSettings
from shared.sweeps import SweepReport
from shared.worker_contract import Heartbeat
from tests.integration.conftest import TurnedClock
from tests.integration.songs import blobs_of, claim, complete, completion, message_of, save_stems, upload
from tests.integration.test_job_life import messages_of

NO_HEARTBEAT = "No heartbeat for 30 minutes."


async def sweep(services: Services) -> tuple[SweepReport, list[str]]:
    """Sweep once; return the report and the ids of the jobs that it says have ended."""
    ended: list[str] = []

    async def on_ended(job: Job) -> None:
        ended.append(job.id)

    return await services.sweeps.sweep(on_ended), ended


async def status_of(services: Services, job: Job) -> JobStatus:
    return (await services.jobs.get(job.id)).record.status


async def test_a_silent_job_is_queued_again_after_thirty_minutes_and_not_before(
    services: Services, container: ContainerClient, clock: TurnedClock, settings: AppSettings
):
    job = await claim(services, await upload(services, container))
    clock.turn(minutes=20)
    await services.jobs.heartbeat(job.id, Heartbeat(attempt=1, worker_id="w"))
    clock.turn(minutes=29, seconds=59)
    await sweep(services)
    assert await status_of(services, job) is JobStatus.RUNNING
    clock.turn(seconds=2)
    await sweep(services)
    rescued = (await services.jobs.get(job.id)).record
    assert (rescued.status, rescued.queued_attempt, rescued.retries) == (JobStatus.RETRYING, 2, 1)
    assert rescued.error_message == NO_HEARTBEAT
    assert rescued.not_before is not None
    assert timedelta(0) < rescued.not_before - clock() <= timedelta(seconds=10)
    # The queue goes by the real clock, for which the turned one's backoff lies in the future.
    with pytest.raises(Exception, match=r"can't be completed|superseded"):
        await services.workflow.complete(job.id, completion(job, worker_id="zombie"))


async def test_a_job_that_stays_silent_fails_after_its_last_attempt(
    services: Services, container: ContainerClient, clock: TurnedClock
):
    job = await upload(services, container)
    for attempt in range(1, 5):
        job = await claim(services, (await services.jobs.get(job.id)).record)
        assert job.attempt == attempt
        clock.turn(minutes=31)
        _, ended = await sweep(services)
        assert (job.id in ended) == (attempt == 4)
    failed = (await services.jobs.get(job.id)).record
    assert failed.status is JobStatus.FAILED
    assert failed.error_message == "The analysis was given up: its worker was lost 4 times."
    audio = (await services.library.get_audio(job.audio_file_id)).record
    assert (audio.analysis_status, audio.error) == (AnalysisStatus.FAILED, failed.error_message)


async def test_a_lapsed_lease_is_taken_over_no_more_often_than_there_are_retries(
    services: Services, container: ContainerClient, clock: TurnedClock
):
    job = await upload(services, container)
    for attempt in range(1, 5):
        assert (await claim(services, job, f"w{attempt}")).attempt == attempt
        clock.turn(seconds=91)
    with pytest.raises(Exception, match="given up"):
        await claim(services, job, "w5")
    assert await status_of(services, job) is JobStatus.FAILED


async def test_a_job_whose_message_was_never_sent_is_sent_by_the_sweep(
    services: Services, container: ContainerClient, clock: TurnedClock, settings: AppSettings
):
    """The Function app died between writing the job and sending its message."""
    name = f"{uuid.uuid4()}/song.wav"
    container.upload_blob(name, b"sound")
    job = await upload(services, container)
    await messages_of(settings, job.id)
    stored = await services.jobs.get(job.id)
    unsettled = stored.record.model_copy(update={"unsettled_since": clock(), "queued_attempt": 7})
    await services.sweeps.jobs.replace(unsettled, stored.etag)
    clock.turn(seconds=59)
    await sweep(services)
    assert await messages_of(settings, job.id) == []
    clock.turn(seconds=2)
    await sweep(services)
    assert [message.attempt for message in await messages_of(settings, job.id)] == [7]
    assert (await services.jobs.get(job.id)).record.unsettled_since is None


async def test_a_completion_that_broke_off_is_finished_by_whoever_looks_first(
    services: Services, container: ContainerClient, clock: TurnedClock
):
    """The Function app died between ending the job and writing the library."""
    job = await claim(services, await upload(services, container))
    await save_stems(services, container, job)
    await services.jobs.complete(job.id, completion(job))
    assert await services.stems.of_song(job.audio_file_id) == []
    assert (await services.workflow.get_settled(job.id)).record.status is JobStatus.COMPLETED
    assert len(await services.stems.of_song(job.audio_file_id)) == 4

    other = await claim(services, await upload(services, container))
    await save_stems(services, container, other)
    await services.jobs.complete(other.id, completion(other))
    clock.turn(minutes=2)
    _, ended = await sweep(services)
    assert other.id in ended
    assert len(await services.stems.of_song(other.audio_file_id)) == 4


async def test_a_job_is_not_deleted_before_its_result_is_in_the_library(
    services: Services, container: ContainerClient, clock: TurnedClock
):
    job = await claim(services, await upload(services, container))
    await save_stems(services, container, job)
    await services.jobs.complete(job.id, completion(job))
    clock.turn(seconds=31)
    assert await services.workflow.delete_job_if_due(job.id, 1)
    assert len(await services.stems.of_song(job.audio_file_id)) == 4


async def test_an_upload_without_an_event_is_found_and_one_with_an_event_is_not(
    services: Services, container: ContainerClient
):
    await sweep(services)  # what other tests have lost
    known = await upload(services, container)
    name = f"{uuid.uuid4()}/lost.wav"
    container.upload_blob(name, b"sound")
    container.upload_blob(f"{uuid.uuid4()}/stems/drums.wav", b"sound")
    report, _ = await sweep(services)
    assert report.uploads_found == 1
    audio = await services.library.find_audio(name.split("/")[0])
    assert audio is not None
    assert audio.job_id is not None
    assert await status_of(services, known) is JobStatus.PENDING
    container.upload_blob(known.blob_name, b"another sound", overwrite=True)
    assert (await sweep(services))[0].uploads_found == 1
    assert (await sweep(services))[0].uploads_found == 0


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
async def test_failed_and_cancelled_jobs_stay_seven_days(
    services: Services, container: ContainerClient, clock: TurnedClock, status: JobStatus
):
    job = await upload(services, container)
    if status is JobStatus.CANCELLED:
        await services.workflow.cancel(job.id)
    else:
        message = message_of(job)
        assert (await services.workflow.on_dead_letter(message, "It was given up.")) is not None
    assert await status_of(services, job) is status
    clock.turn(days=6, hours=23)
    await services.sweeps.purge()
    assert await status_of(services, job) is status
    clock.turn(hours=2)
    await services.sweeps.purge()
    with pytest.raises(NotFoundError):
        await services.jobs.get(job.id)


async def test_the_purge_by_hand_takes_an_age_and_spares_what_has_not_ended_badly(
    services: Services, container: ContainerClient, clock: TurnedClock
):
    running = await claim(services, await upload(services, container))
    done = await complete(services, container, await upload(services, container))
    cancelled = await upload(services, container)
    await services.workflow.cancel(cancelled.id)
    clock.turn(days=1)
    await services.sweeps.purge(timedelta(days=2))
    assert await status_of(services, cancelled) is JobStatus.CANCELLED
    await services.sweeps.purge(timedelta(hours=23))
    with pytest.raises(NotFoundError):
        await services.jobs.get(cancelled.id)
    assert await status_of(services, running) is JobStatus.RUNNING
    assert await status_of(services, done) is JobStatus.COMPLETED
    clock.turn(days=30)
    await services.sweeps.purge()
    assert await status_of(services, running) is JobStatus.RUNNING


async def test_the_purge_by_hand_first_writes_what_follows_from_the_end(
    services: Services, container: ContainerClient
):
    """Else its song would wait for a job that is gone, and the walk over uploads make it anew."""
    job = await upload(services, container)
    await services.jobs.cancel(job.id)  # and the app died
    await services.sweeps.purge(timedelta(0))
    with pytest.raises(NotFoundError):
        await services.jobs.get(job.id)
    audio = (await services.library.get_audio(job.audio_file_id)).record
    assert (audio.analysis_status, audio.error) == (AnalysisStatus.FAILED, "The analysis was cancelled.")


async def test_dead_letters_of_older_attempts_and_ended_jobs_change_nothing(
    services: Services, container: ContainerClient
):
    job = await upload(services, container)
    await services.workflow.cancel(job.id)
    retried = await services.workflow.retry(job.id)
    message = message_of(job)
    await services.workflow.on_dead_letter(message, "It was given up.")
    assert await status_of(services, job) is JobStatus.RETRYING
    done = await complete(services, container, retried)
    await services.workflow.on_dead_letter(message.model_copy(update={"attempt": 2}), "It was given up.")
    assert await status_of(services, job) is JobStatus.COMPLETED
    unknown = message.model_copy(update={"job_id": str(uuid.uuid4())})
    assert await services.workflow.on_dead_letter(unknown, "It was given up.") is None
    assert len(blobs_of(container, done.audio_file_id)) == 1 + 4 + 4 + 4, (
        "song, stems, their MIDI and structures"
    )


async def test_a_dead_letter_does_not_end_a_job_that_is_at_work(
    services: Services, container: ContainerClient, clock: TurnedClock
):
    job = await claim(services, await upload(services, container))
    message = message_of(job)
    await services.workflow.on_dead_letter(message, "It was given up.")
    assert await status_of(services, job) is JobStatus.RUNNING
    clock.turn(seconds=91)
    await services.workflow.on_dead_letter(message, "It was given up.")
    assert await status_of(services, job) is JobStatus.FAILED


async def test_a_dead_attempts_stems_are_replaced_by_those_of_the_one_that_completes(
    services: Services, container: ContainerClient, clock: TurnedClock
):
    first = await claim(services, await upload(services, container))
    await save_stems(services, container, first, StemType.DRUMS)
    clock.turn(seconds=91)
    second = await claim(services, first, "other")
    await save_stems(services, container, second)
    await services.workflow.complete(second.id, completion(second))
    stems = await services.stems.of_song(first.audio_file_id)
    assert len(stems) == 4
    assert all(f"/{first.id}/2/" in stem.blob_uri for stem in stems)
    assert sum(name.endswith("drums.wav") for name in blobs_of(container, first.audio_file_id)) == 1


async def test_statistics_outlive_the_jobs_and_count_each_once(
    services: Services, container: ContainerClient, clock: TurnedClock
):
    clock.turn(days=500)  # days that no other test counts on
    seconds: list[float] = []
    jobs: list[Job] = []
    for wait in (10, 20, 60):
        job = await claim(services, await upload(services, container))
        clock.turn(seconds=wait)
        for _ in range(2):
            done = await services.workflow.complete(job.id, completion(job))
        assert done.completed_at is not None
        seconds.append((done.completed_at - done.created_at).total_seconds())
        jobs.append(done)
    clock.turn(seconds=31)
    cancelled = await upload(services, container)
    await services.workflow.cancel(cancelled.id)
    for job in jobs:
        for _ in range(2):
            assert await services.workflow.delete_job_if_due(job.id, 1)
    stats = await services.job_statistics.sum_up(clock().date())
    day = stats.days[0]
    assert (day.completed, day.failed, day.cancelled, day.completed_deleted, day.purged) == (3, 0, 1, 3, 0)
    assert stats.average_completion_seconds == pytest.approx(sum(seconds) / 3)
    assert stats.p95_completion_seconds is not None
    assert max(seconds) <= stats.p95_completion_seconds <= max(seconds) * 2 ** (1 / 4)
    assert stats.by_status[JobStatus.CANCELLED] >= 1
