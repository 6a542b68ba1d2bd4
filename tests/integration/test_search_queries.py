"""What searches ask of the database, and whether they answer rightly, over some hundred stems."""

import contextlib
import functools
import json
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos.aio import CosmosClient

from benchmarks.generated_library import Song, songs, write_library
from local.cosmos.auth import EMULATOR_KEY
from local.process import Program, free_port
from shared.keys import MusicalKey, all_keys
from shared.library_index import LibraryIndex
from shared.library_repair import LibraryRepair, RepairReport
from shared.library_statistics import LibraryStatistics
from shared.models import AnalysisStatus, Job, JobStatus, Stem, StemAnalysisStatus, StemType
from shared.queries import AudioQuery, JobQuery, PageQuery, Sort, StemQuery
from shared.search import Search
from shared.storage.cosmos import CosmosDatabase
from shared.storage.library import LibraryContainer
from shared.storage.library_counters import LibraryCounters
from shared.storage.search_index import SearchIndexContainer

SONGS = 75
LIMIT = 5


@dataclass(frozen=True)
class Request:
    """A query, or a point read (no text), as it went over the socket, and how many documents it brought."""

    text: str | None
    parameters: dict[str, Any]
    partition: str
    documents: int


class Requests(list[Request]):
    """What the SDK sent since it was last cleared."""

    def note(self, response: Any) -> None:
        sent = response.http_request
        if "/docs" not in sent.url:
            return  # the SDK's own questions about the account and its containers
        answer = json.loads(response.http_response.body() or b"{}")
        is_query = "x-ms-documentdb-isquery" in sent.headers
        query = json.loads(sent.data) if is_query else {}
        parameters = {each["name"]: each["value"] for each in query.get("parameters") or []}
        partition = sent.headers.get("x-ms-documentdb-partitionkey", "")
        self.append(Request(query.get("query"), parameters, partition, answer["_count"] if is_query else 1))


@dataclass(frozen=True)
class Library:
    """A generated library, behind the app's own services."""

    songs: list[Song]
    requests: Requests
    search: Search
    store: LibraryContainer
    index: SearchIndexContainer
    counters: LibraryCounters

    @property
    def stems(self) -> list[Stem]:
        return [stem for song in self.songs for stem in song.stems]


@contextlib.contextmanager
def stand_in(folder: Path, number: int, until: datetime) -> Iterator[str]:
    """Have a stand-in hold a library of so many songs; yield its endpoint."""
    write_library(folder, number, until)
    port = free_port()
    program = Program.module("cosmos", "local.cosmos", "--port", str(port), "--data", str(folder))
    program.wait_ready()
    yield f"http://127.0.0.1:{port}/"
    program.kill()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[Song]]]:
    now = datetime.now(UTC)
    with stand_in(tmp_path_factory.mktemp("library"), SONGS, now) as endpoint:
        yield endpoint, list(songs(SONGS, now))


@pytest.fixture
async def library(written: tuple[str, list[Song]], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Library]:
    endpoint, known = written
    requests = Requests()
    recording = functools.partial(CosmosClient, raw_response_hook=requests.note)
    monkeypatch.setattr("shared.storage.cosmos.CosmosClient", recording)
    database = CosmosDatabase(endpoint, EMULATOR_KEY)
    index = SearchIndexContainer(database)
    yield Library(
        known, requests, Search(index), LibraryContainer(database), index, LibraryCounters(database)
    )
    await database.close()


C_MAJOR = MusicalKey.parse("C major")
ALL_FILTERS = StemQuery(
    limit=LIMIT,
    key=C_MAJOR,
    compatible=True,
    min_bpm=90,
    max_bpm=140,
    type=StemType.BASS,
    status=StemAnalysisStatus.COMPLETED,
    min_duration=100,
    max_duration=300,
)
STEM_SEARCHES: dict[str, tuple[str, StemQuery]] = {
    "key": ("k", StemQuery(limit=LIMIT, key=C_MAJOR)),
    "key and bpm": ("k", StemQuery(limit=LIMIT, key=C_MAJOR, min_bpm=60, max_bpm=180, sort=Sort.BPM)),
    "key by date": ("k", StemQuery(limit=LIMIT, key=C_MAJOR, sort=Sort.CREATED_AT)),
    "compatible keys": ("k", StemQuery(limit=LIMIT, key=C_MAJOR, compatible=True)),
    "compatible by bpm": ("b", StemQuery(limit=LIMIT, key=C_MAJOR, compatible=True, sort=Sort.BPM)),
    "compatible by date": ("s", StemQuery(limit=LIMIT, key=C_MAJOR, compatible=True, sort=Sort.CREATED_AT)),
    "bpm": ("b", StemQuery(limit=LIMIT, min_bpm=90, max_bpm=110)),
    "half and double": ("b", StemQuery(limit=LIMIT, min_bpm=90, max_bpm=100, half_double=True)),
    "all filters": ("k", ALL_FILTERS),
    "all filters by bpm": ("b", ALL_FILTERS.model_copy(update={"sort": Sort.BPM})),
    "type by date": ("s", StemQuery(limit=LIMIT, type=StemType.BASS)),
    "type by key": ("k", StemQuery(limit=LIMIT, type=StemType.BASS, sort=Sort.KEY)),
}


