"""Container `library`: an audio file and its stems share a partition, and are changed together."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from azure.cosmos.exceptions import CosmosBatchOperationError

from shared.errors import BeingDeletedError, ChangedMeanwhileError
from shared.models import AudioFile, Stem, Stored
from shared.storage.cosmos import Container, Document, record_of, stored_of

AUDIO, STEM, STAGED, DELETED = "audio", "stem", "staged", "deleted"
"""Kinds of documents. Staged: a stem of a job that has not completed, which nobody sees; deleted: an audio
file whose parts are being deleted."""


@dataclass(frozen=True)
class StemDocument:
    """A stem as the library stores it: its structures lie in a blob."""

    stem: Stem
    structures_blob: str | None


class LibraryContainer(Container):
    """Audio files and stems."""

    name = "library"

    async def read_audio(self, audio_file_id: str) -> Stored[AudioFile] | None:
        """Return the audio file with its ETag, or None.

        Raises
        ------
        BeingDeletedError
            If its deletion has begun.
        """
        document = await self._read(audio_file_id, audio_file_id)
        if document is None:
            return None
        if document["kind"] == DELETED:
            raise BeingDeletedError(f"The audio file {audio_file_id} is being deleted.")
        return stored_of(AudioFile, document)

    async def create_audio(self, audio: AudioFile) -> Stored[AudioFile]:
        """Write a new audio file; AlreadyExistsError if its id is taken."""
        return stored_of(AudioFile, await self._create(_audio_document(audio)))

    async def replace_audio(self, audio: AudioFile, etag: str) -> Stored[AudioFile]:
        """Write the audio file if its ETag is still `etag`; else ChangedMeanwhileError."""
        return stored_of(AudioFile, await self._replace(_audio_document(audio), etag))

    async def read_stem(self, audio_file_id: str, stem_id: str) -> StemDocument | None:
        """Return the stem, or None."""
        document = await self._read(stem_id, audio_file_id)
        return _stem(document) if document else None

    async def upsert_stem(self, stored: StemDocument) -> None:
        """Write or overwrite the stem."""
        await self._upsert(_stem_document(stored))

    async def stems(self, audio_file_id: str, analysis_version: int | None = None) -> list[StemDocument]:
        """Return the stems of one analysis of the file, or of all."""
        condition = "c.kind = 'stem'"
        parameters = {}
        if analysis_version is not None:
            condition += " AND c.analysisVersion = @version"
            parameters["version"] = analysis_version
        query = f"SELECT * FROM c WHERE {condition}"  # noqa: S608 (the two conditions above)
        found = await self._query(query, partition=audio_file_id, **parameters)
        return [_stem(document) for document in found]

    async def stage(self, stored: StemDocument, job_id: str) -> None:
        """Write a stem that nobody sees before `publish`."""
        document = _stem_document(stored)
        staged = {
            "kind": STAGED,
            "jobId": job_id,
            "id": f"{stored.stem.id}@{job_id}",
            "stemId": stored.stem.id,
        }
        await self._upsert(document | staged)

    async def publish(self, audio: AudioFile, etag: str, job_id: str) -> None:
        """Write the audio file and make the job's staged stems visible, all or nothing.

        Raises
        ------
        ChangedMeanwhileError
            If the audio file's ETag is not `etag` any more.
        """
        staged = await self._staged(audio.id, job_id)
        stems = [_stem(document | {"id": document["stemId"]}) for document in staged]
        operations: list[Any] = [
            ("replace", (audio.id, _audio_document(audio)), {"if_match_etag": etag}),
            *(("upsert", (_stem_document(stem),)) for stem in stems),
            *(("delete", (document["id"],)) for document in staged),
        ]
        container = await self._database.container(self.name)
        try:
            await container.execute_item_batch(operations, partition_key=audio.id)
        except CosmosBatchOperationError:
            # The audio file was changed, or another call has published the same: look again.
            raise ChangedMeanwhileError from None

    async def discard(self, audio_file_id: str, job_id: str | None = None) -> None:
        """Delete what a job has staged, or all that is."""
        await self._delete_all(audio_file_id, await self._staged(audio_file_id, job_id))

    async def mark_deleted(self, audio_file_id: str) -> AudioFile | None:
        """Make the audio file invisible until `forget`; return it, or None where there is none."""
        while document := await self._read(audio_file_id, audio_file_id):
            if document["kind"] != DELETED:
                try:
                    await self._replace(document | {"kind": DELETED}, str(document["_etag"]))
                except ChangedMeanwhileError:
                    continue
            return record_of(AudioFile, document)
        return None

    async def marked_deleted(self, limit: int) -> list[str]:
        """Return ids of audio files whose deletion has begun."""
        found = await self._query(f"SELECT c.id FROM c WHERE c.kind = '{DELETED}'", limit=limit)  # noqa: S608
        return [str(document["id"]) for document in found]

    async def forget(self, audio_file_id: str) -> None:
        """Delete all documents of an audio file, its own last."""
        documents = await self._query("SELECT c.id FROM c", partition=audio_file_id)
        parts = [document for document in documents if document["id"] != audio_file_id]
        await self._delete_all(audio_file_id, parts)
        await self._delete(audio_file_id, audio_file_id)

    async def _staged(self, audio_file_id: str, job_id: str | None) -> list[Document]:
        found = await self._query("SELECT * FROM c WHERE c.kind = 'staged'", partition=audio_file_id)
        return [document for document in found if job_id in (None, document["jobId"])]

    async def _delete_all(self, audio_file_id: str, documents: Iterable[Document]) -> None:
        for document in documents:
            await self._delete(document["id"], audio_file_id)


def _audio_document(audio: AudioFile) -> Document:
    return {**audio.to_wire(), "kind": AUDIO, "audioFileId": audio.id}


def _stem_document(stored: StemDocument) -> Document:
    return {**stored.stem.to_wire(), "kind": STEM, "structuresBlob": stored.structures_blob}


def _stem(document: Document) -> StemDocument:
    return StemDocument(record_of(Stem, document), document["structuresBlob"])
