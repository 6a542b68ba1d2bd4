"""Audio files: what an upload, and the job that analyses it, mean for the library."""

from shared import ids
from shared.effects import effect
from shared.errors import (
    AlreadyExistsError,
    BeingDeletedError,
    ChangedMeanwhileError,
    ConflictError,
    NotFoundError,
)
from shared.job_consequences import consequences
from shared.library_index import LibraryIndex
from shared.models import (
    ANALYSIS_VERSION,
    AnalysisStatus,
    AudioFile,
    Job,
    JobStatus,
    Stored,
)
from shared.storage.blobs import AudioBlobs, BlobProperties
from shared.storage.library import LibraryContainer, StemDocument

SETTLED = frozenset({AnalysisStatus.COMPLETED, AnalysisStatus.FAILED, AnalysisStatus.REJECTED})


class StemLibrary:
    """Audio files, and the stems that a job publishes with them; the only writer of audio files."""

    def __init__(self, *, store: LibraryContainer, index: LibraryIndex, blobs: AudioBlobs) -> None:
        self._store = store
        self._index = index
        self._blobs = blobs

    async def get_audio(self, audio_file_id: str) -> Stored[AudioFile]:
        """Return the audio file.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        if stored := await self._store.read_audio(audio_file_id):
            return stored
        raise NotFoundError(f"There is no audio file {audio_file_id}.")

    async def find_audio(self, audio_file_id: str) -> AudioFile | None:
        """Return the audio file, or None."""
        stored = await self._store.read_audio(audio_file_id)
        return stored.record if stored else None

    async def register_upload(
        self, upload: ids.UploadName, blob: BlobProperties, *, refusal: str | None = None
    ) -> AudioFile | None:
        """Note an upload as work to do, or as refused; None if this very version was dealt with already.

        This memory outlives the job, so that a late duplicate of the blob's event does no work. A new version
        keeps what is known of the older one until its own analysis has completed.

        Raises
        ------
        BeingDeletedError
            If the file's deletion has begun.
        """
        arrived = {
            "name": upload.file_name,
            "blob_uri": blob.uri,
            "content_type": blob.content_type,
            "size_bytes": blob.size_bytes,
            "etag": blob.etag,
            "uploaded_at": blob.last_modified,
            "analysis_status": AnalysisStatus.REJECTED if refusal else AnalysisStatus.PENDING,
            "error": refusal,
            "job_id": None if refusal else _job_id(upload.audio_file_id, blob.etag),
        }
        while True:
            known = await self._store.read_audio(upload.audio_file_id)
            try:
                if known is None:
                    audio = AudioFile.model_validate(
                        {"id": upload.audio_file_id, "created_at": blob.last_modified, **arrived}
                    )
                    with effect("upload noted"):
                        created = await self._store.create_audio(audio)
                    return await self._shown(created)
                if known.record.etag != blob.etag:
                    changed = known.record.model_copy(update=arrived)
                    return await self._shown(await self._store.replace_audio(changed, known.etag))
            except (AlreadyExistsError, ChangedMeanwhileError):
                continue
            return None if known.record.analysis_status in SETTLED else known.record

    async def register_reanalysis(self, audio_file_id: str) -> AudioFile:
        """Note that the file is to be analysed by the present version.

        Raises
        ------
        NotFoundError
            If there is no such audio file.
        ConflictError
            If the library holds the result of the present version already.
        """
        while True:
            known = await self.get_audio(audio_file_id)
            audio = known.record
            is_present = audio.analysis_version == ANALYSIS_VERSION
            if is_present and audio.analysis_status is AnalysisStatus.COMPLETED:
                raise ConflictError(f"The library holds the result of analysis version {ANALYSIS_VERSION}.")
            update = {
                "analysis_status": AnalysisStatus.PENDING,
                "error": None,
                "job_id": _job_id(audio.id, audio.etag),
            }
            try:
                changed = await self._store.replace_audio(audio.model_copy(update=update), known.etag)
            except ChangedMeanwhileError:
                continue
            return await self._shown(changed)

    async def follow(self, job: Job) -> None:
        """Write what a job's state means for its audio file; safe to repeat.

        A job that the file has left behind, for a newer version or analysis, changes nothing any more.
        """
        try:
            while not await self._follow(job):
                pass
            await self._index.update(job.audio_file_id)
            if job.is_terminal:
                await self._clean_up(job)
        except BeingDeletedError:
            return  # its parts are deleted together

    async def _follow(self, job: Job) -> bool:
        """Try once; False if the audio file was changed meanwhile."""
        stored = await self._store.read_audio(job.audio_file_id)
        if stored is None or stored.record.job_id != job.id:
            return True
        changed = stored.record.model_copy(update=consequences(job))
        try:
            if job.status is JobStatus.COMPLETED:
                with effect("stems published"):
                    await self._store.publish(changed, stored.etag, job.id)
            elif changed != stored.record:
                await self._store.replace_audio(changed, stored.etag)
        except ChangedMeanwhileError:
            return False
        return True

    async def _clean_up(self, job: Job) -> None:
        """Discard what an ended job has staged, and the blobs that no stem of the song refers to any more."""
        audio = await self._store.read_audio(job.audio_file_id)
        if audio and audio.record.job_id != job.id:
            # Another job is at work, and has blobs that nothing refers to yet: only this one's own can go.
            await self._store.discard(job.audio_file_id, job.id)
            folders = [ids.stems_folder(job.audio_file_id, job.id)]
        else:
            await self._store.discard(job.audio_file_id)
            folders = [f"{job.audio_file_id}/{folder}/" for folder in ids.DERIVED_FOLDERS]
        used = await self.blobs_of_stems(job.audio_file_id)
        artwork_uri = audio and audio.record.artwork_uri
        artwork = self._blobs.name_of(artwork_uri) if artwork_uri else None
        for folder in folders:
            await self._blobs.delete_all(folder, but={*used, artwork})

    async def blobs_of_stems(self, audio_file_id: str) -> set[str]:
        """Return the names of the blobs that a song's stems refer to."""
        return {
            name for stored in await self._store.stems(audio_file_id) for name in self.blobs_of_stem(stored)
        }

    def blobs_of_stem(self, stored: StemDocument) -> set[str]:
        """Return the names of the blobs that a stem refers to: sound, structures, files of its notes."""
        names = (self._blobs.name_of(stored.stem.blob_uri), stored.structures_blob)
        return {name for name in (*names, *stored.notation_blobs.values()) if name is not None}

    async def artwork_url(self, audio_file_id: str) -> str:
        """Return a short-lived URL of the picture of the file's tags.

        Raises
        ------
        NotFoundError
            Also if the tags hold none.
        """
        audio = (await self.get_audio(audio_file_id)).record
        blob_name = self._blobs.name_of(audio.artwork_uri) if audio.artwork_uri else None
        if blob_name is None:
            raise NotFoundError("The tags of this file hold no picture, or were not read yet.")
        file_name = blob_name.rpartition("/")[2]
        return await self._blobs.download_url(blob_name, file_name=file_name)

    async def mark_deleted(self, audio_file_id: str, if_match: str | None = None) -> AudioFile | None:
        """Make an audio file invisible, as the first step of its deletion; None if there is none.

        Raises
        ------
        ChangedMeanwhileError
            If its ETag is not `if_match`.
        """
        return await self._store.mark_deleted(audio_file_id, if_match)

    async def delete_parts(self, audio: AudioFile) -> None:
        """Delete a marked audio file's blobs and records, its own record last; safe to repeat."""
        upload = self._blobs.name_of(audio.blob_uri)
        assert upload is not None, "an audio file lies in this deployment's storage"
        await self._index.remove(audio.id)
        await self._blobs.delete(upload)
        await self._blobs.delete_all(f"{audio.id}/")
        await self._store.forget(audio.id)

    async def _shown(self, stored: Stored[AudioFile]) -> AudioFile:
        """Have the lists show the audio file as it was just written; return it."""
        await self._index.update(stored.record.id)
        return stored.record


def _job_id(audio_file_id: str, etag: str) -> str:
    """Return the id of the job that analyses this version of the file by the present analysis."""
    return ids.job_id(ids.idempotency_key(audio_file_id, etag, ANALYSIS_VERSION))
