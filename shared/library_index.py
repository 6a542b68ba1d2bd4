"""Keeps lists and statistics as the library is.

A change of a record leaves a mark on its document, in the same write. What follows from it (projections,
counts) is written after it, from the document alone, each write safe to repeat; then the mark is cleared. A
crash in between leaves the mark, and the sweep finds it.
"""

import asyncio

from shared.effects import effect
from shared.library_statistics import Contribution, count_record
from shared.models import AudioFile, Stem, StemItem
from shared.storage.cosmos import Document
from shared.storage.library import LibraryContainer
from shared.storage.library_counters import LibraryCounters
from shared.storage.library_entries import Entry, next_revision, places_of
from shared.storage.search_index import SearchIndexContainer, stem_partition


class LibraryIndex:
    """Lists and statistics over the records of the library; the only writer of both."""

    def __init__(
        self, *, store: LibraryContainer, index: SearchIndexContainer, counters: LibraryCounters
    ) -> None:
        self._store = store
        self._index = index
        self._counters = counters

    async def update(self, audio_file_id: str) -> None:
        """Have lists and statistics show a song and its stems as they are.

        Raises
        ------
        BeingDeletedError
            If its deletion has begun.
        """
        while entries := await self._store.unindexed(audio_file_id):
            stored = await self._store.read_audio(audio_file_id)
            if stored is None:
                return
            await asyncio.gather(*(self._show(entry, stored.record) for entry in entries))

    async def remove(self, audio_file_id: str) -> None:
        """Take a song and its stems off the lists, and out of the statistics."""
        entries = await self._store.entries(audio_file_id)
        await asyncio.gather(*(self._forget(entry) for entry in entries))

    async def _show(self, entry: Entry, song: AudioFile) -> None:
        with effect("lists told"):
            projections = projections_of(entry, song)
            await asyncio.gather(*(self._index.put(place, shown) for place, shown in projections.items()))
            await self._index.remove(entry.id, entry.places - projections.keys())
        with effect("record counted"):
            await self._count(entry, entry.revision, contribution_of(entry))
        with effect("record settled"):
            settled = await self._store.settle(entry, projections.keys())
        if not settled and await self._store.entry(entry.id, entry.audio_file_id) is None:
            await self._index.remove(entry.id, projections.keys())

    async def _forget(self, entry: Entry) -> None:
        await self._index.remove(entry.id, entry.places)
        await self._count(entry, next_revision(entry.revision), {})

    async def _count(self, entry: Entry, revision: int, contribution: Contribution) -> None:
        await self._counters.count(entry.id, entry.audio_file_id, revision, contribution)


def contribution_of(entry: Entry) -> Contribution:
    """Return what statistics count of an entry."""
    return count_record(entry.record) if entry.is_shown else {}


def projections_of(entry: Entry, song: AudioFile) -> dict[str, Document]:
    """Return what stands of an entry in each of its places in the search index."""
    record = entry.record
    if isinstance(record, AudioFile):
        return dict.fromkeys(places_of(entry), record.to_wire())
    item = StemItem(
        **{name: getattr(record, name) for name in StemItem.model_fields if name in Stem.model_fields},
        analysis_url=f"/api/stems/{record.id}/analysis",
        song=song.title or song.name,
        artist=song.artist,
    )
    pointer = {"id": record.id, "audioFileId": record.audio_file_id}
    shown = item.to_wire()
    return {place: pointer if place == stem_partition(record.id) else shown for place in places_of(entry)}
