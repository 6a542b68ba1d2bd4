"""Container `stats`: counters, exact since they change in one transaction with a note of what they hold."""

from collections.abc import Mapping
from typing import Any

from azure.cosmos.exceptions import CosmosBatchOperationError

from shared.errors import AlreadyExistsError
from shared.storage.cosmos import Container, Document

COUNTERS = "counters"
REMEMBERED_SECONDS = 40 * 24 * 3600
"""An event that is told again later than this would be counted again; jobs live for 8 days."""
CONFLICT, NOT_FOUND = 409, 404


class StatsContainer(Container):
    """One partition a scope: its counters, and a note for each event that they include."""

    name = "stats"

    async def count(self, scope: str, event_id: str, increments: Mapping[str, float]) -> bool:
        """Add to the counters of a scope, once for each event: the note and the sums change together.

        Return whether the event was news.
        """
        container = await self._database.container(self.name)
        sums = [{"op": "incr", "path": f"/{name}", "value": value} for name, value in increments.items()]
        batch = [
            ("create", ({"id": event_id, "scope": scope, "ttl": REMEMBERED_SECONDS},)),
            ("patch", (COUNTERS, sums)),
        ]
        while True:
            try:
                await container.execute_item_batch(batch, partition_key=scope)
                return True
            except CosmosBatchOperationError as refused:
                status = refused.operation_responses[refused.error_index]["statusCode"]
                if (refused.error_index, status) == (0, CONFLICT):
                    return False
                if (refused.error_index, status) != (1, NOT_FOUND):
                    raise
            try:
                await self._create({"id": COUNTERS, "scope": scope})
            except AlreadyExistsError:
                continue

    async def read(self, scope: str) -> dict[str, float]:
        """Return the counters of a scope; a missing one is empty."""
        return counters_of(await self._read(COUNTERS, scope) or {})


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


def counters_of(document: Document) -> dict[str, Any]:
    """Return the counters of a document, without what else stands in it."""
    known = ("id", "scope")
    return {name: value for name, value in document.items() if name not in known and not name.startswith("_")}
