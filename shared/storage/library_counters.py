"""The library's counters, in container `stats`."""

import asyncio
import contextlib
import zlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

from azure.cosmos.exceptions import CosmosBatchOperationError

from shared.errors import AlreadyExistsError, ChangedMeanwhileError
from shared.library_statistics import Contribution
from shared.storage.cosmos import Container, Document
from shared.storage.stats import CONFLICT, NOT_FOUND, REMEMBERED_SECONDS, counters_of

CHANGED = 412
SHARDS = 8
"""Partitions of the library's counters, so that writers seldom wait for each other."""
READINGS = 5
COUNTERS_ALONE = "SELECT * FROM c WHERE NOT IS_DEFINED(c.contribution)"
CONTRIBUTIONS = "SELECT c.contribution FROM c WHERE IS_DEFINED(c.contribution)"
NOTES_A_PAGE = 1000


class LibraryCounters(Container):
    """Counters over the records of the library, each counted as it is now.

    A partition `library:{shard}` holds a note for each of its records, with what the record contributes, and
    the counters, which are the sums of the notes: both change in one transactional batch.
    """

    name = "stats"

    async def count(
        self, record_id: str, audio_file_id: str, revision: int, contribution: Contribution
    ) -> None:
        """Have the counters include this contribution of the record, unless they include a later one."""
        scope = scope_of(record_id)
        container = await self._database.container(self.name)
        while True:
            note = await self._read(record_id, scope)
            if note and note["revision"] >= revision:
                return
            changes = _changes(note["contribution"] if note else {}, contribution)
            body = {
                "id": record_id,
                "scope": scope,
                "audioFileId": audio_file_id,
                "revision": revision,
                "contribution": contribution,
            }
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

    async def contribution_of(self, record_id: str) -> Contribution:
        """Return what the counters include of a record."""
        note = await self._read(record_id, scope_of(record_id))
        return note["contribution"] if note else {}

    async def page(
        self, shard: int, continuation: str | None, limit: int
    ) -> tuple[list[tuple[str, str]], str | None]:
        """Return id and song of some of a shard's records that count, and where to go on."""
        notes, after = await self._page("SELECT * FROM c", continuation, limit, partition=_scope(shard))
        counted = [(note["id"], note["audioFileId"]) for note in notes if note.get("contribution")]
        return counted, after

    async def correct_sums(self, shard: int) -> int | None:
        """Make a shard's counters the sums of its notes; return how many were not.

        None if they changed during each of several readings: then nothing can be said.
        """
        scope = _scope(shard)
        for _ in range(READINGS):
            begun = await self._query(COUNTERS_ALONE, partition=scope)
            sums = await self._sums_of_notes(scope)
            ended = await self._query(COUNTERS_ALONE, partition=scope)
            if _etags(begun) == _etags(ended):
                with contextlib.suppress(AlreadyExistsError, ChangedMeanwhileError):
                    return await self._write_sums(scope, begun, sums)
        return None

    async def _sums_of_notes(self, scope: str) -> dict[str, Counter[str]]:
        """Add the notes up as they come: there may be more of them than fit into memory."""
        sums: dict[str, Counter[str]] = {}
        async for note in await self._items(CONTRIBUTIONS, scope, NOTES_A_PAGE, {}):
            for document, numbers in note["contribution"].items():
                sums.setdefault(document, Counter()).update(numbers)
        return sums

    async def _write_sums(self, scope: str, counters: list[Document], sums: dict[str, Counter[str]]) -> int:
        known = {document["id"]: document for document in counters}
        corrected = 0
        for name in known.keys() | sums.keys():
            right = {counter: number for counter, number in sums.get(name, Counter()).items() if number}
            found = counters_of(known.get(name, {}))
            if {counter: number for counter, number in found.items() if number} == right:
                continue
            body = {"id": name, "scope": scope, **right}
            if name in known:
                await self._replace(body, known[name]["_etag"])
            else:
                await self._create(body)
            corrected += 1
        return corrected

    async def _sum(self, document: str) -> dict[str, int]:
        shards = await asyncio.gather(*(self._read(document, _scope(shard)) for shard in range(SHARDS)))
        total: Counter[str] = Counter()
        for found in shards:
            total.update(counters_of(found or {}))
        return dict(total)

    async def _create_counters(self, scope: str, documents: Iterable[str]) -> None:
        for document in documents:
            with contextlib.suppress(AlreadyExistsError):
                await self._create({"id": document, "scope": scope})


def scope_of(record_id: str) -> str:
    """Return the partition of the counters that a record counts in."""
    return _scope(zlib.crc32(record_id.encode()) % SHARDS)


def _scope(shard: int) -> str:
    return f"library:{shard}"


def _etags(documents: Iterable[Document]) -> dict[str, str]:
    return {document["id"]: document["_etag"] for document in documents}


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
