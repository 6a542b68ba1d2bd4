"""Container `library`: an audio file and its stems share a partition, and are changed together."""

import contextlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from azure.cosmos.exceptions import CosmosBatchOperationError

from shared.errors import BeingDeletedError, ChangedMeanwhileError
from shared.models import AnalysisStatus, AudioFile, Stem, Stored
from shared.storage.cosmos import Container, Document, record_of, stored_of, wire_time
from shared.storage.library_entries import AUDIO, DELETED, DELETED_STEM, STAGED, STEM, Entry, marked


@dataclass(frozen=True)
class StemDocument:
    """A stem as the library stores it: its structures lie in a blob."""

    stem: Stem
    structures_blob: str | None
    etag: str = ""
    """Of the document as it was read."""
    superseded: bool = False
    """Whether the song has the stems of a newer analysis."""
    notation_blobs: dict[str, str] = field(default_factory=dict)
    """The files of its notes, by the field of the notation that says where they are."""


@dataclass(frozen=True)
class OutdatedSong:
    """A song whose results are of an older analysis."""

    id: str
    status: AnalysisStatus
    job_id: str | None


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
        return stored_of(AudioFile, await self._create(marked(audio_document(audio), None)))

    async def replace_audio(self, audio: AudioFile, etag: str) -> Stored[AudioFile]:
        """Write the audio file if its ETag is still `etag`; else ChangedMeanwhileError."""
        previous = await self._read(audio.id, audio.id)
        if previous is None or previous["_etag"] != etag:
            raise ChangedMeanwhileError
        return stored_of(AudioFile, await self._replace(marked(audio_document(audio), previous), etag))

    async def read_stem(self, audio_file_id: str, stem_id: str) -> StemDocument | None:
        """Return the stem, or None."""
        document = await self._read(stem_id, audio_file_id)
        return _stem(document) if document and document["kind"] == STEM else None

    async def write_stem(self, stored: StemDocument, known: StemDocument | None) -> None:
        """Create the stem, or overwrite `known`; a superseded one becomes a shown one.

        Raises
        ------
        ConflictError
            If it was changed meanwhile.
        """
        previous = await self._read(stored.stem.id, stored.stem.audio_file_id)
        document = marked(stem_document(stored), previous)
        if previous is None:
            await self._create(document)
        else:
            await self._replace(document, known.etag if known else str(previous["_etag"]))

    async def mark_stem_deleted(self, stem: Stem, etag: str) -> None:
        """Make a stem invisible until lists have forgotten it; ChangedMeanwhileError if it was changed."""
        previous = await self._read(stem.id, stem.audio_file_id)
        if previous:
            await self._replace(marked({**previous, "kind": DELETED_STEM}, previous), etag)

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

    async def deleted_stems(self, audio_file_id: str) -> list[StemDocument]:
        """Return the stems that are being deleted."""
        found = await self._query(
            "SELECT * FROM c WHERE c.kind = @kind", partition=audio_file_id, kind=DELETED_STEM
        )
        return [_stem(document) for document in found]

    async def stage(self, stored: StemDocument, job_id: str) -> None:
        """Write a stem that nobody sees before `publish`."""
        document = stem_document(stored)
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
        found = await self._query("SELECT * FROM c WHERE c.kind != 'staged'", partition=audio.id)
        known = {str(document["id"]): document for document in found}
        if audio.id not in known or known[audio.id]["_etag"] != etag:
            raise ChangedMeanwhileError
        written = [audio_document(audio), *map(stem_document, stems), *_superseded(known.values(), audio)]
        operations: list[Any] = [
            ("replace", (body["id"], marked(body, before)), {"if_match_etag": before["_etag"]})
            if (before := known.get(body["id"]))
            else ("create", (marked(body, None),))
            for body in written
        ]
        operations += [("delete", (document["id"],)) for document in staged]
        container = await self._database.container(self.name)
        try:
            await container.execute_item_batch(operations, partition_key=audio.id)
        except CosmosBatchOperationError:
            # The audio file was changed, or another call has published the same: look again.
            raise ChangedMeanwhileError from None

    async def discard(self, audio_file_id: str, job_id: str | None = None) -> None:
        """Delete what a job has staged, or all that is."""
        await self._delete_all(audio_file_id, await self._staged(audio_file_id, job_id))

    async def mark_deleted(self, audio_file_id: str, if_match: str | None = None) -> AudioFile | None:
        """Make the audio file invisible until `forget`; return it, or None where there is none.

        Raises
        ------
        ChangedMeanwhileError
            If its ETag is not `if_match`.
        """
        while document := await self._read(audio_file_id, audio_file_id):
            if document["kind"] != DELETED:
                if if_match not in (None, document["_etag"]):
                    raise ChangedMeanwhileError
                try:
                    deleted = marked(document | {"kind": DELETED}, document)
                    await self._replace(deleted, str(document["_etag"]))
                except ChangedMeanwhileError:
                    continue
            return record_of(AudioFile, document)
        return None

    async def marked_deleted(self, limit: int) -> list[str]:
        """Return ids of audio files whose deletion has begun."""
        found = await self._query(f"SELECT c.id FROM c WHERE c.kind = '{DELETED}'", limit=limit)  # noqa: S608
        return [str(document["id"]) for document in found]

    async def outdated(self, analysis_version: int, limit: int) -> list[OutdatedSong]:
        """Return some songs of an older analysis: completed ones, and those that wait for a newer one.

        One whose newer analysis has failed is left out: it would fail each time.
        """
        found = await self._query(
            f"SELECT c.id, c.analysisStatus, c.jobId FROM c WHERE c.kind = '{AUDIO}' "  # noqa: S608
            "AND c.analysisVersion < @version AND c.analysisStatus IN ('Completed', 'Pending')",
            limit=limit,
            version=analysis_version,
        )
        return [
            OutdatedSong(document["id"], AnalysisStatus(document["analysisStatus"]), document["jobId"])
            for document in found
        ]

    async def entries(self, audio_file_id: str) -> list[Entry]:
        """Return all of a song that lists may show, itself included."""
        found = await self._query("SELECT * FROM c WHERE c.kind != 'staged'", partition=audio_file_id)
        return [Entry(document) for document in found]

    async def unindexed(self, audio_file_id: str) -> list[Entry]:
        """Return what of a song lists and statistics do not show as it is."""
        found = await self._query(
            "SELECT * FROM c WHERE c.unindexedSince > @start", partition=audio_file_id, start=""
        )
        return [Entry(document) for document in found]

    async def unindexed_since(self, moment: datetime, limit: int) -> list[str]:
        """Return ids of songs of which something is not in the lists since `moment` or before."""
        found = await self._query(
            "SELECT c.audioFileId FROM c WHERE c.unindexedSince <= @moment",
            limit=limit,
            moment=wire_time(moment),
        )
        return sorted({str(document["audioFileId"]) for document in found})

    async def settle(self, entry: Entry, places: Collection[str]) -> bool:
        """Note that lists and statistics show the entry; False if it was changed meanwhile.

        A stem that was to be deleted is gone then.
        """
        etag = str(entry.document["_etag"])
        settled = {name: value for name, value in entry.document.items() if name != "unindexedSince"}
        try:
            if entry.document["kind"] == DELETED_STEM:
                await self._delete(entry.id, entry.audio_file_id, etag)
            else:
                await self._replace({**settled, "places": sorted(places)}, etag)
        except ChangedMeanwhileError:
            return False
        return True

    async def entry(self, record_id: str, audio_file_id: str) -> Entry | None:
        """Return a record as lists may show it, or None."""
        document = await self._read(record_id, audio_file_id)
        return Entry(document) if document else None

    async def page(self, continuation: str | None, limit: int) -> tuple[list[Entry], str | None]:
        """Return some of what lists may show of all songs, and where to go on."""
        query = "SELECT * FROM c WHERE c.kind IN ('audio', 'stem', 'deletedStem')"
        documents, after = await self._page(query, continuation, limit)
        return [Entry(document) for document in documents], after

    async def mark(self, entries: Iterable[Entry]) -> None:
        """Have the next `unindexed` return these, unless they were changed, and so marked, meanwhile."""
        for entry in entries:
            with contextlib.suppress(ChangedMeanwhileError):
                etag = str(entry.document["_etag"])
                await self._replace(marked(entry.document, entry.document), etag)

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


def audio_document(audio: AudioFile) -> Document:
    """Return an audio file as its document holds it."""
    return {**audio.to_wire(), "kind": AUDIO, "audioFileId": audio.id}


def stem_document(stored: StemDocument) -> Document:
    """Return a stem as its document holds it."""
    own = {
        "kind": STEM,
        "structuresBlob": stored.structures_blob,
        "notationBlobs": stored.notation_blobs,
        "superseded": stored.superseded,
    }
    return {**stored.stem.to_wire(), **own}


def _stem(document: Document) -> StemDocument:
    return StemDocument(
        record_of(Stem, document),
        document["structuresBlob"],
        str(document["_etag"]),
        superseded=document.get("superseded", False),
        notation_blobs=document.get("notationBlobs", {}),
    )


def _superseded(documents: Iterable[Document], audio: AudioFile) -> list[Document]:
    """Return the stems of older analyses, as they are once this one is published."""
    return [
        document | {"superseded": True}
        for document in documents
        if document["kind"] == STEM
        and document["analysisVersion"] < audio.analysis_version
        and not document.get("superseded")
    ]
