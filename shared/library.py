"""The stem library: audio files and their stems, as they are written and found."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from shared import ids
from shared.errors import (
    AlreadyExistsError,
    ChangedMeanwhileError,
    FieldFault,
    InvalidInputError,
    NotFoundError,
)
from shared.job_ports import Clock
from shared.models import (
    ANALYSIS_VERSION,
    STRUCTURE_FIELDS,
    AnalysisStatus,
    AudioFile,
    Stem,
    StemWrite,
    Stored,
)
from shared.storage.blobs import AudioBlobs, BlobProperties
from shared.storage.cosmos import LibraryContainer, SearchIndexContainer, StemDocument

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

    async def register_upload(self, upload: ids.UploadName, blob: BlobProperties) -> AudioFile | None:
        """Note an upload as work to do; None if this very version was analysed already.

        This memory outlives the job, so that a late duplicate of the blob's event does no work.
        """
        arrived = AudioFile(
            id=upload.audio_file_id,
            name=upload.file_name,
            blob_uri=blob.uri,
            content_type=blob.content_type,
            size_bytes=blob.size_bytes,
            etag=blob.etag,
            uploaded_at=blob.last_modified,
        )
        while True:
            known = await self._store.read_audio(upload.audio_file_id)
            try:
                if known is None:
                    return (await self._store.create_audio(arrived)).record
                if known.record.etag != blob.etag:
                    return (await self._store.replace_audio(arrived, known.etag)).record
            except (AlreadyExistsError, ChangedMeanwhileError):
                continue
            settled = known.record.analysis_status in SETTLED
            return None if settled and known.record.analysis_version == ANALYSIS_VERSION else known.record

    async def update_audio(
        self, audio_file_id: str, *, etag: str, change: Callable[[AudioFile], dict[str, Any]]
    ) -> AudioFile | None:
        """Change the audio file if it still is the blob version `etag`; None if it is another by now."""
        while True:
            stored = await self._store.read_audio(audio_file_id)
            if stored is None or stored.record.etag != etag:
                return None
            changed = stored.record.model_copy(update=change(stored.record))
            if changed == stored.record:
                return changed
            try:
                return (await self._store.replace_audio(changed, stored.etag)).record
            except ChangedMeanwhileError:
                continue

    async def save_stem(self, write: StemWrite) -> tuple[Stem, bool]:
        """Create or update a stem; return it and whether it is new.

        Raises
        ------
        NotFoundError
            If its audio file is unknown.
        InvalidInputError
            If `blobUri` is not this stem's blob in this deployment's storage.
        """
        await self.get_audio(write.audio_file_id)
        place = ids.stem_blob_name(write.audio_file_id, write.type)
        if self._blobs.name_of(write.blob_uri) != place:
            fault = FieldFault(
                field="blobUri", message=f"must be the blob {place} of this deployment's storage"
            )
            raise InvalidInputError("The stem's blob is not where this stem is kept.", faults=[fault])
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
        await self._store.upsert_stem(StemDocument(stem, blob))
        await self._index.put_stem(stem)
        return stem.model_copy(update=structures), known is None

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
        blob_name = ids.stem_blob_name(stem.audio_file_id, stem.type)
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
