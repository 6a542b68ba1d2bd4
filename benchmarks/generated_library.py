"""Libraries as two years of uploads would leave them, written as the Function app writes them.

Documents, projections and counters come from the app's own functions (a test has the app's repair look for
a difference). A stand-in's store takes them in bulk: over the socket 25,000 songs are 775,000 writes. There
are no blobs, so nothing along a stem's time.
"""

import itertools
import json
import math
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from local.cosmos.documents import Container, check_definition
from local.cosmos.store import Store
from local.resources import INFRA
from shared import ids
from shared.keys import MusicalKey, all_keys
from shared.library_index import contribution_of, projections_of
from shared.models import AnalysisStatus, AudioFile, Confidence, Stem, StemAnalysisStatus, StemType
from shared.storage.library import StemDocument, audio_document, stem_document
from shared.storage.library_counters import scope_of
from shared.storage.library_entries import Entry, marked
from shared.storage.search_index import listing_of

PERIOD = timedelta(days=730)
SONGS_A_COMMIT = 500
STORAGE = "http://127.0.0.1:10000/devstoreaccount1/audio-files"
SAMPLE_RATE = 44_100

# Tempos of styles: share, mean and deviation in bpm.
STYLES = [(55, 122, 9), (20, 92, 8), (15, 140, 6), (7, 174, 2), (3, 70, 5)]
# How often each tonic is met, from C upwards.
MAJOR = (10, 6, 9, 2, 4, 5, 3, 11, 4, 6, 3, 3)
MINOR = (2, 2, 3, 1, 4, 3, 3, 3, 1, 5, 3, 4)
KEYS = dict(
    zip((key.name for key in all_keys()), itertools.chain(*zip(MAJOR, MINOR, strict=True)), strict=True)
)
STATUSES = {
    AnalysisStatus.COMPLETED: 96,
    AnalysisStatus.PENDING: 1,  # an analysis anew; the stems of the last one are still shown
    AnalysisStatus.RUNNING: 1,
    AnalysisStatus.FAILED: 2,
}
WORDS = (
    "Blue",
    "River",
    "Night",
    "Stone",
    "Golden",
    "Rain",
    "Mirror",
    "Summer",
    "Paper",
    "Moon",
    "Silver",
    "Road",
    "Winter",
    "Fire",
    "Glass",
    "Wave",
)


@dataclass(frozen=True)
class Song:
    """A song with its four stems."""

    audio: AudioFile
    stems: list[Stem]


def songs(number: int, until: datetime) -> Iterator[Song]:
    """Yield songs in the order in which they came, the same ones each time; the library grows ever faster."""
    chance = random.Random(1)
    ages = sorted((1 - math.sqrt(chance.random()) for _ in range(number)), reverse=True)
    for age in ages:
        yield _song(chance, until - PERIOD * age)


def write_library(folder: Path, number: int, until: datetime) -> None:
    """Write `songs(number, until)` into the data folder of a stand-in that is started later."""
    with ProcessPoolExecutor(1) as pool:  # the file is its process's alone, until that ends
        pool.submit(_write, folder / "cosmos.sqlite", number, until).result()


def _song(chance: random.Random, created: datetime) -> Song:
    def pick(shares: dict[Any, int]) -> Any:
        return chance.choices(list(shares), list(shares.values()))[0]

    audio_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    _, mean, deviation = chance.choices(STYLES, [share for share, *_ in STYLES])[0]
    tempo = min(max(chance.gauss(mean, deviation), 40), 220)
    music: dict[str, Any] = {
        "bpm": None if chance.random() < 0.03 else round(tempo, chance.choice((0, 0, 1, 2))),
        "key": None if chance.random() < 0.04 else pick(KEYS),
        "time_signature": chance.choices(["4/4", "3/4", "6/8"], [92, 5, 3])[0],
        "tuning": round(chance.gauss(440, 1.5), 1),
    }
    duration = round(min(max(chance.lognormvariate(5.37, 0.3), 15), 3600), 3)
    name = " ".join(chance.sample(WORDS, 3))
    etag = f"0x{chance.getrandbits(56):X}"
    job = ids.job_id(ids.idempotency_key(audio_id, etag, 1))
    audio = AudioFile(
        id=audio_id,
        name=f"{name}.flac",
        blob_uri=f"{STORAGE}/{audio_id}/{name.replace(' ', '%20')}.flac",
        content_type="audio/flac",
        size_bytes=round(duration * 90_000),
        etag=etag,
        content_hash=f"{chance.getrandbits(256):064x}",
        duration_seconds=duration,
        sample_rate=SAMPLE_RATE,
        channels=2,
        title=name,
        artist=f"The {chance.choice(WORDS)}s",
        created_at=created.replace(microsecond=0),
        uploaded_at=created.replace(microsecond=0),
        analysis_status=pick(STATUSES),
        analysis_version=1,
        job_id=job,
        **music,
    )
    done = created + timedelta(seconds=duration)
    return Song(audio, [_stem(chance, audio, kind, music, done) for kind in StemType])