@pytest.mark.parametrize("kind", STEM_SEARCHES)
async def test_a_search_is_parameterised_and_reads_what_it_returns(library: Library, kind: str):
    list_name, query = STEM_SEARCHES[kind]
    page = await library.search.stems(query)
    assert page.value
    assert_lean(library.requests, list_name, len(page.value))


async def test_a_search_within_a_song_looks_at_that_song_alone(library: Library):
    stem = next(stem for stem in library.stems if stem.key and stem.bpm)
    key, bpm = MusicalKey.parse(str(stem.key)), stem.bpm
    query = StemQuery(audio_file_id=stem.audio_file_id, key=key, min_bpm=bpm, max_bpm=bpm)
    page = await library.search.stems(query)
    assert page.value
    assert_lean(library.requests, "f", len(page.value))


@pytest.mark.parametrize("status", [AnalysisStatus.COMPLETED, AnalysisStatus.FAILED])
async def test_the_list_of_audio_files_is_as_lean(library: Library, status: AnalysisStatus):
    page = await library.search.songs(AudioQuery(limit=LIMIT, status=status))
    assert_lean(library.requests, "a", len(page.value))


async def test_the_list_of_jobs_is_as_lean(library: Library):
    for number in range(2 * LIMIT + 2):
        job = Job(
            id=f"{number}",
            audio_file_id=library.songs[0].audio.id,
            analysis_version=1,
            blob_name="song.flac",
            etag="etag",
            idempotency_key="key",
            status=JobStatus.FAILED if number % 2 else JobStatus.COMPLETED,
            created_at=datetime.now(UTC),
        )
        await library.index.put_job(job)
    library.requests.clear()
    page = await library.search.jobs(JobQuery(limit=LIMIT, status=JobStatus.FAILED))
    assert [each.status for each in page.value] == [JobStatus.FAILED] * LIMIT
    assert_lean(library.requests, "j", LIMIT)


def assert_lean(requests: Requests, list_name: str, returned: int) -> None:
    """Assert that no text of a query holds a value, that each query names a partition of this list, and that
    all that was read is the page and a look ahead; the directory of the list's partitions is one query more.
    """
    for request in requests:
        assert request.text and not re.search(r"['\"\d]", re.sub(r"@\w+", "", request.text))
    directories = [request for request in requests if request.partition == f'["p:{list_name}"]']
    pages = [request for request in requests if request.partition.startswith(f'["{list_name}:')]
    assert len(directories) <= 1
    assert len(directories) + len(pages) == len(requests)
    assert sum(request.documents for request in pages) <= 2 * returned


async def test_stems_of_a_song_are_one_query_of_its_partition(library: Library):
    for song in library.songs[:2]:
        library.requests.clear()
        assert len(await library.store.stems(song.audio.id, 1)) == 4
        (request,) = library.requests
        assert request.documents == 4
        assert request.partition == json.dumps([song.audio.id])
        assert request.text == "SELECT * FROM c WHERE c.kind = 'stem' AND c.analysisVersion = @version"


async def test_a_stem_by_its_id_and_statistics_are_point_reads(library: Library):
    stem = library.stems[7]
    library.requests.clear()
    assert await library.index.find_stem(stem.id) == stem.audio_file_id
    assert [request.text for request in library.requests] == [None]
    library.requests.clear()
    stats = await LibraryStatistics(library.counters).sum_up(datetime.now(UTC).date())
    assert {request.text for request in library.requests} == {None}
    assert len(library.requests) <= 24  # three documents in each of eight shards
    assert (stats.songs, stats.stems) == (SONGS, 4 * SONGS)


async def test_the_generated_library_is_as_the_app_would_have_written_it(tmp_path: Path):
    number, checked, token = 3, 0, None
    with stand_in(tmp_path, number, datetime.now(UTC)) as endpoint:
        database = CosmosDatabase(endpoint, EMULATOR_KEY)
        store, index, counters = (
            kind(database) for kind in (LibraryContainer, SearchIndexContainer, LibraryCounters)
        )
        library_index = LibraryIndex(store=store, index=index, counters=counters)
        repair = LibraryRepair(store=store, index=library_index, search_index=index, counters=counters)
        while checked == 0 or token:
            report, token = await repair.step(token)
            assert report == RepairReport(checked=report.checked), "there was something to correct"
            checked += report.checked
        await database.close()
    assert checked > 5 * number


