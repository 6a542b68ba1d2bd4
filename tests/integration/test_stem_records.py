"""Stems become records, over the real SDKs."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from azure.storage.blob import ContainerClient

from functions.services import Services
from shared import ids
from shared.errors import ChangedMeanwhileError, ConflictError, InvalidInputError, NotFoundError
from shared.models import ANALYSIS_VERSION, AudioFile, Job
from shared.worker_contract import ClaimRequest, StemWrite
from tests.integration.conftest import TurnedClock
from tests.integration.songs import new_name, put

BEATS = [{"time": 0.5}, {"time": 1.0}]


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


async def test_the_files_of_a_stems_notes_download_under_a_proper_name(
    services: Services, container: ContainerClient
):
    job = await services.workflow.on_upload(put(container, new_name("My song.wav")))
    assert job is not None
    folder = f"{job.audio_file_id}/stems/"
    put(container, f"{folder}drums.mid", b"MThd")
    notation = {"notes": [], "midiUri": f"{container.url}/{folder}drums.mid", "musicXmlUri": None}
    reasons = {"musicXmlUri": "nothing tells where bars begin"}
    stem, _ = await services.workflow.save_stem(
        written(stem_body(container, job, notationData=notation, unmeasured=reasons))
    )
    assert await services.stems.notation_of(stem.id) == notation
    async with httpx.AsyncClient() as http:
        answer = await http.get(await services.stems.notation_url(stem.id, "midi"))
    assert answer.content == b"MThd"
    assert 'filename="My song (Drums).mid"' in answer.headers["content-disposition"]
    with pytest.raises(NotFoundError, match="as musicxml: nothing tells where bars begin"):
        await services.stems.notation_url(stem.id, "musicxml")


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("midiUri", "{song}/stems/bass.mid"),
        ("midiUri", "{song}/stems/drums.wav"),
        ("midiUri", "{song}/drums.mid"),
        ("midiUri", "{other}/stems/drums.mid"),
        ("musicXmlUri", "{song}/stems/drums.mid"),
        ("musicXmlUri", "{song}/stems/../../{other}/stems/drums.musicxml"),
    ],
)
async def test_a_notation_file_elsewhere_is_refused(
    services: Services, container: ContainerClient, song: Job, field: str, name: str
):
    uri = f"{container.url}/{name.format(song=song.audio_file_id, other=uuid.uuid4())}"
    for forged in (uri, 1, ["x"], ""):
        body = stem_body(container, song, notationData={"notes": [], field: forged})
        with pytest.raises(InvalidInputError) as refused:
            await services.workflow.save_stem(written(body))
        assert refused.value.faults[0].field == f"notationData.{field}"


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


async def test_a_song_that_was_deleted_before_its_stems_were_published_is_told_as_changed(services: Services):
    song = str(uuid.uuid4())
    now = datetime.now(UTC)
    audio = AudioFile(
        id=song, name="a", blob_uri="x", size_bytes=1, etag="1", created_at=now, uploaded_at=now
    )
    with pytest.raises(ChangedMeanwhileError):
        await services.sweeps.library.publish(audio, "1", "no job")
