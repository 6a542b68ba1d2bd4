"""Container `stats`: counters, exact since they change in one transaction with a note of what they hold."""

import asyncio
import contextlib
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from azure.cosmos.exceptions import CosmosBatchOperationError

from shared.errors import AlreadyExistsError
from shared.storage.cosmos import Container, Document

COUNTERS = "counters"
REMEMBERED_SECONDS = 40 * 24 * 3600
"""An event that is told again later than this would be counted again; jobs live for 8 days."""
CONFLICT, CHANGED, NOT_FOUND = 409, 412, 404


class StatsContainer(Container):
    """One partition a scope: its counters, and a note for each event that they include."""

    name = "stats"

    async def count(self, scope: str, event_id: str, increments: Mapping[str, float]) -> None:
        """Add to the counters of a scope, once for each event: the note and the sums change together."""
        container = await self._database.container(self.name)
        sums = [{"op": "incr", "path": f"/{name}", "value": value} for name, value in increments.items()]
        batch = [
            ("create", ({"id": event_id, "scope": scope, "ttl": REMEMBERED_SECONDS},)),
            ("patch", (COUNTERS, sums)),
        ]
        while True:
            try:
                await container.execute_item_batch(batch, partition_key=scope)
                return
            except CosmosBatchOperationError as refused:
                status = refused.operation_responses[refused.error_index]["statusCode"]
                if (refused.error_index, status) == (0, CONFLICT):
                    return  # counted before
                if (refused.error_index, status) != (1, NOT_FOUND):
                    raise
            try:
                await self._create({"id": COUNTERS, "scope": scope})
            except AlreadyExistsError:
                continue

    async def read(self, scope: str) -> dict[str, float]:
        """Return the counters of a scope; a missing one is empty."""
        return dict(_counters(await self._read(COUNTERS, scope) or {}))


Contribution = Mapping[str, Mapping[str, int]]
"""What a record adds to the counters: {document: {counter: number}}."""
SHARDS = 8
"""Partitions of the library's counters, so that writers seldom wait for each other."""


class LibraryCounters(Container):
    """Counters over the records of the library, each counted as it is now.

    A partition `library:{shard}` holds a note for each of its records, with what the record contributes, and
    the counters, which are the sums of the notes: both change in one transactional batch.
    """

    name = "stats"

    async def count(self, record_id: str, revision: int, contribution: Contribution) -> None:
        """Have the counters include this contribution of the record, unless they include a later one."""
        scope = _scope(_shard(record_id))
        container = await self._database.container(self.name)
        while True:
            note = await self._read(record_id, scope)
            if note and note["revision"] >= revision:
                return
            changes = _changes(note["contribution"] if note else {}, contribution)
            body = {"id": record_id, "scope": scope, "revision": revision, "contribution": contribution}
            if not contribution:
                body["ttl"] = REMEMBERED_SECONDS
            batch: list[Any] = [
                ("replace", (record_id, body), {"if_match_etag": note["_etag"]})
                if note
                else ("create", (body,)),
                *(("patch", (document, sums)) for document, sums in changes.items()),
            ]
            try:
                await container.execute_item_batch(batch, partition_key=scope)
                return
            except CosmosBatchOperationError as refused:
                status = refused.operation_responses[refused.error_index]["statusCode"]
                if refused.error_index == 0 and status in (CONFLICT, CHANGED, NOT_FOUND):
                    continue
                if refused.error_index == 0 or status != NOT_FOUND:
                    raise
            await self._create_counters(scope, changes)

    async def read(self, documents: Iterable[str]) -> list[dict[str, int]]:
        """Return the counters of each document, over all shards."""
        return list(await asyncio.gather(*(self._sum(document) for document in documents)))

    async def _sum(self, document: str) -> dict[str, int]:
        shards = await asyncio.gather(*(self._read(document, _scope(shard)) for shard in range(SHARDS)))
        total: Counter[str] = Counter()
        for found in shards:
            total.update(_counters(found or {}))
        return dict(total)

    async def _create_counters(self, scope: str, documents: Iterable[str]) -> None:
        for document in documents:
            with contextlib.suppress(AlreadyExistsError):
                await self._create({"id": document, "scope": scope})


def _shard(record_id: str) -> int:
    return zlib.crc32(record_id.encode()) % SHARDS


def _scope(shard: int) -> str:
    return f"library:{shard}"


def _counters(document: Document) -> dict[str, int]:
    """Return the counters of a document, without what else stands in it."""
    known = ("id", "scope")
    return {name: value for name, value in document.items() if name not in known and not name.startswith("_")}


def _changes(before: Contribution, now: Contribution) -> dict[str, list[Document]]:
    """Return the patches that replace one contribution by another."""
    patches = {}
    for document in sorted({*before, *now}):
        old, new = before.get(document, {}), now.get(document, {})
        differences = {name: new.get(name, 0) - old.get(name, 0) for name in sorted({*old, *new})}
        sums = [
            {"op": "incr", "path": f"/{name}", "value": value} for name, value in differences.items() if value
        ]
        if sums:
            patches[document] = sums
    return patches


class SweepCursor(Container):
    """Where the walk over all blobs goes on."""

    name = "stats"
    scope = "sweep"

    async def load(self) -> str | None:
        """Return what was saved last, or None."""
        document = await self._read("uploads", self.scope) or {}
        return document.get("continuation")

    async def save(self, continuation: str | None) -> None:
        """Save where to go on; None to begin anew."""
        await self._upsert({"id": "uploads", "scope": self.scope, "continuation": continuation})
