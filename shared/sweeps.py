"""What repairs the traces of crashes and lost messages; run by timers, and by hand.

Each sweep looks at a bounded number of records, leaves the decision about each to its owner's conditional
write, and so may run twice at once, or break off anywhere. One record that fails is logged and left to the
next run: it must not hold up the others.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from shared.errors import NotFoundError
from shared.job_ports import Clock, JobQueue, JobStore
from shared.models import Job, WireModel
from shared.storage.blobs import AudioBlobs
from shared.storage.library import LibraryContainer
from shared.workflow import AnalysisWorkflow

logger = logging.getLogger(__name__)

BATCH = 500
"""Jobs, or deletions, that one run looks at."""
BLOBS = 5000
"""Blobs that one run looks at: a page of the listing."""
SETTLING_TIME = timedelta(minutes=1)
"""A change of state younger than this is being settled by whoever made it."""
QUEUE_LAG = timedelta(minutes=5)
"""A message is on the queue later than its job says by less: clocks differ, what was put off may be late."""

Result = TypeVar("Result")


class Cursor(Protocol):
    """Where a walk over the blobs goes on."""

    async def load(self) -> str | None:
        """Return what was saved last, or None."""
        ...

    async def save(self, continuation: str | None) -> None:
        """Save where to go on; None to begin anew."""
        ...


class SweepReport(WireModel):
    """How many records a run changed."""

    rescued: int = 0
    settled: int = 0
    announced: int = 0
    """Jobs whose message was lost, and sent anew."""
    uploads_found: int = 0
    deletions_finished: int = 0
    indexed: int = 0
    """Songs of which lists or statistics were out of date."""


@dataclass(frozen=True, kw_only=True)
class Sweeps:
    """The sweeps over jobs, uploads and deletions."""

    jobs: JobStore
    queue: JobQueue
    library: LibraryContainer
    blobs: AudioBlobs
    cursor: Cursor
    workflow: AnalysisWorkflow
    heartbeat_timeout: timedelta
    clock: Clock

    async def sweep(self, on_ended: Callable[[Job], Awaitable[None]]) -> SweepReport:
        """Find and finish what broke off or was lost, each kind in turn; return how much that was.

        `on_ended` gets each job that has ended.
        """
        now = self.clock()

        async def rescue(job_id: str) -> None:
            await _tell(await self.workflow.rescue(job_id), on_ended)

        async def settle(job_id: str) -> None:
            await _tell(await self.workflow.settle(await self.workflow.jobs.get(job_id)), on_ended)

        silent = await self.jobs.silent_since(now - self.heartbeat_timeout, BATCH)
        unsettled = await self.jobs.unsettled_since(now - SETTLING_TIME, BATCH)
        return SweepReport(
            rescued=await _each(silent, rescue, "rescue"),
            settled=await _each(unsettled, settle, "settle"),
            deletions_finished=await _each(
                await self.library.marked_deleted(BATCH), self.workflow.delete_audio, "delete"
            ),
            indexed=await _each(
                await self.library.unindexed_since(now - SETTLING_TIME, BATCH),
                self.workflow.stems.settle,
                "index",
            ),
            announced=await self._announce_lost(now),
            uploads_found=await self._find_uploads(),
        )

    async def purge(self, older_than: timedelta | None = None) -> int:
        """Delete jobs whose time has come, or failed and cancelled ones that ended so long ago."""
        now = self.clock()
        if older_than is None:
            due = await self.jobs.due(now, BATCH)
            return await _each(due, self.workflow.delete_job_if_due, "purge")

        async def purge(job_id: str) -> bool:
            return await self.workflow.purge_job(job_id, older_than)

        return await _each(await self.jobs.ended_before(now - older_than, BATCH), purge, "purge")

    async def _announce_lost(self, now: datetime) -> int:
        """Send the messages of waiting jobs anew that the queue has lost.

        Messages leave it in the order in which they came: what came before its oldest one is gone. A job that
        was told of before that, and waits all the same, has lost its message.
        """
        if not await self.jobs.unannounced_since(now - QUEUE_LAG, 1):
            return 0
        drained_until = await self.queue.drained_until(now)
        if drained_until is None:
            return 0
        lost_before = drained_until - QUEUE_LAG

        async def announce(job_id: str) -> bool:
            return await self.workflow.announce_again(job_id, lost_before)

        return await _each(await self.jobs.unannounced_since(lost_before, BATCH), announce, "announce")

    async def _find_uploads(self) -> int:
        """Start the jobs of uploads whose event was lost; each run looks at the container's next part."""
        blobs, continuation = await self.blobs.page(await self.cursor.load(), BLOBS)
        etags = dict(blobs)

        async def find(name: str) -> bool:
            return await self.workflow.on_lost_upload(name, etags[name])

        found = await _each(etags, find, "take up")
        await self.cursor.save(continuation)
        return found


async def _tell(job: Job, on_ended: Callable[[Job], Awaitable[None]]) -> None:
    if job.is_terminal:
        await on_ended(job)


async def _each(ids: Iterable[str], act: Callable[[str], Awaitable[Result]], what: str) -> int:
    """Act on each; return how many were changed: `act` returns False for one that was not."""
    changed = 0
    for record_id in ids:
        try:
            changed += (await act(record_id)) is not False
        except NotFoundError:
            continue  # gone meanwhile
        except Exception:
            # Whatever ails this record, the others must not wait for it; the next run tries it again.
            extra = {"action": f"{what} failed", "job_id": record_id}
            logger.exception("The sweep could not %s %s", what, record_id, extra=extra)
    return changed
