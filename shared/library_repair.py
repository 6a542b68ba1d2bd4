"""Compares lists and statistics with the library, record by record, and corrects what differs.

What is exact by construction (shared/library_index.py) can still be harmed from outside: a restored backup, a
container emptied by hand, a fault of ours that is mended now. A repair is a walk of many bounded steps, safe
to repeat, to break off, and beside other writers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from shared.errors import BeingDeletedError
from shared.library_index import LibraryIndex, contribution_of, projections_of
from shared.models import AudioFile, WireModel
from shared.paging import Cursor, unusable_token
from shared.storage.library import LibraryContainer
from shared.storage.library_counters import SHARDS, LibraryCounters
from shared.storage.library_entries import Entry, next_revision, places_of
from shared.storage.search_index import SearchIndexContainer

BATCH = 200
"""Documents that one step looks at."""
BOUND = {"walk": "repair"}
"""Page tokens of a repair continue nothing else."""

Thing = TypeVar("Thing")
Check = Callable[[str | None], Awaitable[tuple["RepairReport", str | None]]]


class RepairReport(WireModel):
    """What one step looked at, and what it had to correct."""

    checked: int = 0
    records: int = 0
    """Songs and stems that lists or statistics did not show as they are."""
    counts: int = 0
    """Counts of records that are gone."""
    sums: int = 0
    """Counters that were not the sum of what they count."""
    projections: int = 0
    """Entries of lists that belong to no record."""
    busy: int = 0
    """Partitions of counters that changed all the while; a later repair finds them quiet."""


class LibraryRepair:
    """Walks over all records, counts, counters and projections."""

    def __init__(
        self,
        *,
        store: LibraryContainer,
        index: LibraryIndex,
        search_index: SearchIndexContainer,
        counters: LibraryCounters,
    ) -> None:
        self._store = store
        self._index = index
        self._search_index = search_index
        self._counters = counters
        shards = range(SHARDS)
        self._phases: dict[str, Check] = {
            "records": self._check_records,
            **{f"counts:{shard}": self._counts_of(shard) for shard in shards},
            **{f"sums:{shard}": self._sums_of(shard) for shard in shards},
            "projections": self._check_projections,
        }

    async def step(self, page_token: str | None) -> tuple[RepairReport, str | None]:
        """Do one step; return what it found, and the token of the next step, None after the last.

        Raises
        ------
        InvalidInputError
            If the token is not one of a repair.
        """
        phases = list(self._phases)
        cursor = Cursor.from_token(page_token, BOUND) if page_token else Cursor(phases[0])
        if cursor.partition not in phases:
            raise unusable_token()
        report, continuation = await self._phases[cursor.partition](cursor.continuation)
        if continuation is not None:
            return report, Cursor(cursor.partition, continuation).to_token(BOUND)
        rest = phases[phases.index(cursor.partition) + 1 :]
        return report, Cursor(rest[0]).to_token(BOUND) if rest else None

    async def _check_records(self, continuation: str | None) -> tuple[RepairReport, str | None]:
        entries, after = await self._store.page(continuation, BATCH)
        wrong = await _filter(entries, self._is_wrong)
        for song in sorted({entry.audio_file_id for entry in wrong}):
            await self._store.mark([entry for entry in wrong if entry.audio_file_id == song])
            try:
                await self._index.update(song)
            except BeingDeletedError:
                continue  # its deletion takes it off the lists
        return RepairReport(checked=len(entries), records=len(wrong)), after

    async def _is_wrong(self, entry: Entry) -> bool:
        if entry.is_unsettled:
            return True
        if await self._counters.contribution_of(entry.id) != contribution_of(entry):
            return True
        song = await self._store.entry(entry.audio_file_id, entry.audio_file_id)
        if song is None or not isinstance(song.record, AudioFile):
            return False
        projections = projections_of(entry, song.record)
        shown = await asyncio.gather(*(self._search_index.get(entry.id, place) for place in projections))
        return shown != list(projections.values())

    def _counts_of(self, shard: int) -> Check:
        async def check(continuation: str | None) -> tuple[RepairReport, str | None]:
            counted, after = await self._counters.page(shard, continuation, BATCH)

            async def is_gone(ids: tuple[str, str]) -> bool:
                return await self._store.entry(*ids) is None

            gone = await _filter(counted, is_gone)
            for record_id, audio_file_id in gone:
                await self._counters.count(record_id, audio_file_id, next_revision(0), {})
            return RepairReport(checked=len(counted), counts=len(gone)), after

        return check

    def _sums_of(self, shard: int) -> Check:
        async def check(_: str | None) -> tuple[RepairReport, str | None]:
            corrected = await self._counters.correct_sums(shard)
            busy = corrected is None
            return RepairReport(checked=1, sums=corrected or 0, busy=int(busy)), None

        return check

    async def _check_projections(self, continuation: str | None) -> tuple[RepairReport, str | None]:
        found, after = await self._search_index.scan(continuation, BATCH)

        async def is_stray(projection: tuple[str, str, str]) -> bool:
            record_id, place, audio_file_id = projection
            entry = await self._store.entry(record_id, audio_file_id)
            return entry is None or place not in places_of(entry) | entry.places

        strays = await _filter(found, is_stray)
        for record_id, place, _ in strays:
            await self._search_index.remove(record_id, [place])
        return RepairReport(checked=len(found), projections=len(strays)), after


async def _filter(things: Sequence[Thing], test: Callable[[Thing], Awaitable[bool]]) -> list[Thing]:
    results = await asyncio.gather(*(test(thing) for thing in things))
    return [thing for thing, result in zip(things, results, strict=True) if result]
