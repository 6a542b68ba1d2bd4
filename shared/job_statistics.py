"""What the jobs did, day by day; kept after they are deleted."""

import asyncio
import math
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from shared import instruments
from shared.job_ports import JobStore
from shared.models import Job, JobStatus, WireModel

DAYS = 30
STEPS_AN_OCTAVE = 4
"""Completion times are counted in buckets of this many an octave: a percentile is right to 19 % upwards."""
SECONDS = "seconds"


class Counters(Protocol):
    """Counters by scope, in which every event is counted once."""

    async def count(self, scope: str, event_id: str, increments: dict[str, float]) -> bool:
        """Add to the counters of a scope, once for each event; return whether it was news."""
        ...

    async def read(self, scope: str) -> dict[str, float]:
        """Return the counters of a scope; a missing one is empty."""
        ...


class JobDay(WireModel):
    """What happened to jobs on a day (UTC)."""

    day: date
    completed: int
    failed: int
    cancelled: int
    completed_deleted: int
    purged: int


class JobStats(WireModel):
    """Live jobs by status, and the last days, newest first."""

    by_status: dict[JobStatus, int]
    average_completion_seconds: float | None
    p95_completion_seconds: float | None
    days: list[JobDay]


class JobStatistics:
    """Counts the ends and deletions of jobs, and sums up."""

    def __init__(self, counters: Counters, store: JobStore) -> None:
        self._counters = counters
        self._store = store

    async def count_ended(self, job: Job) -> None:
        """Count an ended job on the day of its end; a completed one with its seconds from creation on."""
        assert job.completed_at is not None, "an ended job has a time of its end"
        increments: dict[str, float] = {job.status.value.lower(): 1}
        seconds = (job.completed_at - job.created_at).total_seconds()
        if job.status is JobStatus.COMPLETED:
            increments |= {SECONDS: seconds, _bucket(seconds): 1}
        if await self._count(job, "ended", job.completed_at, increments):
            instruments.JOBS_ENDED.add(1, {"outcome": job.status})
            if job.status is JobStatus.COMPLETED:
                instruments.COMPLETION_TIME.record(seconds)

    async def count_deleted(self, job: Job, deleted_at: datetime) -> None:
        """Count the deletion of a completed job, or the purge of another one."""
        is_completed = job.status is JobStatus.COMPLETED
        kind = "completedDeleted" if is_completed else "purged"
        if await self._count(job, "deleted", deleted_at, {kind: 1}):
            (instruments.JOBS_DELETED if is_completed else instruments.JOBS_PURGED).add(1)

    async def sum_up(self, today: date) -> JobStats:
        """Return the live jobs by status and the last 30 days; times are null where none completed."""
        days = [today - timedelta(days=number) for number in range(DAYS)]
        counted, live = await asyncio.gather(
            asyncio.gather(*(self._counters.read(_scope(day)) for day in days)),
            self.count_live(),
        )
        total: Counter[str] = Counter()
        for counters in counted:
            total.update(counters)
        completed = total["completed"]
        return JobStats(
            by_status=live,
            average_completion_seconds=total[SECONDS] / completed if completed else None,
            p95_completion_seconds=_percentile(total, 0.95),
            days=[
                JobDay(
                    day=day,
                    completed=int(counters.get("completed", 0)),
                    failed=int(counters.get("failed", 0)),
                    cancelled=int(counters.get("cancelled", 0)),
                    completed_deleted=int(counters.get("completedDeleted", 0)),
                    purged=int(counters.get("purged", 0)),
                )
                for day, counters in zip(days, counted, strict=True)
            ],
        )

    async def count_live(self) -> dict[JobStatus, int]:
        """Return how many jobs there are, by status."""
        numbers = await asyncio.gather(*(self._store.count(status) for status in JobStatus))
        return dict(zip(JobStatus, numbers, strict=True))

    async def _count(self, job: Job, event: str, moment: datetime, increments: dict[str, float]) -> bool:
        # A job that is retried ends again: its end is another event then.
        event_id = f"{job.id}-{job.attempt}-{job.queued_attempt}-{event}"
        return await self._counters.count(_scope(moment.astimezone(UTC).date()), event_id, increments)


def _scope(day: date) -> str:
    return f"jobs:{day.isoformat()}"


def _bucket(seconds: float) -> str:
    step = math.ceil(STEPS_AN_OCTAVE * math.log2(max(seconds, 1.0)))
    return f"within{step}"


def _percentile(counters: Counter[str], share: float) -> float | None:
    """Return the upper end of the bucket that holds the percentile, in seconds."""
    buckets = {
        int(name.removeprefix("within")): n for name, n in counters.items() if name.startswith("within")
    }
    wanted = share * sum(buckets.values())
    reached = 0
    for step, number in sorted(buckets.items()):
        reached += number
        if reached >= wanted:
            return float(2 ** (step / STEPS_AN_OCTAVE))
    return None
