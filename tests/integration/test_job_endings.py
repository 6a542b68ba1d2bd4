"""Cancel, retry and delete; and what the library shows of a job that did not complete."""

import pytest
from azure.storage.blob import ContainerClient

from functions.services import Services
from shared.errors import BeingDeletedError, ConflictError, InvalidInputError, NotFoundError
from shared.job_states import SupersededError, TransitionRefusedError
from shared.models import AnalysisStatus, AudioFile, JobStatus, StemType
from shared.settings import AppSettings
from shared.worker_contract import Heartbeat
from tests.integration.conftest import TurnedClock
from tests.integration.songs import blobs_of, claim, complete, completion, save_stems, upload
from tests.integration.test_job_life import messages_of


async def audio_of(services: Services, audio_file_id: str) -> AudioFile:
    return (await services.library.get_audio(audio_file_id)).record


async def test_stems_are_seen_all_at_once_when_their_job_completes(
    services: Services, container: ContainerClient
):
    job = await claim(services, await upload(services, container))
    await save_stems(services, container, job)
    assert await services.stems.of_song(job.audio_file_id) == []
    await services.workflow.complete(job.id, completion(job))
    stems = await services.stems.of_song(job.audio_file_id)
    assert [stem.type for stem in stems] == list(StemType)
    for stem in stems:
        assert (await services.stems.get(stem.id)).record.beats == '[{"time":1}]'


async def test_a_cancelled_job_leaves_no_stem_and_no_blob(services: Services, container: ContainerClient):
    job = await claim(services, await upload(services, container))
    await save_stems(services, container, job, StemType.DRUMS, StemType.BASS)
    assert len(blobs_of(container, job.audio_file_id)) > 2
    cancelled = await services.workflow.cancel(job.id)
    assert cancelled.status is JobStatus.CANCELLED
    assert await services.workflow.cancel(job.id) == cancelled
    assert blobs_of(container, job.audio_file_id) == {job.blob_name}
    assert await services.stems.of_song(job.audio_file_id) == []
    audio = await audio_of(services, job.audio_file_id)
    assert (audio.analysis_status, audio.error) == (AnalysisStatus.FAILED, "The analysis was cancelled.")


async def test_a_deleted_stem_takes_its_blobs_with_it_and_no_others(
    services: Services, container: ContainerClient
):
    job = await complete(services, container, await upload(services, container))
    gone, *others = await services.stems.of_song(job.audio_file_id)
    before = blobs_of(container, job.audio_file_id)
    await services.stems.delete(gone.id)
    assert {name.rpartition(".")[2] for name in before - blobs_of(container, job.audio_file_id)} == {
        "wav",
        "mid",
        "gz",
    }
    assert await services.stems.of_song(job.audio_file_id) == others


async def test_nothing_but_a_users_retry_revives_a_cancelled_job(
    services: Services, container: ContainerClient, clock: TurnedClock
):
    job = await claim(services, await upload(services, container))
    await services.workflow.cancel(job.id)
    beat = Heartbeat(attempt=job.attempt, worker_id="w")
    with pytest.raises(TransitionRefusedError):
        await services.workflow.complete(job.id, completion(job))
    with pytest.raises(TransitionRefusedError):
        await services.jobs.heartbeat(job.id, beat)
    with pytest.raises(SupersededError):
        await claim(services, job, "other")
    clock.turn(hours=1)
    assert (await services.workflow.rescue(job.id)).status is JobStatus.CANCELLED

    retried = await services.workflow.retry(job.id)
    assert (retried.status, retried.delete_after) == (JobStatus.RETRYING, None)
    with pytest.raises(SupersededError):  # by the message of before
        await claim(services, job, "other")
    assert (await complete(services, container, retried)).status is JobStatus.COMPLETED
    with pytest.raises(TransitionRefusedError):
        await services.workflow.cancel(job.id)
    with pytest.raises(TransitionRefusedError):
        await services.workflow.retry(job.id)


async def test_a_new_version_cancels_the_running_job_and_keeps_the_old_stems_until_it_completes(
    services: Services, container: ContainerClient
):
    first = await complete(services, container, await upload(services, container))
    before = await services.stems.of_song(first.audio_file_id)
    second = await claim(services, await upload(services, container, first.blob_name))
    assert await services.stems.of_song(first.audio_file_id) == before
    third = await upload(services, container, first.blob_name)
    assert (await services.jobs.get(second.id)).record.status is JobStatus.CANCELLED
    with pytest.raises(ConflictError, match="newer job"):
        await services.workflow.retry(second.id)
    assert await services.stems.of_song(first.audio_file_id) == before

    await complete(services, container, third)
    after = await services.stems.of_song(first.audio_file_id)
    assert [stem.id for stem in after] == [stem.id for stem in before]
    assert all(f"/{third.id}/" in stem.blob_uri for stem in after)
    left = [name.rpartition(".")[2] for name in blobs_of(container, first.audio_file_id)]
    assert (left.count("wav"), left.count("mid")) == (1 + 4, 4)


