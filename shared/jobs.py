"""The service that moves jobs through their states (shared/job_states.py has the table).

Every transition is a conditional write (ETag), so that of two callers one wins and the other reads again.
`attempt` is a fencing token: a claim raises it, and calls that carry an older one are refused.

A transition also sets `unsettled_since`, in the same write. What follows from the new state (list entry,
message, counters; for the library see shared/workflow.py) is written after it, by `settle`, which then clears
the mark. A crash in between leaves the mark, and the sweep settles again.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from shared import ids, job_states, telemetry
from shared.effects import effect
from shared.errors import AlreadyExistsError, ChangedMeanwhileError, NotFoundError
from shared.job_ports import Clock, JobHistory, JobIndex, JobQueue, JobStatistics, JobStore
from shared.job_states import BusyError, JobPolicy
from shared.models import AudioFile, Job, JobOutcome, JobStatus, Stored
from shared.worker_contract import AnalysisMessage, ClaimRequest, Completion, Failure, Heartbeat

logger = logging.getLogger(__name__)

LEVELS = {JobStatus.FAILED: logging.WARNING, JobStatus.STALE: logging.WARNING}


class JobService:
    """Moves jobs through their states; the only writer of them."""

    def __init__(
        self,
        *,
        store: JobStore,
        history: JobHistory,
        index: JobIndex,
        queue: JobQueue,
        statistics: JobStatistics,
        policy: JobPolicy,
        clock: Clock,
    ) -> None:
        self._store = store
        self._history = history
        self._index = index
        self._queue = queue
        self._statistics = statistics
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

    async def ensure(self, audio: AudioFile, *, blob_name: str, analysis_version: int) -> Stored[Job]:
        """Return the one job for this version of the file, created if it is new."""
        key = ids.idempotency_key(audio.id, audio.etag, analysis_version)
        is_known_by_it = audio.analysis_version == analysis_version
        now = self._clock()
        job = Job(
            id=ids.job_id(key),
            audio_file_id=audio.id,
            blob_name=blob_name,
            etag=audio.etag,
            analysis_version=analysis_version,
            idempotency_key=key,
            max_retries=self._policy.max_retries,
            known_content_hash=audio.content_hash if is_known_by_it else None,
            traceparent=telemetry.present(),
            created_at=now,
            waiting_since=now,
            unsettled_since=now,
        )
        try:
            with effect("job created"):
                created = await self._store.create(job)
        except AlreadyExistsError:
            return await self.get(job.id)
        _log("created", job)
        return created

    async def of_audio(self, audio_file_id: str) -> list[str]:
        """Return the ids of an audio file's jobs."""
        return await self._store.of_audio(audio_file_id)

    async def at_work_on(self, audio_file_id: str) -> list[str]:
        """Return the ids of an audio file's jobs that have not ended."""
        return await self._store.of_audio(audio_file_id, live=True)

    async def claim(self, job_id: str, request: ClaimRequest) -> Stored[Job]:
        """Give the job to a worker and raise its attempt; `Failed` if too many workers were lost with it.

        Raises
        ------
        SupersededError
            If the message is an old duplicate, or the job has ended.
        BusyError
            If another worker's lease lives; a message for the time when it would end is on the queue.
        """
        try:
            return await self._change(
                job_id, lambda job: job_states.claimed(job, request, self._policy, self._clock())
            )
        except BusyError:
            job = (await self.get(job_id)).record
            end = job_states.lease_end(job, self._policy)
            # The message of this attempt was sent before: under its own id the queue would drop this one.
            await self._send(job, message_id=f"{_message_id(job)}@{end.isoformat()}", not_before=end)
            raise

    async def heartbeat(self, job_id: str, beat: Heartbeat) -> Job:
        """Renew the lease, and note progress and checkpoints."""
        changed = await self._change(job_id, lambda job: job_states.beaten(job, beat, self._clock()))
        return changed.record

    async def complete(self, job_id: str, completion: Completion) -> Stored[Job]:
        """End the job as Completed; repeating it changes nothing."""
        return await self._change(
            job_id, lambda job: job_states.completed(job, completion, self._policy, self._clock())
        )

    async def fail(self, job_id: str, failure: Failure) -> Stored[Job]:
        """End an attempt that failed: as Failed, or as Retrying with the next attempt to be queued."""
        return await self._change(
            job_id, lambda job: job_states.failed(job, failure, self._policy, self._clock())
        )

    async def give_up(self, job_id: str, attempt: int, reason: str) -> Stored[Job]:
        """Fail a job whose message can't be delivered; one that ended, moved on or is at work stays so."""

        def given_up(job: Job) -> Job:
            now = self._clock()
            at_work = job.status is JobStatus.RUNNING and job_states.lease_end(job, self._policy) > now
            if job.is_terminal or at_work or job.queued_attempt > attempt:
                return job
            return job_states.given_up(job, reason, self._policy, now)

        return await self._change(job_id, given_up)

    async def cancel(self, job_id: str) -> Stored[Job]:
        """Cancel the job; its worker learns it from its next heartbeat."""
        return await self._change(job_id, lambda job: job_states.cancelled(job, self._policy, self._clock()))

    async def retry(self, job_id: str) -> Stored[Job]:
        """Queue a failed or cancelled job again, with all its retries."""
        return await self._change(job_id, lambda job: job_states.retried(job, self._clock()))

    async def rescue(self, job_id: str) -> Stored[Job]:
        """Mark a silent job as stale, and queue it again or give it up."""
        await self._change(job_id, lambda job: job_states.stalled(job, self._policy, self._clock()))
        return await self._change(job_id, lambda job: job_states.rescued(job, self._policy, self._clock()))

    async def announce_again(self, job_id: str, lost_before: datetime) -> Stored[Job] | None:
        """Have a waiting job announced by another message if its own is lost; None if it is not."""
        known = (await self.get(job_id)).record
        announced = await self._change(
            job_id, lambda job: job_states.announced_again(job, lost_before, self._clock())
        )
        if announced.record.queued_attempt == known.queued_attempt:
            return None
        _log("announced again: its message was lost", announced.record, level=logging.WARNING)
        return announced

    async def settle(self, stored: Stored[Job], also: Callable[[Job], Awaitable[None]]) -> Job:
        """Write what follows from the job's state, `also` first; then clear its mark. Safe to repeat.

        If the job changes meanwhile, what was written may be out of date: so its newer state is settled too.
        """
        while True:
            job = stored.record
            settled = job.model_copy(update={"unsettled_since": None})
            with effect(f"library told {job.status}"):
                await also(job)
            with effect(f"list told {job.status}"):
                await self._index.put_job(job)
            if job.is_waiting and job.queued_attempt > job.attempt:
                await self._send(job, message_id=_message_id(job), not_before=job.not_before)
                due = max(self._clock(), job.not_before or job.created_at)
                settled = settled.model_copy(update={"message_seen_at": due})
            if job.is_terminal:
                with effect("end counted"):
                    await self._statistics.count_ended(job)
            if job.unsettled_since is None:
                return job
            try:
                with effect(f"settled {job.status}"):
                    return (await self._store.replace(settled, stored.etag)).record
            except ChangedMeanwhileError:
                latest = await self._store.read(job.id)
            if latest is None:
                await self._index.remove_job(job)
                return job
            stored = latest

    async def delete_if_due(self, job_id: str, attempt: int | None = None) -> bool:
        """Delete an ended job whose time has come; return whether it is gone.

        A job that was retried meanwhile, or that is not due yet, stays.
        """

        def is_due(job: Job) -> bool:
            due = job.is_terminal and job.delete_after is not None and job.delete_after <= self._clock()
            return due and attempt in (None, job.attempt)

        return await self._delete_if(job_id, is_due)

    async def purge(self, job_id: str, older_than: timedelta) -> bool:
        """Delete a failed or cancelled job that ended so long ago; return whether it is gone."""

        def is_old(job: Job) -> bool:
            is_kind = job.status in (JobStatus.FAILED, JobStatus.CANCELLED)
            return is_kind and job.completed_at is not None and job.completed_at <= self._clock() - older_than

        return await self._delete_if(job_id, is_old)

    async def delete_ended(self, job_id: str) -> None:
        """Delete an ended job at once, by a user's wish."""
        await self._delete_if(job_id, lambda job: job.is_terminal)

    async def _delete_if(self, job_id: str, condition: Callable[[Job], bool]) -> bool:
        is_listed = True
        while stored := await self._store.read(job_id):
            job = stored.record
            if not condition(job):
                if not is_listed:
                    await self._index.put_job(job)
                return False
            now = self._clock()
            with effect("outcome noted"):
                await self._history.put(_outcome(job, now))
                await self._statistics.count_deleted(job, now)
            await self._index.remove_job(job)
            is_listed = False
            try:
                with effect("job deleted"):
                    await self._store.delete(job_id, stored.etag)
            except ChangedMeanwhileError:
                continue
            _log("deleted", job)
        return True

    async def _change(self, job_id: str, change: Callable[[Job], Job]) -> Stored[Job]:
        """Apply `change` to the job as it is now, again whenever somebody else was faster."""
        while True:
            stored = await self.get(job_id)
            changed = change(stored.record)
            if changed is stored.record:
                return stored
            try:
                with effect(f"job {changed.status}"):
                    written = await self._store.replace(changed, stored.etag)
            except ChangedMeanwhileError:
                continue
            if changed.status is not stored.record.status:
                _log(changed.status.value.lower(), changed, level=LEVELS.get(changed.status, logging.INFO))
            return written

    async def _send(self, job: Job, *, message_id: str, not_before: datetime | None) -> None:
        message = AnalysisMessage(
            job_id=job.id,
            audio_file_id=job.audio_file_id,
            blob_name=job.blob_name,
            attempt=job.queued_attempt,
            analysis_version=job.analysis_version,
        )
        with effect("message sent"):
            await self._queue.send(
                message, message_id=message_id, not_before=not_before, traceparent=job.traceparent
            )


def _outcome(job: Job, deleted_at: datetime) -> JobOutcome:
    return JobOutcome(
        id=job.id,
        audio_file_id=job.audio_file_id,
        outcome=job.status,
        error_message=job.error_message,
        created_at=job.created_at,
        started_at=job.started_at,
        completed_at=job.completed_at,
        deleted_at=deleted_at,
    )


def _message_id(job: Job) -> str:
    # A job that was deleted and made anew has the id and the attempts of the old one, but not its time.
    return f"{job.id}:{job.queued_attempt}@{job.created_at.timestamp()}"


def _log(action: str, job: Job, *, level: int = logging.INFO) -> None:
    extra = {"action": f"job {action}", "job_id": job.id, "audio_file_id": job.audio_file_id}
    logger.log(level, "Job %s %s (attempt %d)", job.id, action, job.attempt, extra=extra)
