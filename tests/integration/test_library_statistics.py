"""Statistics and lists say what the library holds, after any sequence of changes."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from azure.storage.blob import ContainerClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.services import Services
from shared.library_index import contribution_of
from shared.library_statistics import TOTALS
from shared.models import ANALYSIS_VERSION, Job, Stem, StemAnalysisStatus, StemType
from shared.queries import StemQuery
from shared.storage.library import LibraryContainer
from shared.storage.library_counters import LibraryCounters, scope_of
from tests.integration.conftest import TurnedClock
from tests.integration.libraries import add_song, save_stem
from tests.integration.songs import upload

SONGS = 3
KEYS = (None, "C major", "A minor", "F# major")
changes = st.one_of(
    st.tuples(
        st.just("save"),
        st.integers(0, SONGS - 1),
        st.sampled_from(StemType),
        st.fixed_dictionaries(
            {
                "key": st.sampled_from(KEYS),
                "bpm": st.one_of(st.none(), st.floats(40, 240)),
                "duration_seconds": st.one_of(st.none(), st.floats(0, 1000)),
                "file_size_bytes": st.one_of(st.none(), st.integers(0, 2**40)),
                "analysis_status": st.sampled_from(StemAnalysisStatus),
                "analysis_version": st.integers(1, 2),
            }
        ),
    ),
    st.tuples(st.just("upload"), st.integers(0, SONGS - 1)),
    st.tuples(st.just("delete stem"), st.integers(0, SONGS - 1), st.sampled_from(StemType)),
    st.tuples(st.just("delete song"), st.integers(0, SONGS - 1)),
)


@dataclass
class Bench:
    """A library to be changed, and what it should be counted as."""

    services: Services
    container: ContainerClient

    def __post_init__(self) -> None:
        self.store = LibraryContainer(self.services.database)
        self.counters = LibraryCounters(self.services.database)

    async def recount(self) -> dict[str, Counter[str]]:
        """Count all records of the library, one by one."""
        sums: dict[str, Counter[str]] = {TOTALS: Counter()}
        continuation = None
        while True:
            entries, continuation = await self.store.page(continuation, 100)
            for entry in entries:
                for document, numbers in contribution_of(entry).items():
                    sums.setdefault(document, Counter()).update(numbers)
            if continuation is None:
                return {document: +numbers for document, numbers in sums.items()}

    async def counted(self, documents: Iterable[str]) -> dict[str, dict[str, int]]:
        names = list(documents)
        found = await self.counters.read(names)
        return {
            name: {counter: number for counter, number in counters.items() if number}
            for name, counters in zip(names, found, strict=True)
        }

    async def is_exact(self) -> bool:
        recounted = await self.recount()
        return await self.counted(recounted) == recounted

    async def apply(self, songs: list[str], change: tuple[Any, ...]) -> None:
        match change:
            case ("save", song, kind, values):
                if await self.services.library.find_audio(songs[song]) is None:
                    await self.add_song(songs[song])
                await self.save(songs[song], kind, **values)
            case ("upload", song):
                await self.add_song(songs[song])
            case ("delete stem", song, kind):
                for stem in await self.stems_of(songs[song]):
                    if stem.type is kind:
                        await self.services.stems.delete(stem.id)
            case ("delete song", song):
                await self.services.workflow.delete_audio(songs[song])

    async def add_song(self, song: str | None = None) -> str:
        return await add_song(self.services, self.container, song)

    async def save(self, song: str, kind: StemType = StemType.DRUMS, **values: Any) -> Stem:
        return await save_stem(self.services, self.container, song, kind, **values)

    async def stems_of(self, song: str) -> list[Stem]:
        if await self.services.library.find_audio(song) is None:
            return []
        return await self.services.stems.of_song(song)

    async def listed(self, **query: Any) -> set[str]:
        """Return the ids of a search's first page."""
        return {item.id for item in (await self.services.search.stems(StemQuery(limit=200, **query))).value}


@pytest.fixture
def bench(services: Services, container: ContainerClient) -> Bench:
    return Bench(services, container)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sequence=st.lists(changes, max_size=10))
async def test_counters_equal_a_recount(bench: Bench, sequence: list[tuple[Any, ...]]):
    songs = [str(uuid.uuid4()) for _ in range(SONGS)]
    for change in sequence:
        await bench.apply(songs, change)
    assert await bench.is_exact()
    for song in songs:
        stems = await bench.stems_of(song)
        assert await bench.listed(audio_file_id=song) >= {stem.id for stem in stems}


