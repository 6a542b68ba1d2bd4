"""The stem library: audio files and their stems, as they are written and found."""

import asyncio
import json
from datetime import timedelta

from shared import ids
from shared.effects import effect
from shared.errors import (
    AlreadyExistsError,
    BeingDeletedError,
    ChangedMeanwhileError,
    ConflictError,
    FieldFault,
    InvalidInputError,
    NotFoundError,
)
from shared.job_consequences import consequences
from shared.job_ports import Clock
from shared.models import (
    ANALYSIS_VERSION,
    STRUCTURE_FIELDS,
    AnalysisStatus,
    AudioFile,
    Job,
    JobStatus,
    Stem,
    StemWrite,
    Stored,
)
from shared.storage.blobs import AudioBlobs, BlobProperties
from shared.storage.library import LibraryContainer, StemDocument
from shared.storage.search_index import SearchIndexContainer

DOWNLOAD_VALID = timedelta(minutes=15)
SETTLED = frozenset({AnalysisStatus.COMPLETED, AnalysisStatus.FAILED, AnalysisStatus.REJECTED})


class StemLibrary:
    """Audio files and stems; the only writer of them."""

    def __init__(
        self, *, store: LibraryContainer, index: SearchIndexContainer, blobs: AudioBlobs, clock: Clock
    ) -> None:
        self._store = store
        self._index = index
        self._blobs = blobs
        self._clock = clock

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

    async def register_upload(self, upload: ids.UploadName, blob: BlobProperties) -> AudioFile | None:
        """Note an upload as work to do; None if this very version was analysed already.

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
            "analysis_status": AnalysisStatus.PENDING,
            "error": None,
            "job_id": _job_id(upload.audio_file_id, blob.etag),
        }
        while True:
            known = await self._store.read_audio(upload.audio_file_id)
            try:
                if known is None:
                    audio = AudioFile.model_validate({"id": upload.audio_file_id, **arrived})
                    with effect("upload noted"):
                        return (await self._store.create_audio(audio)).record
                if known.record.etag != blob.etag:
                    changed = known.record.model_copy(update=arrived)
                    return (await self._store.replace_audio(changed, known.etag)).record
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
                return (await self._store.replace_audio(audio.model_copy(update=update), known.etag)).record
            except ChangedMeanwhileError:
                continue

    async def follow(self, job: Job) -> None:
        """Write what a job's state means for its audio file; safe to repeat.

        A job that the file has left behind, for a newer version or analysis, changes nothing any more.
        """
        try:
            while not await self._follow(job):
                pass
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
                for found in await self._store.stems(job.audio_file_id, job.analysis_version):
                    await self._index.put_stem(found.stem)
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
        stems = await self._store.stems(job.audio_file_id)
        used = {stored.structures_blob for stored in stems}
        used |= {self._blobs.name_of(stored.stem.blob_uri) for stored in stems}
        for folder in folders:
            await self._blobs.delete_all(folder, but=used)

    async def mark_deleted(self, audio_file_id: str) -> AudioFile | None:
        """Make an audio file invisible, as the first step of its deletion; None if there is none."""
        return await self._store.mark_deleted(audio_file_id)

    async def delete_parts(self, audio: AudioFile) -> None:
        """Delete a marked audio file's blobs and records, its own record last; safe to repeat."""
        upload = self._blobs.name_of(audio.blob_uri)
        assert upload is not None, "an audio file lies in this deployment's storage"
        await self._blobs.delete(upload)
        await self._blobs.delete_all(f"{audio.id}/")
        for stored in await self._store.stems(audio.id):
            await self._index.remove_stem(stored.stem.id)
        await self._store.forget(audio.id)

    async def save_stem(self, write: StemWrite) -> tuple[Stem, bool]:
        """Create or update a stem; return it and whether it is new. One of a job is staged, not shown.

        Raises
        ------
        NotFoundError
            If its audio file is unknown.
        InvalidInputError
            If `blobUri` is no blob of this song's stems in this deployment's storage.
        """
        await self.get_audio(write.audio_file_id)
        self._check_place(write)
        stem_id = ids.stem_id(write.audio_file_id, write.type, write.analysis_version)
        known = await self._store.read_stem(write.audio_file_id, stem_id)
        stem = Stem(
            **write.model_dump(exclude={"job_id", "attempt", *STRUCTURE_FIELDS}),
            id=stem_id,
            created_at=known.stem.created_at if known else self._clock(),
        )
        structures = {name: getattr(write, name) for name in STRUCTURE_FIELDS}
        blob = None
        if any(text is not None for text in structures.values()):
            native = {name: text and json.loads(text) for name, text in structures.items()}
            blob = await self._blobs.write_json(f"{write.audio_file_id}/analysis", native)
        if write.job_id is not None:
            with effect("stem staged"):
                await self._store.stage(StemDocument(stem, blob), write.job_id)
        else:
            await self._store.upsert_stem(StemDocument(stem, blob))
            await self._index.put_stem(stem)
        return stem.model_copy(update=structures), known is None

    def _check_place(self, write: StemWrite) -> None:
        folder = f"{write.audio_file_id}/stems/"
        if write.job_id is not None:
            folder = ids.stems_folder(write.audio_file_id, write.job_id)
        file_name = f"{write.type.lower()}.wav"
        name = self._blobs.name_of(write.blob_uri) or ""
        if not (name.startswith(folder) and name.endswith(f"/{file_name}")):
            fault = FieldFault(
                field="blobUri", message=f"must be a {file_name} below {folder} in this deployment's storage"
            )
            raise InvalidInputError("The stem's blob is not where this stem is kept.", faults=[fault])

    async def get_stem(self, stem_id: str) -> Stem:
        """Return the stem with its structures.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        return await self._with_structures(await self._find_stem(stem_id))

    async def stems_of(self, audio_file_id: str) -> list[Stem]:
        """Return all stems of a song, with their structures, in the order of StemType.

        Raises
        ------
        NotFoundError
            If there is no such audio file.
        """
        audio = (await self.get_audio(audio_file_id)).record
        stored = await self._store.stems(audio_file_id, audio.analysis_version or ANALYSIS_VERSION)
        stems = await asyncio.gather(*(self._with_structures(document) for document in stored))
        order = list(type(stems[0].type)) if stems else []
        return sorted(stems, key=lambda stem: order.index(stem.type))

    async def stem_download_url(self, stem_id: str) -> str:
        """Return a short-lived URL of the stem's WAV, saved under the song's and the stem's name."""
        stem = (await self._find_stem(stem_id)).stem
        audio = (await self.get_audio(stem.audio_file_id)).record
        blob_name = self._blobs.name_of(stem.blob_uri)
        assert blob_name is not None, "a stem lies in this deployment's storage"
        song = audio.title or audio.name.rsplit(".", 1)[0]
        named = f"{audio.artist} - {song}" if audio.artist else song
        return await self._blobs.download_url(
            blob_name, file_name=f"{named} ({stem.type}).wav", valid=DOWNLOAD_VALID
        )

    async def _find_stem(self, stem_id: str) -> StemDocument:
        audio_file_id = await self._index.find_stem(stem_id)
        stored = audio_file_id and await self._store.read_stem(audio_file_id, stem_id)
        if not stored:
            raise NotFoundError(f"There is no stem {stem_id}.")
        return stored

    async def _with_structures(self, stored: StemDocument) -> Stem:
        if stored.structures_blob is None:
            return stored.stem
        native = await self._blobs.read_json(stored.structures_blob)
        texts = {
            name: None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            for name, value in native.items()
        }
        return stored.stem.model_copy(update=texts)


def _job_id(audio_file_id: str, etag: str) -> str:
    """Return the id of the job that analyses this version of the file by the present analysis."""
    return ids.job_id(ids.idempotency_key(audio_file_id, etag, ANALYSIS_VERSION))
