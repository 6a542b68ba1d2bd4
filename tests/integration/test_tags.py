"""What a song's tags become in the library: names, downloads under them, and artwork that stays."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from azure.storage.blob import ContainerClient

from functions.services import Services
from shared import ids
from shared.errors import InvalidInputError
from shared.models import ANALYSIS_VERSION, AudioFile, Job, StemType
from tests.integration.conftest import TurnedClock
from tests.integration.songs import blobs_of, claim, completion, save_stems, upload

TAGS = {"title": "Grüße", "artist": "Sängerin", "album": "Nº 5"}


def put_artwork(container: ContainerClient, job: Job) -> str:
    name = f"{ids.attempt_folder(job.audio_file_id, job.id, job.attempt)}artwork.png"
    container.upload_blob(name, b"picture")
    return f"{container.url}/{name}"


async def complete(services: Services, container: ContainerClient, job: Job, **said: Any) -> AudioFile:
    await save_stems(services, container, job)
    await services.workflow.complete(job.id, completion(job, **said))
    return (await services.library.get_audio(job.audio_file_id)).record


async def test_the_song_gets_its_tags_and_keeps_its_artwork(services: Services, container: ContainerClient):
    job = await claim(services, await upload(services, container))
    uri = put_artwork(container, job)
    audio = await complete(services, container, job, artwork_uri=uri, **TAGS)
    assert {name: getattr(audio, name) for name in TAGS} == TAGS
    assert audio.artwork_uri == uri
    name = services.blobs.name_of(uri)
    assert name in blobs_of(container, audio.id), "what is cleaned up after a job spares it"

    await services.workflow.delete_audio(audio.id)
    assert blobs_of(container, audio.id) == set()


async def test_artwork_that_is_not_referred_to_goes(
    services: Services, container: ContainerClient, clock: TurnedClock
):
    job = await claim(services, await upload(services, container))
    lost = put_artwork(container, job)
    clock.turn(minutes=5)
    second = await claim(services, job, "other")
    kept = put_artwork(container, second)
    audio = await complete(services, container, second, artwork_uri=kept, **TAGS)
    names = blobs_of(container, audio.id)
    assert services.blobs.name_of(kept) in names
    assert services.blobs.name_of(lost) not in names


async def test_a_new_version_without_tags_has_none(services: Services, container: ContainerClient):
    first = await claim(services, await upload(services, container))
    old = put_artwork(container, first)
    await complete(services, container, first, artwork_uri=old, **TAGS)
    second = await claim(services, await upload(services, container, first.blob_name))
    assert services.blobs.name_of(old) in blobs_of(container, first.audio_file_id), "it is shown until then"
    audio = await complete(services, container, second, content_hash="2" * 64)
    assert (audio.title, audio.artist, audio.album, audio.artwork_uri) == (None,) * 4
    assert services.blobs.name_of(old) not in blobs_of(container, first.audio_file_id)


@pytest.mark.parametrize(
    "forge",
    [
        lambda uri, job: uri.replace("127.0.0.1", "evil.example"),
        lambda uri, job: uri + "?sig=x",
        lambda uri, job: uri.replace("artwork.png", "artwork.svg"),
        lambda uri, job: uri.replace("artwork.png", "drums.wav"),
        lambda uri, job: uri.replace(job.id, job.audio_file_id),
        lambda uri, job: uri.replace(job.audio_file_id, job.id),
        lambda uri, job: uri.replace("/artwork.png", "/../../../../other/artwork.png"),
        lambda uri, job: "file:///artwork.png",
    ],
)
async def test_artwork_elsewhere_is_refused(
    services: Services, container: ContainerClient, forge: Callable[[str, Job], str]
):
    job = await claim(services, await upload(services, container))
    uri = put_artwork(container, job)
    with pytest.raises(InvalidInputError) as refused:
        await services.workflow.complete(job.id, completion(job, artwork_uri=forge(uri, job)))
    assert [fault.field for fault in refused.value.faults] == ["artworkUri"]


@pytest.mark.parametrize(
    ("said", "saved_as"),
    [
        (TAGS, "S%C3%A4ngerin%20-%20Gr%C3%BC%C3%9Fe%20%28Drums%29.wav"),
        ({"title": 'a"; filename="b.exe'}, "a_%3B%20filename%3D_b.exe%20%28Drums%29.wav"),
        ({"title": "a\r\nSet-Cookie: x=1"}, "a%20Set-Cookie_%20x%3D1%20%28Drums%29.wav"),
        ({"title": "../../etc/passwd"}, "_.._etc_passwd%20%28Drums%29.wav"),
        ({"title": "100 % + & # ? ="}, "100%20%25%20%2B%20%26%20%23%20_%20%3D%20%28Drums%29.wav"),
        ({"title": "長" * 300}, "%E9%95%B7" * 66 + "%20%28Drums%29.wav"),
        ({"title": "\u202e \x7f"}, "stem%20%28Drums%29.wav"),
    ],
)
async def test_a_download_is_saved_under_the_songs_name_whatever_it_is(
    services: Services, container: ContainerClient, said: dict[str, str], saved_as: str
):
    job = await claim(services, await upload(services, container))
    audio = await complete(services, container, job, **said)
    stem_id = ids.stem_id(audio.id, StemType.DRUMS, ANALYSIS_VERSION)
    async with httpx.AsyncClient() as http:
        answer = await http.get(await services.stems.download_url(stem_id))
    assert (answer.status_code, answer.content) == (200, b"RIFF")
    assert answer.headers["content-disposition"].endswith(f"; filename*=UTF-8''{saved_as}")
    assert "set-cookie" not in answer.headers
