"""The way of one analysis through both jobs and library, in an order that survives a crash at any line.

The library is written before the job moves on: an end that was not reached is reached again by the worker's
repeated call, or by the redelivered message.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared import ids
from shared.errors import ConflictError
from shared.job_states import SupersededError
from shared.jobs import JobService
from shared.library import StemLibrary
from shared.models import ANALYSIS_VERSION, AnalysisStatus, AudioFile, Job, JobStatus, Stem, StemWrite
from shared.storage.blobs import AudioBlobs
from shared.worker_contract import ClaimRequest, Completion, Failure


@dataclass(frozen=True)
class AnalysisWorkflow:
    """What happens to an upload, from its arrival to the end of its job."""

    jobs: JobService
    library: StemLibrary
    blobs: AudioBlobs

    async def on_upload(self, blob_name: str) -> Job | None:
        """Turn a blob's arrival into the one job for this version of the file.

        Safe for events that come twice, late, out of order or for a blob that is gone: what counts is
        the blob as it is now. Returns None where there is nothing to do.
        """
        upload = ids.parse_upload_name(blob_name)
        if upload is None:
            return None
        blob = await self.blobs.properties(blob_name)
        if blob is None:
            return None
        audio = await self.library.register_upload(upload, blob)
        if audio is None:
            return None
        job = await self.jobs.ensure(audio, blob_name=blob_name, analysis_version=ANALYSIS_VERSION)
        await self._note(job, lambda audio: {"job_id": job.id})
        return job

    async def claim(self, job_id: str, request: ClaimRequest) -> Job:
        """Give the job to a worker.

        Raises
        ------
        ConflictError
            If the worker must leave it. Where the job has failed, the library is told once more: the call
            that ended it may have died in between.
        """
        try:
            job = await self.jobs.claim(job_id, request)
        except SupersededError:
            await self._note_failure((await self.jobs.get(job_id)).record)
            raise
        await self._note(job, lambda audio: {"analysis_status": AnalysisStatus.RUNNING, "error": None})
        return job

    async def save_stem(self, write: StemWrite) -> tuple[Stem, bool]:
        """Save a stem; with `jobId`, only while that attempt still runs."""
        if write.job_id is not None:
            job = (await self.jobs.get(write.job_id)).record
            if job.status is not JobStatus.RUNNING or job.attempt != write.attempt:
                raise ConflictError("The attempt that made this stem was superseded.", jobStatus=job.status)
        return await self.library.save_stem(write)

    async def complete(self, job_id: str, completion: Completion) -> Job:
        """Put the song's result into the library, then end the job."""
        job = await self.jobs.check(job_id, completion)
        await self._note(
            job,
            lambda audio: {
                "analysis_status": AnalysisStatus.COMPLETED,
                "analysis_version": job.analysis_version,
                "error": None,
                "content_hash": completion.content_hash,
                "duration_seconds": completion.duration_seconds,
                "sample_rate": completion.sample_rate,
                "channels": completion.channels,
                **completion.song.model_dump(),
            },
        )
        return await self.jobs.complete(job_id, completion)

    async def fail(self, job_id: str, failure: Failure) -> Job:
        """End an attempt that failed, and say so in the library."""
        job = await self.jobs.fail(job_id, failure)
        await self._note_failure(job)
        return job

    async def _note_failure(self, job: Job) -> None:
        if job.status is JobStatus.FAILED:
            status = AnalysisStatus.REJECTED if job.file_at_fault else AnalysisStatus.FAILED
            ended = {"analysis_version": job.analysis_version}
        elif job.status is JobStatus.RETRYING:
            status = AnalysisStatus.PENDING
            ended = {}
        else:
            return
        await self._note(job, lambda audio: {"analysis_status": status, "error": job.error_message, **ended})

    async def _note(self, job: Job, change: Callable[[AudioFile], dict[str, Any]]) -> None:
        await self.library.update_audio(job.audio_file_id, etag=job.etag, change=change)
