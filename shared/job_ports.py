"""What JobService needs of the outside: a store, a history, an index and a queue; shared/storage has them."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from shared.models import Job, JobOutcome, JobStatus, Stored
from shared.worker_contract import AnalysisMessage

Clock = Callable[[], datetime]


class JobStore(Protocol):
    """Where jobs are kept; writes are conditional."""

    async def read(self, job_id: str) -> Stored[Job] | None:
        """Return the job with its ETag, or None."""
        ...

    async def create(self, job: Job) -> Stored[Job]:
        """Write a new job; AlreadyExistsError if its id is taken."""
        ...

    async def replace(self, job: Job, etag: str) -> Stored[Job]:
        """Write the job if its ETag is still `etag`; else ChangedMeanwhileError."""
        ...

    async def delete(self, job_id: str, etag: str) -> None:
        """Delete the job if its ETag is still `etag`; a missing one is no error."""
        ...

    async def silent_since(self, moment: datetime, limit: int) -> list[str]:
        """Return ids of jobs that are stale, or running without a heartbeat since `moment`."""
        ...

    async def unsettled_since(self, moment: datetime, limit: int) -> list[str]:
        """Return ids of jobs whose change of state, at `moment` or before, was not settled."""
        ...

    async def unannounced_since(self, moment: datetime, limit: int) -> list[str]:
        """Return ids of jobs that wait for a worker, their message seen last at `moment` or before."""
        ...

    async def due(self, moment: datetime, limit: int) -> list[str]:
        """Return ids of jobs to be deleted at `moment` or before."""
        ...

    async def ended_before(self, moment: datetime, limit: int) -> list[str]:
        """Return ids of failed and cancelled jobs that ended at `moment` or before."""
        ...

    async def of_audio(self, audio_file_id: str, *, live: bool = False) -> list[str]:
        """Return ids of the jobs of an audio file, or of those that have not ended."""
        ...

    async def waiting_since(self, limit: int) -> datetime | None:
        """Return since when the job waits that has waited longest, of up to `limit`; None if none does."""
        ...

    async def count(self, status: JobStatus) -> int:
        """Return how many live jobs have this status."""
        ...


class JobHistory(Protocol):
    """What is remembered of deleted jobs."""

    async def put(self, outcome: JobOutcome) -> None:
        """Write or overwrite the outcome."""
        ...

    async def get(self, job_id: str) -> JobOutcome | None:
        """Return the outcome, or None."""
        ...


class JobIndex(Protocol):
    """The lists that a job appears in."""

    async def put_job(self, job: Job) -> None:
        """Write what lists show of the job."""
        ...

    async def remove_job(self, job: Job) -> None:
        """Take the job off the lists; a missing one is no error."""
        ...


class JobStatistics(Protocol):
    """Counters that outlive the jobs; each event of a job is counted once, however often it is told."""

    async def count_ended(self, job: Job) -> None:
        """Count an ended job on the day of its end."""
        ...

    async def count_deleted(self, job: Job, deleted_at: datetime) -> None:
        """Count the deletion of a job."""
        ...


class JobQueue(Protocol):
    """The queue that workers consume."""

    async def send(
        self,
        message: AnalysisMessage,
        *,
        message_id: str,
        not_before: datetime | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Send the message of a trace, to be delivered from `not_before` on; a repeated id is dropped."""
        ...

    async def drained_until(self, now: datetime) -> datetime | None:
        """Return a moment before which nothing was sent that is still there, `now` where nothing is.

        None if that can't be told.
        """
        ...