async def test_writers_at_once_are_counted_once(bench: Bench):
    song = await bench.add_song()
    before = await bench.recount()
    await asyncio.gather(*(bench.save(song, bpm=100 + number) for number in range(8)))
    after = await bench.recount()
    assert after[TOTALS]["stems"] == before[TOTALS]["stems"] + 1
    assert await bench.is_exact()
    (stem,) = await bench.stems_of(song)
    for bpm in range(100, 108):
        assert (stem.id in await bench.listed(min_bpm=bpm, max_bpm=bpm)) is (bpm == stem.bpm)


async def test_a_song_that_comes_again_after_its_deletion_is_counted(bench: Bench):
    song = await bench.add_song()
    first = await bench.save(song)
    await bench.services.workflow.delete_audio(song)
    assert await bench.listed(audio_file_id=song) == set()
    await bench.add_song(song)
    assert (await bench.save(song)).id == first.id
    assert await bench.is_exact()
    assert await bench.listed(audio_file_id=song) == {first.id}


async def test_a_deletion_that_broke_off_is_finished_by_the_sweep(bench: Bench, clock: TurnedClock):
    song = await bench.add_song()
    stem = await bench.save(song, bpm=120, key="C major")
    known = await bench.store.read_stem(song, stem.id)
    assert known is not None
    await bench.store.mark_stem_deleted(stem, known.etag)
    clock.turn(minutes=2)

    async def on_ended(job: Job) -> None: ...

    assert (await bench.services.sweeps.sweep(on_ended)).indexed >= 1
    assert await bench.is_exact()
    assert await bench.listed(audio_file_id=song) == set()
    assert await bench.store.entry(stem.id, song) is None


async def test_stems_of_an_older_analysis_leave_the_lists_and_keep_their_address(bench: Bench):
    job = await upload(bench.services, bench.container)
    old = await bench.save(job.audio_file_id, analysis_version=ANALYSIS_VERSION)
    stored = await bench.services.library.get_audio(job.audio_file_id)
    newer = stored.record.model_copy(update={"analysis_version": ANALYSIS_VERSION + 1})
    await bench.store.publish(newer, stored.etag, job.id)
    await bench.services.stems.settle(job.audio_file_id)
    assert await bench.listed(audio_file_id=job.audio_file_id) == set()
    assert await bench.is_exact()
    assert (await bench.services.stems.get(old.id)).record.id == old.id
    (found,) = await bench.services.stems.of_song(job.audio_file_id, ANALYSIS_VERSION)
    assert found.id == old.id


async def repair(services: Services) -> Counter[str]:
    """Repair all; return what was corrected."""
    total: Counter[str] = Counter()
    token: str | None = None
    while True:
        report, token = await services.repair.step(token)
        total.update(report.model_dump())
        if token is None:
            return +total


async def test_a_repair_finds_nothing_in_a_sound_library(bench: Bench):
    await bench.save(await bench.add_song(), bpm=120)
    await repair(bench.services)
    assert set(await repair(bench.services)) == {"checked"}


async def test_a_repair_corrects_what_was_harmed(bench: Bench):
    song = await bench.add_song()
    stem = await bench.save(song, bpm=120, key="C major")
    await repair(bench.services)
    index = bench.services.index
    await index.remove(stem.id, ["k:C major"])
    await index.put("k:D major", {"id": stem.id, "audioFileId": song})
    stats = await bench.services.database.container("stats")
    await stats.patch_item(TOTALS, "library:0", [{"op": "incr", "path": "/stems", "value": 5}])
    await bench.counters.count(str(uuid.uuid4()), song, 1, {TOTALS: {"stems": 1}})
    assert not await bench.is_exact()
    corrected = await repair(bench.services)
    del corrected["checked"]
    assert corrected == {"records": 1, "counts": 1, "sums": 1, "projections": 1}
    assert await bench.is_exact()
    assert set(await repair(bench.services)) == {"checked"}


async def test_a_sum_that_changes_while_it_is_corrected_is_looked_at_again(
    services: Services, monkeypatch: pytest.MonkeyPatch
):
    counters = LibraryCounters(services.database)
    record = str(uuid.uuid4())
    shard = int(scope_of(record).partition(":")[2])
    await counters.count(record, record, 1, {TOTALS: {"songs": 1}})
    await counters.correct_sums(shard)
    harmed = await counters._read(TOTALS, scope_of(record))
    assert harmed
    await counters._upsert({**harmed, "songs": 1000})
    write = LibraryCounters._write_sums

    async def changed_meanwhile(self: LibraryCounters, *arguments: Any) -> int:
        monkeypatch.setattr(LibraryCounters, "_write_sums", write)
        await counters.count(record, record, 2, {TOTALS: {"songs": 2}})
        return await write(self, *arguments)

    monkeypatch.setattr(LibraryCounters, "_write_sums", changed_meanwhile)
    assert await counters.correct_sums(shard) == 1
    assert await counters.correct_sums(shard) == 0
