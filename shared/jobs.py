"""The service that moves jobs through their states (shared/job_states.py has the table).

Every transition is a conditional write (ETag), so that of two callers one wins and the other reads again.
`attempt` is a fencing token: a claim raises it, and calls that carry an older one are refused.
"""

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from shared import ids
from shared.errors import AlreadyExistsError, ChangedMeanwhileError, NotFoundError
from shared.job_ports import Clock, JobHistory, JobIndex, JobQueue, JobStore
from shared.job_states import BusyError, JobEvent, JobPolicy, SupersededError, check_fence, next_status
from shared.models import AudioFile, Job, JobOutcome, JobStatus, Stored
from shared.worker_contract import AnalysisMessage, ClaimRequest, Completion, Failure, Heartbeat

logger = logging.getLogger(__name__)


class JobService:
    """Moves jobs through their states; the only writer of them."""

    def __init__(
        self,
        *,
        store: JobStore,
        history: JobHistory,
        index: JobIndex,
        queue: JobQueue,
        policy: JobPolicy,
        clock: Clock,
    ) -> None:
        self._store = store
        self._history = history
        self._index = index
        self._queue = queue
        self._policy = policy
        self._clock = clock

    async def get(self, job_id: str) -> Stored[Job]:
        """Return the job.

        Raises
        ------
        NotFoundError
            If there is none; for a deleted job its extensions say what became of it.
        """
        if stored := await self._store.read(job_id):
            return stored
        if outcome := await self._history.get(job_id):
            known = outcome.to_wire()
            known.pop("id")
            raise NotFoundError(
                "This job has ended and was deleted.",
                **known,
                stems=f"/api/audio/{outcome.audio_file_id}/stems",
            )
        raise NotFoundError(f"There is no job {job_id}.")

    async def ensure(self, audio: AudioFile, *, blob_name: str, analysis_version: int) -> Job:
        """Return the one job for this version of the file, created and queued if it is new.

        Safe to repeat at any point: a job whose message may not have been sent is queued again, and the
        queue's duplicate detection drops the second message.
        """
        key = ids.idempotency_key(audio.id, audio.etag, analysis_version)
        job = Job(
            id=ids.job_id(key),
            audio_file_id=audio.id,
            blob_name=blob_name,
            etag=audio.etag,
            analysis_version=analysis_version,
            idempotency_key=key,
            max_retries=self._policy.max_retries,
            created_at=self._clock(),
        )
        try:
            job = (await self._store.create(job)).record
            _log("created", job)
        except AlreadyExistsError:
            job = (await self.get(job.id)).record
        if job.status is JobStatus.PENDING:
            await self._index.put_job(job)
            await self._enqueue(job)
        return job

    async def claim(self, job_id: str, request: ClaimRequest) -> Job:
        """Give the job to a worker and raise its attempt.

        Raises
        ------
        SupersededError
            If the message is an old duplicate, or the job has ended.
        BusyError
            If another worker's lease lives; a message for the time when it would end is on the queue.
        """

        def claimed(job: Job) -> Job:
            if job.is_terminal or request.attempt < job.queued_attempt:
                raise SupersededError("This message's work was done, or is another's.", jobStatus=job.status)
            if job.status is JobStatus.RUNNING and self._lease_end(job) > self._clock():
                raise BusyError("Another worker holds this job.", jobStatus=job.status)
            now = self._clock()
            return job.model_copy(
                update={
                    "status": next_status(job.status, JobEvent.CLAIM),
                    "attempt": job.attempt + 1,
                    "worker_id": request.worker_id,
                    "last_heartbeat": now,
                    "started_at": job.started_at or now,
                    "current_step": None,
                    "progress": 0,
                    "error_message": None,
                }
            )

        try:
            job = await self._change(job_id, claimed)
        except BusyError:
            job = (await self.get(job_id)).record
            await self._enqueue(job, put_off_until=self._lease_end(job))
            raise
        await self._index.put_job(job)
        return job

    async def heartbeat(self, job_id: str, beat: Heartbeat) -> Job:
        """Renew the lease and note the progress, which never goes backwards within an attempt."""

        def beaten(job: Job) -> Job:
            check_fence(job, beat)
            return job.model_copy(
                update={
                    "status": next_status(job.status, JobEvent.HEARTBEAT),
                    "last_heartbeat": self._clock(),
                    "current_step": beat.step or job.current_step,
                    "progress": max(job.progress, beat.progress or 0),
                    "checkpoints": {**job.checkpoints, **beat.checkpoints},
                }
            )

        return await self._change(job_id, beaten)

    async def check(self, job_id: str, call: Completion) -> Job:
        """Return the job if the caller may complete it (again); else raise ConflictError."""
        job = (await self.get(job_id)).record
        check_fence(job, call)
        if job.status is not JobStatus.COMPLETED:
            next_status(job.status, JobEvent.COMPLETE)
        return job

    async def complete(self, job_id: str, completion: Completion) -> Job:
        """End the job as Completed; repeating it changes nothing."""

        def completed(job: Job) -> Job:
            check_fence(job, completion)
            if job.status is JobStatus.COMPLETED:
                return job
            return self._ended(
                job,
                next_status(job.status, JobEvent.COMPLETE),
                current_step=None,
                progress=100,
                metadata=completion.metadata,
            )

        job = await self._change(job_id, completed)
        await self._index.put_job(job)
        _log("completed", job)
        return job

    async def fail(self, job_id: str, failure: Failure) -> Job:
        """End an attempt that failed: as Failed, or as Retrying with the next attempt on the queue."""

        def failed(job: Job) -> Job:
            check_fence(job, failure)
            repeated = job.status in (JobStatus.FAILED, JobStatus.RETRYING)
            if repeated:
                return job
            if failure.kind == "released":
                status = next_status(job.status, JobEvent.PUT_BACK)
                return job.model_copy(update={"status": status, "error_message": failure.error})
            if failure.kind == "transient" and job.retries < job.max_retries:
                return job.model_copy(
                    update={
                        "status": next_status(job.status, JobEvent.PUT_BACK),
                        "retries": job.retries + 1,
                        "queued_attempt": job.attempt + 1,
                        "error_message": failure.error,
                    }
                )
            return self._ended(
                job,
                next_status(job.status, JobEvent.FAIL),
                error_message=failure.error,
                file_at_fault=failure.kind == "permanent",
            )

        job = await self._change(job_id, failed)
        await self._index.put_job(job)
        if job.status is JobStatus.RETRYING and job.queued_attempt > job.attempt:
            await self._enqueue(job, put_off_until=self._clock() + self._backoff(job.retries))
        _log("failed" if job.status is JobStatus.FAILED else "put back", job, level=logging.WARNING)
        return job

    async def delete_if_due(self, job_id: str, attempt: int) -> bool:
        """Delete an ended job whose time has come; return whether it is gone.

        A job that was retried meanwhile, or that is not due yet, stays.
        """
        while stored := await self._store.read(job_id):
            job = stored.record
            due = job.is_terminal and job.delete_after is not None and job.delete_after <= self._clock()
            if not due or job.attempt != attempt:
                return False
            await self._history.put(
                JobOutcome(
                    id=job.id,
                    audio_file_id=job.audio_file_id,
                    outcome=job.status,
                    error_message=job.error_message,
                    created_at=job.created_at,
                    started_at=job.started_at,
                    completed_at=job.completed_at,
                    deleted_at=self._clock(),
                )
            )
            await self._index.remove_job(job)
            try:
                await self._store.delete(job_id, stored.etag)
            except ChangedMeanwhileError:
                continue
            _log("deleted", job)
        return True

    def _lease_end(self, job: Job) -> datetime:
        return (job.last_heartbeat or job.created_at) + self._policy.lease

    def _backoff(self, retries: int) -> timedelta:
        """Exponential, with full jitter of its upper half."""
        factor: float = 2 ** (retries - 1) * random.uniform(0.5, 1)  # noqa: S311
        return self._policy.first_backoff * factor

    def _ended(self, job: Job, status: JobStatus, **update: Any) -> Job:
        now = self._clock()
        kept = self._policy.completed_ttl if status is JobStatus.COMPLETED else self._policy.retention
        return job.model_copy(
            update={"status": status, "completed_at": now, "delete_after": now + kept, **update}
        )

    async def _change(self, job_id: str, change: Callable[[Job], Job]) -> Job:
        """Apply `change` to the job as it is now, again whenever somebody else was faster."""
        while True:
            stored = await self.get(job_id)
            changed = change(stored.record)
            if changed is stored.record:
                return changed
            try:
                return (await self._store.replace(changed, stored.etag)).record
            except ChangedMeanwhileError:
                continue

    async def _enqueue(self, job: Job, *, put_off_until: datetime | None = None) -> None:
        message = AnalysisMessage(
            job_id=job.id,
            audio_file_id=job.audio_file_id,
            blob_name=job.blob_name,
            attempt=job.queued_attempt,
            analysis_version=job.analysis_version,
        )
        message_id = f"{job.id}:{job.queued_attempt}"
        if job.status is JobStatus.RUNNING and job.last_heartbeat:
            # The message of this attempt was sent before: under its own id the queue would drop this one.
            message_id += f"@{job.last_heartbeat.isoformat()}"
        await self._queue.send(message, message_id=message_id, not_before=put_off_until)


def _log(action: str, job: Job, *, level: int = logging.INFO) -> None:
    extra = {"action": f"job {action}", "job_id": job.id, "audio_file_id": job.audio_file_id}
    logger.log(level, "Job %s %s (attempt %d)", job.id, action, job.attempt, extra=extra)
