"""Uploads become jobs, and stems records, over the real SDKs."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.storage.blob import ContainerClient

from functions.services import Services
from shared import ids
from shared.errors import ConflictError, InvalidInputError, NotFoundError
from shared.job_states import SupersededError
from shared.models import ANALYSIS_VERSION, AnalysisStatus, Job, JobStatus, SongMusic, StemWrite
from shared.worker_contract import ClaimRequest, Completion, Failure
from tests.integration.conftest import TurnedClock

BEATS = [{"time": 0.5}, {"time": 1.0}]


def put(container: ContainerClient, name: str, content: bytes = b"sound") -> str:
    container.upload_blob(name, content, overwrite=True)
    return name


def new_name(file_name: str = "song.wav") -> str:
    return f"{uuid.uuid4()}/{file_name}"


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


@pytest.fixture
async def song(services: Services, container: ContainerClient) -> Job:
    job = await services.workflow.on_upload(put(container, new_name("My song.wav")))
    assert job is not None
    return await services.workflow.claim(job.id, ClaimRequest(attempt=1, worker_id="w"))


def stem_body(container: ContainerClient, song: Job, **changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {
        "audioFileId": song.audio_file_id,
        "type": "Drums",
        "blobUri": f"{container.url}/{song.audio_file_id}/stems/drums.wav",
        "durationSeconds": 2.5,
        "fileSizeBytes": 100,
        "sampleRate": 44_100,
        "channels": 2,
        "separatedAt": now,
        "separationModel": "preview@0",
        "bpm": 120.5,
        "key": "C# major",
        "beats": BEATS,
        **changes,
    }


def written(body: dict[str, Any]) -> StemWrite:
    return StemWrite.model_validate_json(json.dumps(body))


async def test_a_stem_is_created_then_updated_under_the_same_id(
    services: Services, container: ContainerClient, song: Job
):
    stem, is_new = await services.workflow.save_stem(written(stem_body(container, song)))
    assert is_new
    assert stem.id == ids.stem_id(song.audio_file_id, "Drums", ANALYSIS_VERSION)
    text = json.dumps(BEATS)
    again, is_new = await services.workflow.save_stem(
        written(stem_body(container, song, bpm=121, beats=text))
    )
    assert not is_new
    assert (again.id, again.bpm, again.created_at) == (stem.id, 121, stem.created_at)
    read = (await services.stems.get(stem.id)).record
    assert read == again
    assert json.loads(str(read.beats)) == BEATS
    assert read.chord_progression is None
    assert await services.stems.of_song(song.audio_file_id) == [read]


async def test_the_documented_json_alone_makes_a_stem(
    services: Services, container: ContainerClient, song: Job
):
    """The body as the users' document shows it: no duration, no size, no model is said."""
    body = {
        "audioFileId": song.audio_file_id.upper(),
        "type": "Drums",
        "blobUri": f"{container.url}/{song.audio_file_id}/stems/drums.wav",
        "bpm": 120.5,
        "key": "D♭ maj",
        "chordProgression": '[{"start": 0, "end": 2, "chord": "C#:maj"}]',
        "beats": "[0.5, 1.0]",
        "sections": "[]",
        "notationData": '{"notes": []}',
        "analysisStatus": "Completed",
        "rmsLevel": 0.12,
        "peakLevel": 0.98,
    }
    stem, is_new = await services.workflow.save_stem(written(body))
    assert is_new
    read = (await services.stems.get(stem.id)).record
    assert (read.bpm, read.key, read.camelot) == (120.5, "C# major", "3B")
    assert (read.duration_seconds, read.separated_at, read.separation_model) == (None, None, None)
    texts = (read.chord_progression, read.beats, read.sections, read.notation_data)
    sent = [body[name] for name in ("chordProgression", "beats", "sections", "notationData")]
    assert [json.loads(str(text)) for text in texts] == [json.loads(str(text)) for text in sent]
    assert await services.stems.of_song(song.audio_file_id) == [read]


