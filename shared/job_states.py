"""The job's state machine: a table of states and events, refusals, periods. Pure: time is an argument."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.errors import ConflictError
from shared.models import Job, JobStatus
from shared.worker_contract import ClaimRequest, Completion, Failure, Heartbeat


class JobEvent(StrEnum):
    """What can happen to a job."""

    CLAIM = "be claimed"
    HEARTBEAT = "beat"
    COMPLETE = "be completed"
    FAIL = "fail"
    PUT_BACK = "be put back"
    ANNOUNCE = "be announced again"
    STALL = "go stale"
    GIVE_UP = "be given up"
    CANCEL = "be cancelled"
    RETRY = "be retried"


TRANSITIONS: Mapping[tuple[JobStatus, JobEvent], JobStatus] = {
    (JobStatus.PENDING, JobEvent.ANNOUNCE): JobStatus.PENDING,
    (JobStatus.PENDING, JobEvent.CLAIM): JobStatus.RUNNING,
    (JobStatus.PENDING, JobEvent.GIVE_UP): JobStatus.FAILED,
    (JobStatus.PENDING, JobEvent.CANCEL): JobStatus.CANCELLED,
    (JobStatus.RUNNING, JobEvent.CLAIM): JobStatus.RUNNING,  # of a lapsed lease
    (JobStatus.RUNNING, JobEvent.HEARTBEAT): JobStatus.RUNNING,
    (JobStatus.RUNNING, JobEvent.COMPLETE): JobStatus.COMPLETED,
    (JobStatus.RUNNING, JobEvent.FAIL): JobStatus.FAILED,
    (JobStatus.RUNNING, JobEvent.PUT_BACK): JobStatus.RETRYING,
    (JobStatus.RUNNING, JobEvent.STALL): JobStatus.STALE,
    (JobStatus.RUNNING, JobEvent.GIVE_UP): JobStatus.FAILED,
    (JobStatus.RUNNING, JobEvent.CANCEL): JobStatus.CANCELLED,
    (JobStatus.STALE, JobEvent.PUT_BACK): JobStatus.RETRYING,
    (JobStatus.STALE, JobEvent.GIVE_UP): JobStatus.FAILED,
    (JobStatus.STALE, JobEvent.CANCEL): JobStatus.CANCELLED,
    (JobStatus.RETRYING, JobEvent.ANNOUNCE): JobStatus.RETRYING,
    (JobStatus.RETRYING, JobEvent.CLAIM): JobStatus.RUNNING,
    (JobStatus.RETRYING, JobEvent.GIVE_UP): JobStatus.FAILED,
    (JobStatus.RETRYING, JobEvent.CANCEL): JobStatus.CANCELLED,
    (JobStatus.FAILED, JobEvent.RETRY): JobStatus.RETRYING,
    (JobStatus.CANCELLED, JobEvent.RETRY): JobStatus.RETRYING,
}
"""What is not in the table is refused. Completed and the deletion of ended jobs have no way back."""

LOST_WORKERS = "The analysis was given up: its worker was lost {count} times."


class TransitionRefusedError(ConflictError):
    """The job's state does not allow this."""


class SupersededError(ConflictError):
    """Another attempt holds the job, or it has ended: stop working on it."""


class BusyError(ConflictError):
    """Another worker holds the job and is alive; a message for later is on the queue."""


@dataclass(frozen=True, kw_only=True)
class JobPolicy:
    """The periods and limits of a job's life."""

    completed_ttl: timedelta = timedelta(seconds=30)
    retention: timedelta = timedelta(days=7)
    lease: timedelta = timedelta(seconds=90)
    heartbeat_timeout: timedelta = timedelta(minutes=30)
    max_retries: int = 3
    first_backoff: timedelta = timedelta(seconds=10)

    def backoff(self, retries: int) -> timedelta:
        """Exponential, with full jitter of its upper half."""
        factor: float = 2 ** (retries - 1) * random.uniform(0.5, 1)  # noqa: S311
        return self.first_backoff * factor


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


def check_fence(job: Job, call: Heartbeat | Completion | Failure) -> None:
    """Refuse a call of another attempt or another worker than the job's present one."""
    if (job.attempt, job.worker_id) != (call.attempt, call.worker_id):
        raise SupersededError(
            f"Attempt {call.attempt} was superseded by attempt {job.attempt}.",
            jobStatus=job.status,
            checkpoints=job.checkpoints,
        )


def lease_end(job: Job, policy: JobPolicy) -> datetime:
    """Return when the present worker's lease ends unless it beats again."""
    return (job.last_heartbeat or job.created_at) + policy.lease


def claimed(job: Job, request: ClaimRequest, policy: JobPolicy, now: datetime) -> Job:
    """Give the job to a worker; a lapsed lease counts as a retry, and the last one ends the job.

    To the worker that has it already nothing changes.

    Raises
    ------
    SupersededError
        If the message is an old duplicate, or the job has ended or is about to be queued again.
    BusyError
        If another worker's lease lives.
    """
    if job.is_terminal or job.status is JobStatus.STALE or request.attempt < job.queued_attempt:
        raise SupersededError("This message's work was done, or is another's.", jobStatus=job.status)
    retries = job.retries
    if job.status is JobStatus.RUNNING:
        if lease_end(job, policy) > now:
            if job.worker_id == request.worker_id:
                return job  # its first call was heard, and the answer lost
            raise BusyError("Another worker holds this job.", jobStatus=job.status)
        retries += 1
        if retries > job.max_retries:
            return given_up(job, LOST_WORKERS.format(count=retries), policy, now)
    return _moved(
        job,
        JobEvent.CLAIM,
        now,
        attempt=job.attempt + 1,
        message_seen_at=now,
        retries=retries,
        worker_id=request.worker_id,
        last_heartbeat=now,
        started_at=job.started_at or now,
        current_step=None,
        progress=0,
        error_message=None,
        not_before=None,
    )