async def test_the_same_bytes_written_again_complete_without_stems_of_their_own(
    services: Services, container: ContainerClient
):
    first = await complete(services, container, await upload(services, container))
    before = await services.stems.of_song(first.audio_file_id)
    again = await claim(services, await upload(services, container, first.blob_name))
    assert again.known_content_hash == "1" * 64
    nothing = {"duration_seconds": None, "sample_rate": None, "channels": None, "song": None}
    with pytest.raises(InvalidInputError):
        other = completion(again, unchanged=True, content_hash="2" * 64, **nothing)
        await services.workflow.complete(again.id, other)
    await services.workflow.complete(again.id, completion(again, unchanged=True, **nothing))
    audio = await audio_of(services, first.audio_file_id)
    assert (audio.analysis_status, audio.etag, audio.bpm) == (AnalysisStatus.COMPLETED, again.etag, 120)
    assert await services.stems.of_song(first.audio_file_id) == before


async def test_the_present_version_is_not_analysed_again_and_a_failed_one_is(
    services: Services, container: ContainerClient
):
    job = await upload(services, container)
    await services.workflow.cancel(job.id)
    again = await services.workflow.reanalyse(job.audio_file_id)
    assert (again.id, again.status) == (job.id, JobStatus.RETRYING)
    await complete(services, container, again)
    with pytest.raises(ConflictError):
        await services.workflow.reanalyse(job.audio_file_id)


async def test_to_ask_again_for_an_analysis_at_work_leaves_its_song_at_work(
    services: Services, container: ContainerClient
):
    job = await claim(services, await upload(services, container))
    again = await services.workflow.reanalyse(job.audio_file_id)
    assert (again.id, again.status) == (job.id, JobStatus.RUNNING)
    assert (await audio_of(services, job.audio_file_id)).analysis_status is AnalysisStatus.RUNNING


async def test_a_job_that_was_deleted_and_made_anew_is_queued_again(
    services: Services, container: ContainerClient, settings: AppSettings, clock: TurnedClock
):
    job = await upload(services, container)
    await services.workflow.delete_job(job.id)
    clock.turn(seconds=1)
    again = await services.workflow.reanalyse(job.audio_file_id)
    assert (again.id, again.attempt) == (job.id, 0)
    assert len(await messages_of(settings, job.id)) == 2, (
        "the queue remembers the ids of messages for minutes"
    )


async def test_deleting_a_job_cancels_it_first_and_leaves_what_became_of_it(
    services: Services, container: ContainerClient
):
    job = await claim(services, await upload(services, container))
    await services.workflow.delete_job(job.id)
    with pytest.raises(NotFoundError) as gone:
        await services.jobs.get(job.id)
    assert gone.value.extensions["outcome"] == "Cancelled"


async def test_deleting_a_song_deletes_all_that_belongs_to_it(services: Services, container: ContainerClient):
    neighbour = await complete(services, container, await upload(services, container))
    job = await complete(services, container, await upload(services, container))
    stems = await services.stems.of_song(job.audio_file_id)
    running = await claim(services, await upload(services, container, job.blob_name))
    await save_stems(services, container, running, StemType.DRUMS)

    for _ in range(2):
        await services.workflow.delete_audio(job.audio_file_id)
    assert blobs_of(container, job.audio_file_id) == set()
    for gone in (
        services.library.get_audio(job.audio_file_id),
        services.stems.get(stems[0].id),
        services.jobs.get(job.id),
        services.jobs.get(running.id),
    ):
        with pytest.raises(NotFoundError):
            await gone
    assert await services.workflow.on_upload(job.blob_name) is None
    assert len(await services.stems.of_song(neighbour.audio_file_id)) == 4


async def test_a_song_whose_deletion_broke_off_is_unseen_and_the_sweep_finishes(
    services: Services, container: ContainerClient
):
    job = await complete(services, container, await upload(services, container))
    await services.library.mark_deleted(job.audio_file_id)
    with pytest.raises(BeingDeletedError):
        await services.library.get_audio(job.audio_file_id)
    with pytest.raises(BeingDeletedError):  # an upload in the meantime: its event comes again
        await services.workflow.on_upload(job.blob_name)

    async def on_ended(job: object) -> None:
        return

    assert (await services.sweeps.sweep(on_ended)).deletions_finished == 1
    assert blobs_of(container, job.audio_file_id) == set()
