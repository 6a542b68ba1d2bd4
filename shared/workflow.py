"""The order of steps between jobs and library.

The job moves first: its conditional write decides. What follows from it in the library is written by
`settle`, which is repeated until it has been done (see shared/jobs.py). So the library never shows what a
superseded or cancelled attempt made, and a crash between the two leaves nothing undone.
"""

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared import ids
from shared.errors import ChangedMeanwhileError, ConflictError, InvalidInputError, NotFoundError
from shared.job_states import SupersededError, TransitionRefusedError
from shared.jobs import JobService
from shared.library import SETTLED, StemLibrary
from shared.models import ANALYSIS_VERSION, AudioFile, Job, JobStatus, Stem, Stored
from shared.stems import Stems
from shared.storage.blobs import AudioBlobs
from shared.worker_contract import AnalysisMessage, ClaimRequest, Completion, Failure, StemWrite


@dataclass(frozen=True)
class AnalysisWorkflow:
    """What happens to an upload, from its arrival to the end of its job."""

    jobs: JobService
    library: StemLibrary
    stems: Stems
    blobs: AudioBlobs
    max_upload_mb: int

    async def on_upload(self, blob_name: str) -> Job | None:
        """Turn a blob's arrival into the one job for this version of the file.

        Safe for events that come twice, late, out of order or for a blob that is gone: what counts is
        the blob as it is now. One that is too large is refused here, whoever uploaded it: a signed URL can't
        limit a size. Returns None where there is nothing to do.
        """
        upload = ids.parse_upload_name(blob_name)
        if upload is None:
            return None
        blob = await self.blobs.properties(blob_name)
        if blob is None:
            return None
        is_too_large = blob.size_bytes > self.max_upload_mb * 1024**2
        refusal = f"The file is larger than {self.max_upload_mb} MB." if is_too_large else None
        audio = await self.library.register_upload(upload, blob, refusal=refusal)
        if audio is None:
            return None
        if refusal:
            await self._cancel_others(audio)
            return None
        return await self._begin(audio, blob_name)

    async def on_lost_upload(self, blob_name: str, etag: str) -> bool:
        """Do what this blob's event should have done; return whether the event had been lost."""
        upload = ids.parse_upload_name(blob_name)
        if upload is None:
            return False
        audio = await self.library.find_audio(upload.audio_file_id)
        if audio and audio.etag == etag:
            if audio.analysis_status in SETTLED:
                return False
            with contextlib.suppress(NotFoundError):
                await self.jobs.get(str(audio.job_id))
                return False
        return await self.on_upload(blob_name) is not None

    async def reanalyse(self, audio_file_id: str) -> Job:
        """Analyse a file again, by the present version of the analysis; older stems stay as an older version.

        Raises
        ------
        ConflictError
            If the library holds the result of the present version already.
        """
        audio = await self.library.register_reanalysis(audio_file_id)
        blob_name = self.blobs.name_of(audio.blob_uri)
        assert blob_name is not None, "an audio file lies in this deployment's storage"
        job = await self._begin(audio, blob_name)
        if job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
            return await self.retry(job.id)
        await self.library.follow(job)  # which may be at work already
        return job

    async def claim(self, job_id: str, request: ClaimRequest) -> Job:
        """Give the job to a worker.

        Raises
        ------
        ConflictError
            If the worker must leave it.
        """
        job = await self.settle(await self.jobs.claim(job_id, request))
        if job.status is not JobStatus.RUNNING:
            raise SupersededError("The job was given up.", jobStatus=job.status)
        return job

    async def save_stem(self, write: StemWrite) -> tuple[Stem, bool]:
        """Save a stem; with `jobId`, only while that attempt runs, and unseen until its job completes."""
        if write.job_id is not None:
            job = (await self.jobs.get(write.job_id)).record
            if job.status is not JobStatus.RUNNING or job.attempt != write.attempt:
                raise SupersededError("The attempt that made this stem was superseded.", jobStatus=job.status)
            if job.audio_file_id != write.audio_file_id or job.analysis_version != write.analysis_version:
                raise ConflictError("The stem is of another file or version than its job.")
        return await self.stems.save(write)

    async def complete(self, job_id: str, completion: Completion) -> Job:
        """End the job, and put its result into the library.

        Raises
        ------
        InvalidInputError
            If `artworkUri` is no blob of this job, or `unchanged` is claimed of bytes that are not known.
        """
        if completion.artwork_uri is not None:
            job = (await self.jobs.get(job_id)).record
            folder = ids.stems_folder(job.audio_file_id, job_id)
            self.blobs.check_place(
                completion.artwork_uri, field="artworkUri", folder=folder, file_names=ids.ARTWORK_NAMES
            )
        if completion.unchanged:
            known = (await self.jobs.get(job_id)).record.known_content_hash
            if known != completion.content_hash:
                raise InvalidInputError("The library does not hold the result of these bytes.")
        return await self.settle(await self.jobs.complete(job_id, completion))

    async def fail(self, job_id: str, failure: Failure) -> Job:
        """End an attempt that failed."""
        return await self.settle(await self.jobs.fail(job_id, failure))

    async def on_dead_letter(self, message: AnalysisMessage, reason: str) -> Job | None:
        """Fail the job of a message that was dead-lettered; None if it is gone."""
        try:
            stored = await self.jobs.give_up(message.job_id, message.attempt, reason)
        except NotFoundError:
            return None
        return await self.settle(stored)

    async def cancel(self, job_id: str) -> Job:
        """Cancel the job."""
        return await self.settle(await self.jobs.cancel(job_id))

    async def retry(self, job_id: str) -> Job:
        """Queue a failed or cancelled job again.

        Raises
        ------
        ConflictError
            If it did not fail, or its file has a newer job.
        """
        job = (await self.jobs.get(job_id)).record
        audio = await self.library.find_audio(job.audio_file_id)
        if audio is None or audio.job_id != job_id:
            raise ConflictError("The file has a newer job.", jobStatus=job.status)
        return await self.settle(await self.jobs.retry(job_id))

    async def rescue(self, job_id: str) -> Job:
        """Queue a silent job again, or give it up."""
        return await self.settle(await self.jobs.rescue(job_id))

    async def announce_again(self, job_id: str, lost_before: datetime) -> bool:
        """Have a waiting job announced by another message if its own is lost; return whether it was."""
        announced = await self.jobs.announce_again(job_id, lost_before)
        if announced:
            await self.settle(announced)
        return announced is not None

    async def settle(self, stored: Stored[Job]) -> Job:
        """Write what follows from the job's state, in the library and elsewhere; safe to repeat."""
        if stored.record.unsettled_since is None:
            return stored.record
        return await self.jobs.settle(stored, self.library.follow)

    async def get_settled(self, job_id: str) -> Stored[Job]:
        """Return a job whose end, if it has ended, is to be seen in the library too."""
        stored = await self.jobs.get(job_id)
        if stored.record.is_terminal and stored.record.unsettled_since:
            await self.settle(stored)
            return await self.jobs.get(job_id)
        return stored

    async def delete_job_if_due(self, job_id: str, attempt: int | None = None) -> bool:
        """Delete an ended job whose time has come; return whether it is gone."""
        try:
            await self.get_settled(job_id)
        except NotFoundError:
            return True
        return await self.jobs.delete_if_due(job_id, attempt)

    async def purge_job(self, job_id: str, older_than: timedelta) -> bool:
        """Delete a failed or cancelled job that ended so long ago; return whether it is gone."""
        await self.get_settled(job_id)
        return await self.jobs.purge(job_id, older_than)

    async def delete_job(self, job_id: str, if_match: str | None = None) -> None:
        """Delete a job at once; one that is at work is cancelled first.

        Raises
        ------
        ChangedMeanwhileError
            If its ETag is not `if_match`.
        """
        if if_match not in (None, (await self.jobs.get(job_id)).etag):
            raise ChangedMeanwhileError
        if not (await self.get_settled(job_id)).record.is_terminal:
            with contextlib.suppress(TransitionRefusedError):  # it has just ended
                await self.cancel(job_id)
            await self.get_settled(job_id)
        await self.jobs.delete_ended(job_id)

    async def delete_audio(self, audio_file_id: str, if_match: str | None = None) -> None:
        """Delete an audio file with all that belongs to it; repeating it is no error.

        The mark comes first and the record last, so that a deletion that broke off is found and finished.
        The upload goes before the record: else the search for lost events would take it for new.

        Raises
        ------
        ChangedMeanwhileError
            If its ETag is not `if_match`.
        """
        audio = await self.library.mark_deleted(audio_file_id, if_match)
        if audio is None:
            return
        for job_id in await self.jobs.of_audio(audio_file_id):
            with contextlib.suppress(NotFoundError):  # it has just been deleted
                await self.delete_job(job_id)
        await self.library.delete_parts(audio)

    async def _begin(self, audio: AudioFile, blob_name: str) -> Job:
        """Cancel what else is at work on this file, then make and queue the job of its present version."""
        await self._cancel_others(audio)
        stored = await self.jobs.ensure(audio, blob_name=blob_name, analysis_version=ANALYSIS_VERSION)
        return await self.settle(stored)

    async def _cancel_others(self, audio: AudioFile) -> None:
        for job_id in await self.jobs.at_work_on(audio.id):
            if job_id != audio.job_id:
                with contextlib.suppress(NotFoundError, TransitionRefusedError):  # it has just ended
                    await self.cancel(job_id)
