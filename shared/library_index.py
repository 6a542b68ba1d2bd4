"""Keeps lists and statistics as the library is.

A change of a record leaves a mark on its document, in the same write. What follows from it (projections,
counts) is written after it, from the document alone, each write safe to repeat; then the mark is cleared. A
crash in between leaves the mark, and the sweep finds it.
"""

import asyncio
from typing import Any

from shared.effects import effect
from shared.library_statistics import contribution_of
from shared.models import AudioFile, Stem, StemItem
from shared.storage.library import LibraryContainer
from shared.storage.library_entries import Entry, next_revision, places_of
from shared.storage.search_index import SearchIndexContainer, stem_partition
from shared.storage.stats import LibraryCounters


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
        places = places_of(entry)
        with effect("lists told"):
            projection, pointer = (
                _projection(entry, song),
                {"id": entry.id, "audioFileId": entry.audio_file_id},
            )
            await asyncio.gather(
                *(
                    self._index.put(place, pointer if place == stem_partition(entry.id) else projection)
                    for place in places
                )
            )
            await self._index.remove(entry.id, entry.places - places)
        with effect("record counted"):
            contribution = contribution_of(entry.record) if entry.is_shown else {}
            await self._counters.count(entry.id, entry.revision, contribution)
        with effect("record settled"):
            settled = await self._store.settle(entry, places)
        if not settled and not await self._store.exists(entry):
            await self._index.remove(entry.id, places)

    async def _forget(self, entry: Entry) -> None:
        await self._index.remove(entry.id, entry.places)
        await self._counters.count(entry.id, next_revision(entry.revision), {})


def _projection(entry: Entry, song: AudioFile) -> dict[str, Any]:
    """Return what lists show of a record."""
    record = entry.record
    if isinstance(record, AudioFile):
        return record.to_wire()
    item = StemItem(
        **{name: getattr(record, name) for name in StemItem.model_fields if name in Stem.model_fields},
        analysis_url=f"/api/stems/{record.id}/analysis",
        song=song.title or song.name,
        artist=song.artist,
    )
    return item.to_wire()
