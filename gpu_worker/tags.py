"""What a song's file says of itself: title, artist, album and artwork.

Tags are as untrusted as the sound: a compressed frame of some megabytes unpacks to gigabytes, and a reader
may loop. So they are read in a process of their own, of limited memory and time.
"""

import json
import logging
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutagen import File, FileType
from mutagen.aiff import AIFF
from mutagen.flac import FLAC, Picture
from mutagen.id3 import ID3
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4Tags
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from gpu_worker.confined import complaint, run_confined
from shared.file_names import one_line

logger = logging.getLogger(__name__)

MAX_LETTERS = 300
MAX_ARTWORK_BYTES = 10 * 1024**2
MAX_MEMORY_BYTES = 1024**3
MAX_COMPUTING_SECONDS = 5
MAX_SECONDS = 20
FORMATS: list[type[FileType]] = [MP3, FLAC, MP4, OggVorbis, OggOpus, OggFLAC, WAVE, AIFF]
NAMES = {
    "title": ("TIT2", "title", "\xa9nam"),
    "artist": ("TPE1", "artist", "\xa9ART"),
    "album": ("TALB", "album", "\xa9alb"),
}
"""Of each value: its name in ID3, Vorbis comments and MP4."""
FRONT_COVER = 3


@dataclass(frozen=True, kw_only=True)
class Tags:
    """What was found; each text is one line, of at most 300 letters."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    artwork: Path | None = None
    """A JPEG, PNG or WebP picture of at most 10 MB."""


def read_tags(song: Path, folder: Path) -> Tags:
    """Return the tags of a song, none where they can't be read, and write its artwork into `folder`."""
    try:
        reader = run_confined(
            "gpu_worker.tags",
            str(song),
            str(folder),
            memory_bytes=MAX_MEMORY_BYTES,
            computing_seconds=MAX_COMPUTING_SECONDS,
            wall_seconds=MAX_SECONDS,
        )
    except subprocess.TimeoutExpired:
        logger.warning("The tags were not read: that takes over %d s", MAX_SECONDS)
        return Tags()
    if reader.returncode:
        logger.warning("The tags can't be read: %s", complaint(reader)[:MAX_LETTERS])
        return Tags()
    found = json.loads(reader.stdout)
    artwork = found.pop("artwork")
    return Tags(**found, artwork=folder / artwork if artwork else None)


def main() -> None:
    """Print the tags of a song as JSON; its artwork is written into a folder."""
    song, folder = map(Path, sys.argv[1:])
    with song.open("rb") as opened:
        file = File(opened, options=FORMATS)
    tags: Any = {} if file is None or file.tags is None else file.tags
    found = {value: _line(_texts(tags, names)) for value, names in NAMES.items()}
    sys.stdout.write(json.dumps({**found, "artwork": _save_artwork(_pictures(file, tags), folder)}))


def _texts(tags: Any, names: tuple[str, str, str]) -> Iterable[Any]:
    in_id3, in_vorbis_comments, in_mp4 = names
    if isinstance(tags, ID3):
        return [text for frame in tags.getall(in_id3) for text in frame.text]
    values: Iterable[Any] = tags.get(in_mp4 if isinstance(tags, MP4Tags) else in_vorbis_comments, [])
    return values


def _line(texts: Iterable[Any]) -> str | None:
    """Return the texts in one line without control characters, or None if nothing is left."""
    text = one_line(", ".join(str(text)[: 4 * MAX_LETTERS] for text in texts))
    return text[:MAX_LETTERS].rstrip() or None


def _pictures(file: FileType | None, tags: Any) -> Iterator[bytes]:
    """Yield the pictures, front covers first."""
    if isinstance(tags, ID3):
        yield from _covers_first(tags.getall("APIC"))
    elif isinstance(file, FLAC):
        yield from _covers_first(file.pictures)
    elif isinstance(file, MP4):
        yield from map(bytes, tags.get("covr", []))
    else:
        blocks = tags.get("metadata_block_picture", [])
        yield from _covers_first([Picture(b64decode(block)) for block in blocks])


def _covers_first(pictures: Iterable[Any]) -> list[bytes]:
    return [picture.data for picture in sorted(pictures, key=lambda picture: picture.type != FRONT_COVER)]


def _save_artwork(pictures: Iterable[bytes], folder: Path) -> str | None:
    """Write the first picture that can be taken; return its file's name."""
    for picture in pictures:
        kind = _kind_of_picture(picture)
        if kind and len(picture) <= MAX_ARTWORK_BYTES:
            (folder / f"artwork.{kind}").write_bytes(picture)
            return f"artwork.{kind}"
    return None


def _kind_of_picture(data: bytes) -> str | None:
    """Return what the picture is by its first bytes: whatever its tag says."""
    if data.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return None


if __name__ == "__main__":
    main()
