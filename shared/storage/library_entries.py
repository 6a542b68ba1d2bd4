"""Documents of the library as lists and statistics see them.

Beside its record a document carries `unindexedSince` until they show this version of it, `revision`, which
every change raises, and `places`, the partitions of the search index where projections of it may stand.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from shared.models import AudioFile, Stem
from shared.storage.cosmos import Document, record_of, wire_time
from shared.storage.search_index import (
    SONGS,
    STEMS,
    key_partition,
    month_partition,
    song_partition,
    stem_partition,
    tempo_partition,
)

AUDIO, STEM, STAGED, DELETED, DELETED_STEM = "audio", "stem", "staged", "deleted", "deletedStem"
"""Kinds of documents. Staged: a stem of a job that has not completed, which nobody sees; deleted: an audio
file whose parts are being deleted, or a stem that lists may still show."""


@dataclass(frozen=True)
class Entry:
    """A document whose projections and counts may be out of date."""

    document: Document

    @property
    def id(self) -> str:
        """Id of the record."""
        return str(self.document["id"])

    @property
    def audio_file_id(self) -> str:
        """Id of the song, which is the partition."""
        return str(self.document["audioFileId"])

    @property
    def revision(self) -> int:
        """Raised by every change of the record."""
        return int(self.document["revision"])

    @property
    def places(self) -> set[str]:
        """Partitions of the search index where projections may stand."""
        return set(self.document["places"])

    @property
    def is_unsettled(self) -> bool:
        """Whether lists and statistics may not show it as it is."""
        return "unindexedSince" in self.document or self.places != places_of(self)

    @cached_property
    def record(self) -> AudioFile | Stem:
        """The record."""
        if self.document["kind"] in (AUDIO, DELETED):
            return record_of(AudioFile, self.document)
        return record_of(Stem, self.document)

    @property
    def is_shown(self) -> bool:
        """Whether lists show it: not what is deleted, nor stems of an older analysis."""
        return self.document["kind"] in (AUDIO, STEM) and not self.document.get("superseded")


def marked(document: Document, previous: Document | None) -> Document:
    """Return the document as it is to be written: later than `previous`, and not in the lists yet."""
    known = previous or {"revision": 0, "places": []}
    return {
        **document,
        "revision": next_revision(known["revision"]),
        "places": sorted({*known["places"], *places_of(Entry(document))}),
        "unindexedSince": wire_time(datetime.now(UTC)),
    }


def next_revision(known: int) -> int:
    """Return a later one, from the clock: a record made anew is later than the one that was deleted."""
    return max(known + 1, time.time_ns() // 1000)


def places_of(entry: Entry) -> set[str]:
    """Return the partitions of the search index where the record belongs."""
    if not entry.is_shown:
        # A stem of an older analysis can still be had by its id.
        return {stem_partition(entry.id)} if entry.document["kind"] == STEM else set()
    record = entry.record
    if isinstance(record, AudioFile):
        return {month_partition(SONGS, record.created_at)}
    places = {
        stem_partition(record.id),
        song_partition(record.audio_file_id),
        key_partition(record.key),
        month_partition(STEMS, record.created_at),
    }
    return places if record.bpm is None else places | {tempo_partition(record.bpm)}
