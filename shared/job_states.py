"""The job's state machine as data, its refusals and its periods; pure, without a clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from shared.errors import ConflictError
from shared.models import Job, JobStatus
from shared.worker_contract import Completion, Failure, Heartbeat


class JobEvent(StrEnum):
    """What can happen to a job."""

    CLAIM = "claim"
    HEARTBEAT = "heartbeat"
    COMPLETE = "complete"
    FAIL = "fail"
    PUT_BACK = "put back"


TRANSITIONS: Mapping[tuple[JobStatus, JobEvent], JobStatus] = {
    (JobStatus.PENDING, JobEvent.CLAIM): JobStatus.RUNNING,
    (JobStatus.RETRYING, JobEvent.CLAIM): JobStatus.RUNNING,
    (JobStatus.RUNNING, JobEvent.CLAIM): JobStatus.RUNNING,  # of a lapsed lease
    (JobStatus.RUNNING, JobEvent.HEARTBEAT): JobStatus.RUNNING,
    (JobStatus.RUNNING, JobEvent.COMPLETE): JobStatus.COMPLETED,
    (JobStatus.RUNNING, JobEvent.FAIL): JobStatus.FAILED,
    (JobStatus.RUNNING, JobEvent.PUT_BACK): JobStatus.RETRYING,
}


class TransitionRefusedError(ConflictError):
    """The job's state does not allow this."""


class SupersededError(ConflictError):
    """Another attempt holds the job, or it has ended: stop working on it."""


class BusyError(ConflictError):
    """Another worker holds the job and is alive; a message for later is on the queue."""


def next_status(status: JobStatus, event: JobEvent) -> JobStatus:
    """Return the state after `event`.

    Raises
    ------
    TransitionRefusedError
        If the table has no such transition.
    """
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise TransitionRefusedError(f"A job that is {status} can't {event}.", jobStatus=status) from None


@dataclass(frozen=True, kw_only=True)
class JobPolicy:
    """The periods and limits of a job's life."""

    completed_ttl: timedelta = timedelta(seconds=30)
    retention: timedelta = timedelta(days=7)
    lease: timedelta = timedelta(seconds=90)
    max_retries: int = 3
    first_backoff: timedelta = timedelta(seconds=10)


def check_fence(job: Job, call: Heartbeat | Completion | Failure) -> None:
    """Refuse a call of another attempt or another worker than the job's present one."""
    if (job.attempt, job.worker_id) != (call.attempt, call.worker_id):
        raise SupersededError(
            f"Attempt {call.attempt} was superseded by attempt {job.attempt}.", jobStatus=job.status
        )
