"""Tags of real files of every format, and of files that were made to harm their reader."""

import base64
import io
import logging
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile as sf
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, ID3, TALB, TIT2, TPE1
from mutagen.mp4 import MP4, MP4Cover
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from gpu_worker import tags
from gpu_worker.tags import MAX_ARTWORK_BYTES, MAX_LETTERS, Tags, read_tags

RATE = 48_000
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
JPEG = b"\xff\xd8\xff\xe0" + bytes(100)
WEBP = b"RIFF\x00\x00\x00\x00WEBP" + bytes(100)
SONG = {"title": "Größe “2”", "artist": "坂本龍一", "album": "Nº 5"}


def sound_file(path: Path, kind: str, codec: str | None = None) -> Path:
    sound = 0.1 * np.sin(np.arange(RATE // 2) / 20)
    if codec is None:
        sf.write(path, sound, RATE, format=kind, subtype="OPUS" if path.name == "opus" else None)
        return path
    with av.open(path, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], format="fltp", layout="mono")
        frame.rate = RATE
        for part in (
            *av.AudioResampler(format=stream.format, layout="mono", rate=RATE, frame_size=1024).resample(
                frame
            ),
            None,
        ):
            container.mux(stream.encode(part))
    return path


def tag_id3(path: Path, title: str, artist: str, album: str, picture: bytes) -> None:
    frames = ID3()
    write_id3(frames, title, artist, album, picture)
    frames.save(path)


def tag_wave(path: Path, title: str, artist: str, album: str, picture: bytes) -> None:
    file = WAVE(path)
    file.add_tags()
    write_id3(file.tags, title, artist, album, picture)
    file.save()


def write_id3(frames: Any, title: str, artist: str, album: str, picture: bytes) -> None:
    for frame in (TIT2(text=title), TPE1(text=artist), TALB(text=album)):
        frames.add(frame)
    frames.add(APIC(mime="image/gif", type=4, desc="back", data=b"GIF89a"))
    frames.add(APIC(mime="text/html", type=3, desc="front", data=picture))


def tag_flac(path: Path, title: str, artist: str, album: str, picture: bytes) -> None:
    file = FLAC(path)
    file.update(title=title, artist=artist, album=album)
    file.add_picture(block_of(picture))
    file.save()


def block_of(picture: bytes) -> Picture:
    block = Picture()
    block.type, block.mime, block.data = 3, "image/png", picture
    return block


def tag_ogg(kind: Any) -> Callable[..., None]:
    def tag(path: Path, title: str, artist: str, album: str, picture: bytes) -> None:
        file = kind(path)
        block = base64.b64encode(block_of(picture).write()).decode()
        file.update(title=title, artist=artist, album=album, metadata_block_picture=block)
        file.save()

    return tag


def tag_mp4(path: Path, title: str, artist: str, album: str, picture: bytes) -> None:
    file = MP4(path)
    file.update({"\xa9nam": [title], "\xa9ART": [artist], "\xa9alb": [album], "covr": [MP4Cover(picture)]})
    file.save()


FORMATS = {
    "mp3": (("mp3", "libmp3lame"), tag_id3),
    "flac": (("FLAC", None), tag_flac),
    "m4a": (("ipod", "aac"), tag_mp4),
    "ogg": (("OGG", None), tag_ogg(OggVorbis)),
    "opus": (("OGG", None), tag_ogg(OggOpus)),
    "wav": (("WAV", None), tag_wave),
}


@pytest.fixture(params=FORMATS)
def tagged(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Tags]:
    """Makes a file of each format with given tags, and reads it as the worker does."""
    (kind, codec), tag = FORMATS[request.param]
    path = sound_file(tmp_path / request.param, kind, codec)

    def read(*, picture: bytes = PNG, **texts: str) -> Tags:
        tag(path, **SONG | texts, picture=picture)
        return read_tags(path, tmp_path)

    return read


def test_tags_of_every_format(tagged: Callable[..., Tags]):
    found = tagged()
    assert {"title": found.title, "artist": found.artist, "album": found.album} == SONG
    assert found.artwork is not None
    assert (found.artwork.name, found.artwork.read_bytes()) == ("artwork.png", PNG)


def test_texts_are_one_short_line_without_control_characters(tagged: Callable[..., Tags]):
    found = tagged(
        title="a\r\nSet-Cookie: x=1\t\x1b[31m\u202eevil\u2028z", artist="é" * 10_000, album=" \n\u200b "
    )
    assert found.title == "a Set-Cookie: x=1 [31m evil z"
    assert found.artist == "é" * MAX_LETTERS
    assert found.album is None


@pytest.mark.parametrize(("picture", "name"), [(JPEG, "artwork.jpg"), (WEBP, "artwork.webp")])
def test_artwork_is_named_by_what_it_is(tagged: Callable[..., Tags], picture: bytes, name: str):
    found = tagged(picture=picture)
    assert found.artwork is not None
    assert found.artwork.name == name


@pytest.mark.parametrize(
    "picture", [b"", b"<svg onload='x'>", b"GIF89a", PNG[:4], PNG + bytes(MAX_ARTWORK_BYTES)]
)
def test_what_is_no_picture_or_too_large_is_left_out(tmp_path: Path, picture: bytes):
    path = sound_file(tmp_path / "song", "mp3", "libmp3lame")
    tag_id3(path, **SONG, picture=picture)
    assert read_tags(path, tmp_path) == Tags(**SONG)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_without_tags_has_none(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for name, ((kind, codec), _) in FORMATS.items():
        assert read_tags(sound_file(tmp_path / name, kind, codec), tmp_path) == Tags()
    assert caplog.records == [], "to have no tags is no fault"


def test_joined_letters_stay_joined(tmp_path: Path):
    path = sound_file(tmp_path / "song", "FLAC")
    tag_flac(path, "می\u200cخواهم", "👩\u200d🎤", "e\u0301", PNG)
    found = read_tags(path, tmp_path)
    assert (found.title, found.artist, found.album) == ("می\u200cخواهم", "👩\u200d🎤", "é")


def test_several_artists_stand_in_one_line(tmp_path: Path):
    path = sound_file(tmp_path / "song", "FLAC")
    file = FLAC(path)
    file["artist"] = ["Simon", "Garfunkel"]
    file.save()
    assert read_tags(path, tmp_path) == Tags(artist="Simon, Garfunkel")


def id3(*frames: bytes) -> bytes:
    body = b"".join(frames)
    return b"ID3\x04\x00\x00" + synchsafe(len(body)) + body


def frame(name: bytes, body: bytes, flags: bytes = b"\0\0", size: bytes | None = None) -> bytes:
    return name + (size or synchsafe(len(body))) + flags + body


def synchsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def bomb() -> bytes:
    """A compressed frame of 3 MB that unpacks to 3 GB."""
    packer = zlib.compressobj()
    begin = packer.compress(b"\x03") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    return frame(b"TIT2", synchsafe(2**27) + begin + block * 180, flags=b"\0\x09")


def hostile() -> dict[str, Callable[[], bytes]]:
    flac = io.BytesIO()
    sf.write(flac, np.zeros(RATE), RATE, format="FLAC")
    ogg = io.BytesIO()
    sf.write(ogg, np.zeros(RATE), RATE, format="OGG")
    return {
        "bomb": lambda: id3(bomb()),
        "a tag longer than the file": lambda: b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(100),
        "a frame longer than its tag": lambda: id3(frame(b"TIT2", b"\x03x", size=b"\x7f\x7f\x7f\x7f")),
        "frames that take quadratic time": lambda: id3(*[frame(b"TXXX", b"\x03a\0b")] * 100_000),
        "noise after a header": lambda: id3(np.random.default_rng(1).bytes(10_000)),
        "a truncated block": lambda: flac.getvalue()[:50],
        "a block of a lying size": lambda: flac.getvalue()[:42] + b"\x84\xff\xff\xff" + bytes(50),
        "half an Ogg page": lambda: ogg.getvalue()[:40],
        "Ogg comments that never end": lambda: ogg.getvalue()[:58] + ogg.getvalue()[58:300] * 2000,
        "boxes in boxes": lambda: b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42" + b"\0\0\0\x08moov" * 100_000,
        "a box of no size": lambda: b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42" + b"\0\0\0\x01moov" + bytes(16),
        "nothing": lambda: b"",
        "text": lambda: b"#EXTM3U\nfile:///etc/passwd\n",
    }


@pytest.mark.parametrize("name", hostile())
def test_no_file_harms_the_reader_of_tags(tmp_path: Path, name: str):
    song = tmp_path / "song"
    song.write_bytes(hostile()[name]())
    begun = time.monotonic()
    found = read_tags(song, tmp_path)
    assert found.artwork is None
    assert found.title is None
    assert time.monotonic() - begun < 2 * tags.MAX_SECONDS, "a busy machine takes long to end a process"


def test_a_reader_that_fails_is_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    song = tmp_path / "song"
    song.write_bytes(id3(bomb()))
    with caplog.at_level(logging.WARNING):
        assert read_tags(song, tmp_path) == Tags()
    assert "The tags can't be read: MemoryError" in caplog.text


def test_a_reader_that_takes_too_long_is_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tags, "MAX_SECONDS", 0.001)
    song = sound_file(tmp_path / "song", "FLAC")
    with caplog.at_level(logging.WARNING):
        assert read_tags(song, tmp_path) == Tags()
    assert "The tags were not read" in caplog.text
