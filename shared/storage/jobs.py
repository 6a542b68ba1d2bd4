"""Containers `jobs` and `job-history`."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.models import WAITING_STATUSES, Job, JobOutcome, JobStatus, Stored
from shared.storage.cosmos import Container, record_of, stored_of, wire_time

TTL_MARGIN = timedelta(days=1)
"""A job's record outlives its due deletion by this much: the net behind durable timer and purge."""
WAITING = "c.status IN ({})".format(", ".join(f"'{status}'" for status in sorted(WAITING_STATUSES)))


class JobsContainer(Container):
    """Container `jobs`: the live jobs. Its lists go over all partitions: it holds a week's jobs at most."""

    name = "jobs"

    async def read(self, job_id: str) -> Stored[Job] | None:
        """Return the job with its ETag, or None."""
        document = await self._read(job_id, job_id)
        return stored_of(Job, document) if document else None

    async def create(self, job: Job) -> Stored[Job]:
        """Write a new job; AlreadyExistsError if its id is taken."""
        return stored_of(Job, await self._create(job.to_wire()))

    async def replace(self, job: Job, etag: str) -> Stored[Job]:
        """Write the job if its ETag is still `etag`; else ChangedMeanwhileError."""
        body = job.to_wire()
        if job.delete_after:
            body["ttl"] = max(1, int((job.delete_after - datetime.now(UTC) + TTL_MARGIN).total_seconds()))
        return stored_of(Job, await self._replace(body, etag))

    async def delete(self, job_id: str, etag: str) -> None:
        """Delete the job if its ETag is still `etag`; a missing one is no error."""
        await self._delete(job_id, job_id, etag)

    async def silent_since(self, moment: datetime, limit: int) -> list[str]:
        """Return ids of jobs that are stale, or running without a heartbeat since `moment`."""
        return await self._ids(
            "c.status = 'Stale' OR (c.status = 'Running' AND c.lastHeartbeat <= @moment)", moment, limit
        )

    async def unsettled_since(self, moment: datetime, limit: int) -> list[str]:
        """Return ids of jobs whose change of state, at `moment` or before, was not settled."""
        return await self._ids("c.unsettledSince <= @moment", moment, limit)

    async def unannounced_since(self, moment: datetime, limit: int) -> list[str]:
        """Return ids of jobs that wait for a worker, their message seen last at `moment` or before."""
        return await self._ids(f"{WAITING} AND c.messageSeenAt <= @moment", moment, limit)

    async def due(self, moment: datetime, limit: int) -> list[str]:
        """Return ids of jobs to be deleted at `moment` or before."""
        return await self._ids("c.deleteAfter <= @moment", moment, limit)

    async def ended_before(self, moment: datetime, limit: int) -> list[str]:
        """Return ids of failed and cancelled jobs that ended at `moment` or before."""
        return await self._ids(
            "c.status IN ('Failed', 'Cancelled') AND c.completedAt <= @moment", moment, limit
        )

    async def of_audio(self, audio_file_id: str, *, live: bool = False) -> list[str]:
        """Return ids of the jobs of an audio file, or of those that have not ended."""
        condition = "c.audioFileId = @audio"
        if live:
            condition += " AND c.status NOT IN ('Completed', 'Failed', 'Cancelled')"
        query = f"SELECT c.id FROM c WHERE {condition}"  # noqa: S608 (the two conditions above)
        return [str(document["id"]) for document in await self._query(query, audio=audio_file_id)]

    async def count(self, status: JobStatus) -> int:
        """Return how many live jobs have this status."""
        found: list[Any] = await self._query(
            "SELECT VALUE COUNT(1) FROM c WHERE c.status = @status", status=status
        )
        return sum(found)

    async def waiting_since(self, limit: int) -> datetime | None:
        """Return since when the job waits that has waited longest, of up to `limit`; None if none does."""
        query = f"SELECT c.waitingSince FROM c WHERE {WAITING}"  # noqa: S608 (the condition above)
        found = [document.get("waitingSince") for document in await self._query(query, limit=limit)]
        # Jobs of before this was noted have none.
        return min((datetime.fromisoformat(moment) for moment in found if moment), default=None)

    async def _ids(self, condition: str, moment: datetime, limit: int) -> list[str]:
        query = f"SELECT c.id FROM c WHERE {condition}"  # noqa: S608 (the conditions above)
        found = await self._query(query, limit=limit, moment=wire_time(moment))
        return [str(document["id"]) for document in found]


class JobHistoryContainer(Container):
    """Container `job-history`: what became of deleted jobs, for 30 days."""

    name = "job-history"

    async def put(self, outcome: JobOutcome) -> None:
        """Write or overwrite the outcome."""
        await self._upsert(outcome.to_wire())

    async def get(self, job_id: str) -> JobOutcome | None:
        """Return the outcome, or None."""
        document = await self._read(job_id, job_id)
        return record_of(JobOutcome, document) if document else None