@pytest.mark.parametrize("seed", range(30))
async def test_answers_equal_a_look_at_every_stem(library: Library, seed: int):
    chance = random.Random(seed)
    query = random_query(chance, library)
    found = await all_pages(library.search.stems, query)
    wanted = sorted((stem for stem in library.stems if fits(stem, query)), key=order_of(query))
    assert [order_of(query)(stem) for stem in found] == [order_of(query)(stem) for stem in wanted]
    assert sorted(stem.id for stem in found) == sorted(stem.id for stem in wanted)


@pytest.mark.parametrize("status", [None, *AnalysisStatus])
async def test_audio_files_are_listed_newest_first(library: Library, status: AnalysisStatus | None):
    found = await all_pages(library.search.songs, AudioQuery(limit=7, status=status))
    wanted = [song.audio for song in library.songs if status in (None, song.audio.analysis_status)]
    assert found == sorted(wanted, key=lambda audio: audio.created_at, reverse=True)


async def all_pages(search: Callable[[Any], Awaitable[Any]], query: PageQuery) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = await search(query.model_copy(update={"page_token": token}))
        found += page.value
        token = page.next_token
        if token is None:
            return found
        assert len(page.value) <= query.limit


def random_query(chance: random.Random, library: Library) -> StemQuery:
    """Return a search by values that stems of the library have, bounds at their very edge among them."""

    def perhaps(share: float, value: Any) -> Any:
        return value if chance.random() < share else None

    stem = chance.choice([each for each in library.stems if each.bpm and each.key])
    assert stem.bpm and stem.key and stem.duration_seconds
    has_key = chance.random() < 0.5
    return StemQuery(
        limit=chance.choice((3, 10, 50, 200)),
        key=MusicalKey.parse(stem.key) if has_key else None,
        compatible=has_key and chance.random() < 0.6,
        type=perhaps(0.3, stem.type),
        min_bpm=perhaps(0.5, stem.bpm - chance.choice((0, 0.5, 7, 60))),
        max_bpm=perhaps(0.5, stem.bpm + chance.choice((0, 0.5, 7, 60))),
        half_double=chance.random() < 0.4,
        min_duration=perhaps(0.2, stem.duration_seconds - chance.choice((0, 50))),
        max_duration=perhaps(0.2, stem.duration_seconds + chance.choice((0, 50))),
        status=perhaps(0.2, stem.analysis_status),
        audio_file_id=perhaps(0.15, stem.audio_file_id),
        sort=perhaps(0.6, chance.choice(list(Sort))),
    )


def fits(stem: Stem, query: StemQuery) -> bool:
    if query.min_bpm is not None or query.max_bpm is not None:
        if stem.bpm is None:
            return False
        tempos = (stem.bpm, stem.bpm / 2, stem.bpm * 2) if query.half_double else (stem.bpm,)
        if not any((query.min_bpm or 0) <= tempo <= (query.max_bpm or 1000) for tempo in tempos):
            return False
    elif sort_of(query) is Sort.BPM and stem.bpm is None:
        return False
    duration = stem.duration_seconds or 0
    return (
        query.type in (None, stem.type)
        and query.status in (None, stem.analysis_status)
        and query.audio_file_id in (None, stem.audio_file_id)
        and (query.min_duration or 0) <= duration <= (query.max_duration or duration)
        and (query.key is None or stem.key in keys_of(query))
    )


def keys_of(query: StemQuery) -> list[str | None]:
    """Return the keys that are asked for, or all, in the order of the answer."""
    if query.key is None:
        return [*(key.name for key in all_keys()), None]
    return [key.name for key in (query.key.compatible_keys() if query.compatible else [query.key])]


def sort_of(query: StemQuery) -> Sort:
    has_tempo = query.min_bpm is not None or query.max_bpm is not None
    return query.sort or (Sort.KEY if query.key else Sort.BPM if has_tempo else Sort.CREATED_AT)


def order_of(query: StemQuery) -> Callable[[Any], tuple[float, ...]]:
    def order(stem: Any) -> tuple[float, ...]:
        match sort_of(query):
            case Sort.CREATED_AT:
                return (-stem.created_at.timestamp(),)
            case Sort.BPM:
                return (stem.bpm,)
        return (keys_of(query).index(stem.key), stem.bpm or 0)

    return order