def _stem(
    chance: random.Random, audio: AudioFile, kind: StemType, music: dict[str, Any], done: datetime
) -> Stem:
    duration = audio.duration_seconds or 0
    is_failed = chance.random() < 0.01
    is_silent = chance.random() < (0.12 if kind is StemType.VOCALS else 0.02)
    measured: dict[str, Any] = {"unmeasured": {"bpm": "silent", "key": "silent"}} if is_silent else {}
    if not is_failed and not is_silent:
        key = music["key"]
        measured = music | {
            "camelot": key and MusicalKey.parse(key).camelot,
            "confidence": Confidence(bpm=round(chance.random(), 3), key=round(chance.random(), 3)),
            "rms_level": round(chance.gauss(-20, 4), 2),
            "peak_level": round(chance.uniform(-6, 0), 2),
            "loudness_lufs": round(chance.gauss(-18, 4), 2),
            "spectral_centroid": round(chance.uniform(200, 6000), 1),
            "spectral_bandwidth": round(chance.uniform(200, 4000), 1),
            "spectral_rolloff": round(chance.uniform(400, 12000), 1),
            "zero_crossing_rate": round(chance.uniform(0.01, 0.3), 4),
            "dynamic_range": round(chance.uniform(3, 40), 2),
            "onset_rate": round(chance.uniform(0, 8), 2),
            "silence_ratio": round(chance.random() ** 3, 3),
        }
    return Stem(
        id=ids.stem_id(audio.id, kind, 1),
        audio_file_id=audio.id,
        type=kind,
        blob_uri=f"{STORAGE}/{ids.stem_blob_name(audio.id, kind, job_id=str(audio.job_id), attempt=1)}",
        duration_seconds=duration,
        file_size_bytes=44 + 4 * round(duration * SAMPLE_RATE),
        sample_rate=SAMPLE_RATE,
        channels=2,
        separated_at=done,
        separation_model="htdemucs@955717e8",
        analysis_version=1,
        analysis_status=StemAnalysisStatus.FAILED if is_failed else StemAnalysisStatus.COMPLETED,
        analysis_error="The stem could not be analysed." if is_failed else None,
        analysed_at=done,
        created_at=done + timedelta(milliseconds=chance.randrange(100_000)),
        **measured,
    )


def _write(file: Path, number: int, until: datetime) -> None:
    """Write all that stands of the songs in any container."""
    file.parent.mkdir(parents=True, exist_ok=True)
    store = Store(file)
    containers = _create_containers(store)

    def write(container: str, document: dict[str, Any]) -> None:
        into = containers[container]
        store.write(into, into.partition_of(document), document, None)

    listed: set[str] = set()
    sums: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    rest = songs(number, until)
    while batch := list(itertools.islice(rest, SONGS_A_COMMIT)):
        with store.transaction():
            for song in batch:
                for entry in _entries(song):
                    write("library", entry.document)
                    for place, shown in projections_of(entry, song.audio).items():
                        listing = None if place in listed else listing_of(place)
                        if listing:
                            write("search-index", listing)
                            listed.add(place)
                        write("search-index", {**shown, "pk": place})
                    note = _note(entry)
                    write("stats", note)
                    for document, numbers in note["contribution"].items():
                        sums[note["scope"], document].update(numbers)
    with store.transaction():
        for (scope, name), counters in sums.items():
            write("stats", {"id": name, "scope": scope, **counters})


def _entries(song: Song) -> Iterator[Entry]:
    """Yield the song's documents as they are once lists and statistics show them."""
    parts = [stem_document(StemDocument(stem, structures_blob=None)) for stem in song.stems]
    for document in [audio_document(song.audio), *parts]:
        settled = marked(document, None)
        del settled["unindexedSince"]
        yield Entry(settled)


def _note(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "scope": scope_of(entry.id),
        "audioFileId": entry.audio_file_id,
        "revision": entry.revision,
        "contribution": contribution_of(entry),
    }


def _create_containers(store: Store) -> dict[str, Container]:
    definition = json.loads((INFRA / "cosmos.json").read_text(encoding="utf-8"))
    database = f"dbs/{definition['database']}"
    with store.transaction():
        store.create(database, {"id": definition["database"]})
        for each in definition["containers"]:
            store.create(f"{database}/colls/{each['id']}", check_definition(each))
    paths = {each["id"]: f"{database}/colls/{each['id']}" for each in definition["containers"]}
    return {name: store.container(path) for name, path in paths.items()}