async def test_stems_of_a_song_come_in_the_order_of_their_types(
    services: Services, container: ContainerClient, song: Job
):
    def uri(kind: str) -> str:
        return f"{container.url}/{song.audio_file_id}/stems/{kind.lower()}.wav"

    for kind in ("Other", "Vocals", "Bass", "Drums"):
        await services.workflow.save_stem(
            written(stem_body(container, song, type=kind, blobUri=uri(kind), beats=None))
        )
    stems = await services.stems.of_song(song.audio_file_id)
    assert [stem.type for stem in stems] == ["Drums", "Bass", "Vocals", "Other"]


@pytest.mark.parametrize(
    "forge",
    [
        lambda uri: uri.replace("127.0.0.1", "evil.example"),
        lambda uri: uri.replace("http://", "http://user@"),
        lambda uri: uri.replace("http://", "https://"),
        lambda uri: uri + "?sig=x",
        lambda uri: uri + "#x",
        lambda uri: uri.replace("/stems/", "/stems/../../other/stems/"),
        lambda uri: uri.replace("/stems/", "/%2e%2e/"),
        lambda uri: uri.replace("/stems/", "/"),
        lambda uri: uri.replace("/audio-files/", "/azure-webjobs-hosts/"),
        lambda uri: uri.replace("/audio-files/", f"/audio-files/{uuid.uuid4()}/"),
        lambda uri: uri.replace("drums.wav", "bass.wav"),
        lambda uri: uri.replace("drums", "dr\nums"),
        lambda uri: f" {uri}",
        lambda uri: uri.replace("127.0.0.1", "[::1"),
        lambda uri: uri.replace("127.0.0.1", "１27.0.0.1"),
        lambda uri: "file:///etc/passwd",
        lambda uri: "",
    ],
)
async def test_a_blob_elsewhere_is_refused(
    services: Services, container: ContainerClient, song: Job, forge: Any
):
    body = stem_body(container, song)
    with pytest.raises(InvalidInputError) as refused:
        await services.workflow.save_stem(written({**body, "blobUri": forge(body["blobUri"])}))
    assert refused.value.faults[0].field == "blobUri"
    assert await services.stems.of_song(song.audio_file_id) == []


async def test_a_stem_of_a_superseded_attempt_is_refused(
    services: Services, container: ContainerClient, song: Job, clock: TurnedClock
):
    uri = f"{container.url}/{ids.stem_blob_name(song.audio_file_id, 'Drums', job_id=song.id, attempt=1)}"
    body = stem_body(container, song, jobId=song.id, attempt=1, blobUri=uri)
    await services.workflow.save_stem(written(body))
    clock.turn(minutes=5)
    await services.workflow.claim(song.id, ClaimRequest(attempt=1, worker_id="other"))
    with pytest.raises(ConflictError):
        await services.workflow.save_stem(written(body))


async def test_unknown_records_are_not_found(services: Services, container: ContainerClient, song: Job):
    unknown = str(uuid.uuid4())
    with pytest.raises(NotFoundError):
        await services.stems.get(unknown)
    with pytest.raises(NotFoundError):
        await services.stems.of_song(unknown)
    with pytest.raises(NotFoundError):
        await services.workflow.save_stem(written(stem_body(container, song, audioFileId=unknown)))


async def test_a_stem_downloads_under_a_proper_name(services: Services, container: ContainerClient):
    job = await services.workflow.on_upload(put(container, new_name("Größe “2”.wav")))
    assert job is not None
    put(container, f"{job.audio_file_id}/stems/drums.wav", b"RIFF")
    stem, _ = await services.workflow.save_stem(written(stem_body(container, job)))
    async with httpx.AsyncClient() as http:
        answer = await http.get(await services.stems.download_url(stem.id))
    assert answer.content == b"RIFF"
    wanted = "filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%E2%80%9C2%E2%80%9D%20%28Drums%29.wav"
    assert wanted in answer.headers["content-disposition"]


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
