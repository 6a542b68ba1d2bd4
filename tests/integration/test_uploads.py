"""Uploads become jobs, over the real SDKs."""

import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from azure.storage.blob import ContainerClient

from functions.services import Services
from shared.job_states import SupersededError
from shared.models import ANALYSIS_VERSION, AnalysisStatus, Job, JobStatus, SongMusic
from shared.worker_contract import ClaimRequest, Completion, Failure
from tests.integration.conftest import TurnedClock
from tests.integration.songs import new_name, put


async def run_to_completion(services: Services, job: Job) -> None:
    claimed = await services.workflow.claim(job.id, ClaimRequest(attempt=1, worker_id="w"))
    done = Completion(
        attempt=claimed.attempt,
        worker_id="w",
        content_hash="1" * 64,
        duration_seconds=2.5,
        sample_rate=48_000,
        channels=1,
        song=SongMusic(bpm=120, key="C# major"),
    )
    await services.workflow.complete(job.id, done)


async def test_an_upload_becomes_one_job_however_often_it_is_announced(
    services: Services, container: ContainerClient
):
    name = put(container, new_name())
    first, second = [await services.workflow.on_upload(name) for _ in range(2)]
    assert first is not None
    assert second is not None
    assert first.id == second.id
    audio = (await services.library.get_audio(first.audio_file_id)).record
    assert (audio.job_id, audio.name, audio.size_bytes) == (first.id, "song.wav", 5)
    assert audio.analysis_status is AnalysisStatus.PENDING


async def test_the_song_remembers_its_analysis_after_the_job_is_gone(
    services: Services, container: ContainerClient, clock: TurnedClock
):
    name = put(container, new_name())
    job = await services.workflow.on_upload(name)
    assert job is not None
    await run_to_completion(services, job)
    clock.turn(seconds=31)
    assert await services.workflow.delete_job_if_due(job.id, 1)

    assert await services.workflow.on_upload(name) is None, "a late duplicate of the event does no work"
    audio = (await services.library.get_audio(job.audio_file_id)).record
    assert (audio.analysis_status, audio.analysis_version) == (AnalysisStatus.COMPLETED, ANALYSIS_VERSION)
    assert (audio.bpm, audio.key, audio.content_hash) == (120, "C# major", "1" * 64)

    put(container, name, b"another sound")
    changed = await services.workflow.on_upload(name)
    assert changed is not None
    assert changed.id != job.id


async def test_a_result_of_a_replaced_file_is_not_noted(services: Services, container: ContainerClient):
    name = put(container, new_name())
    old = await services.workflow.on_upload(name)
    put(container, name, b"another sound")
    new = await services.workflow.on_upload(name)
    assert old is not None
    assert new is not None
    assert (await services.jobs.get(old.id)).record.status is JobStatus.CANCELLED
    with pytest.raises(SupersededError):
        await run_to_completion(services, old)
    audio = (await services.library.get_audio(old.audio_file_id)).record
    assert (audio.analysis_status, audio.job_id) == (AnalysisStatus.PENDING, new.id)


TOO_LARGE = bytes(1024**2 + 1)


async def test_a_file_that_is_too_large_is_refused_without_a_job(
    services: Services, container: ContainerClient
):
    name = put(container, new_name(), TOO_LARGE)
    etag = container.get_blob_client(name).get_blob_properties().etag
    for _ in range(2):
        assert await services.workflow.on_upload(name) is None
        assert not await services.workflow.on_lost_upload(name, etag), "the sweep does not come back to it"
    audio = (await services.library.get_audio(name.partition("/")[0])).record
    assert (audio.analysis_status, audio.error) == (
        AnalysisStatus.REJECTED,
        "The file is larger than 1 MB.",
    )
    assert (audio.size_bytes, audio.job_id) == (len(TOO_LARGE), None)
    assert await services.jobs.of_audio(audio.id) == []

    put(container, name)
    assert await services.workflow.on_upload(name) is not None, "a smaller version is taken"


async def test_a_sweep_finds_a_file_that_is_too_large(services: Services, container: ContainerClient):
    name = put(container, new_name(), TOO_LARGE)
    etag = container.get_blob_client(name).get_blob_properties().etag
    assert not await services.workflow.on_lost_upload(name, etag), "there is no job to begin"
    audio = (await services.library.get_audio(name.partition("/")[0])).record
    assert audio.analysis_status is AnalysisStatus.REJECTED


async def test_a_version_that_is_too_large_ends_the_work_on_the_older_one(
    services: Services, container: ContainerClient
):
    name = put(container, new_name())
    old = await services.workflow.on_upload(name)
    assert old is not None
    put(container, name, TOO_LARGE)
    assert await services.workflow.on_upload(name) is None
    assert (await services.jobs.get(old.id)).record.status is JobStatus.CANCELLED
    audio = (await services.library.get_audio(old.audio_file_id)).record
    assert (audio.analysis_status, audio.job_id) == (AnalysisStatus.REJECTED, None)


async def test_a_file_of_just_the_limit_is_taken(services: Services, container: ContainerClient):
    assert await services.workflow.on_upload(put(container, new_name(), TOO_LARGE[1:])) is not None


@pytest.mark.parametrize("kind", ["stems/drums.wav", "analysis/0.json.gz", "deep/song.wav"])
async def test_derived_blobs_start_nothing(services: Services, container: ContainerClient, kind: str):
    assert await services.workflow.on_upload(put(container, f"{uuid.uuid4()}/{kind}")) is None


async def test_a_blob_that_is_gone_starts_nothing(services: Services):
    assert await services.workflow.on_upload(new_name()) is None


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("permanent", AnalysisStatus.REJECTED),
        ("transient", AnalysisStatus.PENDING),
        ("released", AnalysisStatus.PENDING),
    ],
)
async def test_the_library_knows_what_became_of_a_failed_attempt(
    services: Services, container: ContainerClient, kind: str, status: AnalysisStatus
):
    name = put(container, new_name())
    job = await services.workflow.on_upload(name)
    assert job is not None
    claimed = await services.workflow.claim(job.id, ClaimRequest(attempt=1, worker_id="w"))
    assert (
        await services.library.get_audio(job.audio_file_id)
    ).record.analysis_status is AnalysisStatus.RUNNING
    error = {"attempt": claimed.attempt, "workerId": "w", "error": "No good.", "kind": kind}
    await services.workflow.fail(job.id, Failure.model_validate(error))
    audio = (await services.library.get_audio(job.audio_file_id)).record
    assert (audio.analysis_status, audio.error) == (status, "No good.")
    announced_again = await services.workflow.on_upload(name)
    assert (announced_again is None) == (status is AnalysisStatus.REJECTED)


async def test_an_upload_url_may_create_its_blob_and_nothing_else(
    services: Services, container: ContainerClient
):
    name = new_name("a b#c.wav")
    url, expires = await services.blobs.upload_url(name, valid=timedelta(hours=1))
    assert expires > datetime.now(UTC) + timedelta(minutes=59)
    headers = {"x-ms-blob-type": "BlockBlob"}
    async with httpx.AsyncClient() as http:
        assert (await http.put(url, content=b"sound", headers=headers)).status_code == 201
        assert container.get_blob_client(name).get_blob_properties().size == 5
        assert (await http.get(url)).status_code == 403
        other = url.replace("a%20b%23c.wav", "other.wav")
        assert other != url
        assert (await http.put(other, content=b"sound", headers=headers)).status_code == 403