def beaten(job: Job, beat: Heartbeat, now: datetime) -> Job:
    """Renew the lease; progress never goes backwards within an attempt."""
    check_fence(job, beat)
    return job.model_copy(
        update={
            "status": next_status(job.status, JobEvent.HEARTBEAT),
            "last_heartbeat": now,
            "current_step": beat.step or job.current_step,
            "progress": max(job.progress, beat.progress or 0),
            "checkpoints": {**job.checkpoints, **beat.checkpoints},
        }
    )


def completed(job: Job, completion: Completion, policy: JobPolicy, now: datetime) -> Job:
    """End the job with its result; repeating it changes nothing."""
    check_fence(job, completion)
    if job.status is JobStatus.COMPLETED:
        return job
    result = completion.to_wire()
    metadata = result.pop("metadata")
    return _ended(
        job, JobEvent.COMPLETE, policy, now, current_step=None, progress=100, metadata=metadata, result=result
    )


def failed(job: Job, failure: Failure, policy: JobPolicy, now: datetime) -> Job:
    """End an attempt: given back, to be tried again later, or for good; repeating it changes nothing."""
    check_fence(job, failure)
    if job.status in (JobStatus.FAILED, JobStatus.RETRYING):
        return job
    if failure.kind == "released":
        return _moved(
            job,
            JobEvent.PUT_BACK,
            now,
            message_seen_at=now,  # the worker gives it back
            waiting_since=now,
            error_message=failure.error,
        )
    if failure.kind == "transient" and job.retries < job.max_retries:
        return _put_back(job, failure.error, policy, now)
    at_fault = failure.kind == "permanent"
    return _ended(job, JobEvent.FAIL, policy, now, error_message=failure.error, file_at_fault=at_fault)


def stalled(job: Job, policy: JobPolicy, now: datetime) -> Job:
    """Mark a running job without a heartbeat as stale; any other one stays as it is."""
    silent = now - (job.last_heartbeat or job.created_at)
    if job.status is not JobStatus.RUNNING or silent < policy.heartbeat_timeout:
        return job
    minutes = policy.heartbeat_timeout.total_seconds() / 60
    return _moved(job, JobEvent.STALL, now, error_message=f"No heartbeat for {minutes:g} minutes.")


def rescued(job: Job, policy: JobPolicy, now: datetime) -> Job:
    """Queue a stale job again, or give it up after its last retry; any other one stays as it is."""
    if job.status is not JobStatus.STALE:
        return job
    if job.retries < job.max_retries:
        return _put_back(job, job.error_message, policy, now)
    return given_up(job, LOST_WORKERS.format(count=job.retries + 1), policy, now)


def announced_again(job: Job, lost_before: datetime, now: datetime) -> Job:
    """Have a job whose message is lost announced by another one; any other job stays as it is.

    It announces the next attempt: the queue can't take it for a duplicate, and should the older message turn
    up after all, it is one. No retry is counted.

    Parameters
    ----------
    lost_before
        No message is on the queue that was sent before.
    """
    is_there = job.message_seen_at is None or job.message_seen_at > lost_before
    if not job.is_waiting or job.unsettled_since is not None or is_there:
        return job
    return _moved(job, JobEvent.ANNOUNCE, now, queued_attempt=_next_attempt(job))


def given_up(job: Job, reason: str, policy: JobPolicy, now: datetime) -> Job:
    """Fail a job whose worker can't say so itself."""
    return _ended(job, JobEvent.GIVE_UP, policy, now, error_message=reason)


def cancelled(job: Job, policy: JobPolicy, now: datetime) -> Job:
    """Cancel the job; repeating it changes nothing."""
    if job.status is JobStatus.CANCELLED:
        return job
    return _ended(job, JobEvent.CANCEL, policy, now)


def retried(job: Job, now: datetime) -> Job:
    """Begin a new series of attempts, by a user's wish; older messages and workers stay refused."""
    return _moved(
        job,
        JobEvent.RETRY,
        now,
        queued_attempt=_next_attempt(job),
        waiting_since=now,
        retries=0,
        error_message=None,
        file_at_fault=False,
        completed_at=None,
        delete_after=None,
    )


def _next_attempt(job: Job) -> int:
    return max(job.attempt, job.queued_attempt) + 1


def _put_back(job: Job, reason: str | None, policy: JobPolicy, now: datetime) -> Job:
    retries = job.retries + 1
    not_before = now + policy.backoff(retries)
    return _moved(
        job,
        JobEvent.PUT_BACK,
        now,
        retries=retries,
        queued_attempt=_next_attempt(job),
        not_before=not_before,
        waiting_since=not_before,
        error_message=reason,
    )


def _ended(job: Job, event: JobEvent, policy: JobPolicy, now: datetime, **update: Any) -> Job:
    kept = policy.completed_ttl if event is JobEvent.COMPLETE else policy.retention
    return _moved(job, event, now, completed_at=now, delete_after=now + kept, **update)


def _moved(job: Job, event: JobEvent, now: datetime, **update: Any) -> Job:
    status = next_status(job.status, event)
    return job.model_copy(update={"status": status, "unsettled_since": now, **update})
