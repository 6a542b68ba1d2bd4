"""The library is raised to a newer analysis a few songs at a time; each test has a library of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from functions.services import Services
from local.cosmos.auth import EMULATOR_KEY
from local.process import Program, free_port
from local.resources import create_cosmos_containers
from shared.models import ANALYSIS_VERSION, AnalysisStatus, JobStatus
from shared.reanalysis import ReanalysisReport
from shared.settings import AppSettings
from shared.worker_contract import ClaimRequest
from tests.integration.songs import claim, complete, upload

NEWER = ANALYSIS_VERSION + 1


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    cosmos = Program.module("cosmos", "local.cosmos", "--port", str(port), "--data", str(tmp_path))
    cosmos.wait_ready()
    create_cosmos_containers(f"http://127.0.0.1:{port}/", EMULATOR_KEY)
    yield f"http://127.0.0.1:{port}/"
    cosmos.kill()


@pytest.fixture
async def services(settings: AppSettings, endpoint: str) -> AsyncIterator[Services]:
    built = Services.build(settings.model_copy(update={"cosmos_endpoint": endpoint}))
    yield built
    await built.close()


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The analysis gives other results from now on."""
    for module in ("library", "workflow", "reanalysis"):
        monkeypatch.setattr(f"shared.{module}.ANALYSIS_VERSION", NEWER)


async def add_songs(services: Services, container: ContainerClient, number: int) -> list[str]:
    """Analyse some songs by the present version."""
    songs = []
    for _ in range(number):
        job = await upload(services, container)
        await complete(services, container, job)
        await services.workflow.delete_job(job.id)
        songs.append(job.audio_file_id)
    return songs


async def start(services: Services, *, limit: int = 100, max_waiting: int = 100) -> ReanalysisReport:
    return await services.reanalysis.start(limit=limit, max_waiting=max_waiting)


async def waiting(services: Services) -> set[str]:
    """The songs that have a job waiting."""
    found = [job async for job in _jobs(services)]
    assert len({job for _, job in found}) == len(found)
    return {song for song, _ in found}


async def _jobs(services: Services) -> AsyncIterator[tuple[str, str]]:
    container = await services.database.container("jobs")
    query = "SELECT c.id, c.audioFileId FROM c WHERE c.status IN ('Pending', 'Retrying')"
    async for job in container.query_items(query):
        yield job["audioFileId"], job["id"]


async def test_nothing_is_started_while_all_is_of_the_present_version(
    services: Services, container: ContainerClient
):
    await add_songs(services, container, 1)
    assert await start(services) == ReanalysisReport(started=0, waiting=0, done=True)


async def test_a_call_starts_so_many_and_the_next_ones_go_on_until_all_are_started_once(
    services: Services, container: ContainerClient, newer: None
):
    songs = await _outdated(services, container, 5)
    assert await start(services, limit=2) == ReanalysisReport(started=2, waiting=2, done=False)
    first = await waiting(services)
    assert await start(services, limit=2) == ReanalysisReport(started=2, waiting=4, done=False)
    assert await start(services, limit=2) == ReanalysisReport(started=1, waiting=5, done=True)
    assert first < await waiting(services) == set(songs)
    assert await start(services) == ReanalysisReport(started=0, waiting=5, done=True)


async def test_the_queue_stays_below_the_bound_and_what_was_uploaded_counts(
    services: Services, container: ContainerClient, newer: None
):
    await _outdated(services, container, 3)
    new = await upload(services, container)
    assert await start(services, max_waiting=3) == ReanalysisReport(started=2, waiting=3, done=False)
    assert await start(services, max_waiting=3) == ReanalysisReport(started=0, waiting=3, done=False)
    await claim(services, new)
    assert await start(services, max_waiting=3) == ReanalysisReport(started=1, waiting=3, done=True)


async def test_what_has_completed_is_not_started_again(
    services: Services, container: ContainerClient, newer: None
):
    (song,) = await _outdated(services, container, 1)
    await start(services)
    audio = (await services.library.get_audio(song)).record
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.integration.songs.ANALYSIS_VERSION", NEWER)
        await complete(services, container, (await services.jobs.get(str(audio.job_id))).record)
    audio = (await services.library.get_audio(song)).record
    assert (audio.analysis_status, audio.analysis_version) == (AnalysisStatus.COMPLETED, NEWER)
    assert await start(services) == ReanalysisReport(started=0, waiting=0, done=True)


async def test_a_call_that_died_between_song_and_job_is_made_good_by_the_next(
    services: Services, container: ContainerClient, newer: None
):
    (song,) = await _outdated(services, container, 1)
    await services.library.register_reanalysis(song)
    assert await waiting(services) == set()
    assert await start(services) == ReanalysisReport(started=1, waiting=1, done=True)
    assert await waiting(services) == {song}


async def test_a_song_that_a_worker_has_just_taken_hides_no_other(
    services: Services, container: ContainerClient, newer: None
):
    taken, _ = await _outdated(services, container, 2)
    job = await services.workflow.reanalyse(taken)
    await services.jobs.claim(job.id, ClaimRequest(attempt=1, worker_id="w"))  # its song is still Pending
    assert await start(services, limit=1) == ReanalysisReport(started=1, waiting=1, done=False)
    assert await start(services, limit=1) == ReanalysisReport(started=0, waiting=1, done=True)


async def test_a_song_that_cannot_be_started_holds_up_no_other(
    services: Services, container: ContainerClient, newer: None
):
    bad, good = await _outdated(services, container, 2)
    library = await services.database.container("library")
    elsewhere = [{"op": "set", "path": "/blobUri", "value": "https://other.example/audio-files/song.wav"}]
    await library.patch_item(bad, partition_key=bad, patch_operations=elsewhere)
    assert await start(services) == ReanalysisReport(started=1, failed=1, waiting=1, done=True)
    assert await waiting(services) == {good}


async def test_songs_deleted_meanwhile_and_songs_that_failed_are_left_out(
    services: Services, container: ContainerClient, newer: None
):
    deleted, failed, marked, kept = await _outdated(services, container, 4)
    job = await services.workflow.reanalyse(failed)
    await services.workflow.cancel(job.id)
    await services.workflow.delete_audio(deleted)
    found = await services.reanalysis.library.outdated(NEWER, 10)
    assert {song.id for song in found} == {marked, kept}
    await services.library.mark_deleted(marked)  # after the songs were looked up
    with pytest.MonkeyPatch.context() as patch:

        async def as_before(version: int, limit: int) -> object:
            return found

        patch.setattr(services.reanalysis.library, "outdated", as_before)
        assert await start(services) == ReanalysisReport(started=1, waiting=1, done=True)
    assert await waiting(services) == {kept}
    status = (await services.jobs.get(job.id)).record.status
    assert status is JobStatus.CANCELLED


async def _outdated(services: Services, container: ContainerClient, number: int) -> list[str]:
    """Analyse songs by the version before."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("library", "workflow", "reanalysis"):
            patch.setattr(f"shared.{module}.ANALYSIS_VERSION", ANALYSIS_VERSION)
        return await add_songs(services, container, number)
