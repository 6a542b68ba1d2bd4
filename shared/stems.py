"""Single stems: how they are saved, read, downloaded and deleted."""

import asyncio
import json
from typing import Any, Literal

from pydantic.alias_generators import to_camel

from shared import ids
from shared.effects import effect
from shared.errors import (
    AlreadyExistsError,
    ChangedMeanwhileError,
    NotFoundError,
)
from shared.file_names import stem_file_name
from shared.job_ports import Clock
from shared.library import StemLibrary
from shared.library_index import LibraryIndex
from shared.models import ANALYSIS_VERSION, STRUCTURE_FIELDS, Stem, StemType, Stored
from shared.storage.blobs import AudioBlobs
from shared.storage.library import LibraryContainer, StemDocument
from shared.storage.search_index import SearchIndexContainer
from shared.worker_contract import StemWrite

NOTATION_FIELDS = {"midi": "midiUri", "musicxml": "musicXmlUri"}
"""By format: where the notation says that its file is."""


class Stems:
    """The stems of the library; the only writer of them, but for what a job publishes."""

    def __init__(
        self,
        *,
        library: StemLibrary,
        store: LibraryContainer,
        search_index: SearchIndexContainer,
        index: LibraryIndex,
        blobs: AudioBlobs,
        clock: Clock,
    ) -> None:
        self._library = library
        self._store = store
        self._search_index = search_index
        self._index = index
        self._blobs = blobs
        self._clock = clock

    async def save(self, write: StemWrite) -> tuple[Stem, bool]:
        """Create or update a stem; return it and whether it is new. One of a job is staged, not shown.

        Raises
        ------
        NotFoundError
            If its audio file is unknown.
        InvalidInputError
            If `blobUri`, or where the notation says that its files are, is no blob of this song's stems in
            this deployment's storage.
        """
        song = (await self._library.get_audio(write.audio_file_id)).record
        folder = f"{write.audio_file_id}/stems/"
        if write.job_id is not None:
            folder = ids.stems_folder(write.audio_file_id, write.job_id)
        file_names = (f"{write.type.lower()}.wav",)
        self._blobs.check_place(write.blob_uri, field="blobUri", folder=folder, file_names=file_names)
        structures = {name: getattr(write, name) for name in STRUCTURE_FIELDS}
        native = {name: text and json.loads(text) for name, text in structures.items()}
        notation_blobs = self._notation_blobs(write.type, native["notation_data"], folder)
        blob = None
        if any(text is not None for text in structures.values()):
            blob = await self._blobs.write_json(f"{write.audio_file_id}/analysis", native)
        while True:
            stem_id = ids.stem_id(write.audio_file_id, write.type, write.analysis_version)
            known = await self._store.read_stem(write.audio_file_id, stem_id)
            stem = Stem(
                **write.model_dump(exclude={"job_id", "attempt", *STRUCTURE_FIELDS}),
                id=stem_id,
                created_at=known.stem.created_at if known else self._clock(),
            )
            superseded = write.analysis_version < (song.analysis_version or 0)
            document = StemDocument(stem, blob, superseded=superseded, notation_blobs=notation_blobs)
            try:
                if write.job_id is not None:
                    with effect("stem staged"):
                        await self._store.stage(document, write.job_id)
                else:
                    await self._store.write_stem(document, known)
                    await self.settle(stem.audio_file_id)
            except (AlreadyExistsError, ChangedMeanwhileError):
                continue
            return stem.model_copy(update=structures), known is None

    def _notation_blobs(self, stem_type: StemType, notation: Any, folder: str) -> dict[str, str]:
        if not isinstance(notation, dict):
            return {}
        return {
            field: self._blobs.check_place(
                notation[field],
                field=f"notationData.{field}",
                folder=folder,
                file_names=(f"{stem_type.lower()}.{suffix}",),
            )
            for field, suffix in ids.NOTATION_SUFFIXES.items()
            if notation.get(field) is not None
        }

    async def settle(self, audio_file_id: str) -> None:
        """Do what follows from changes of a song's records: in blobs, lists and statistics. Safe to repeat.

        Raises
        ------
        BeingDeletedError
            If the song's deletion has begun.
        """
        for deleted in await self._store.deleted_stems(audio_file_id):
            await self._delete_blobs(deleted)
        await self._index.update(audio_file_id)

    async def delete(self, stem_id: str, if_match: str | None = None) -> None:
        """Delete a stem with its blobs.

        Raises
        ------
        NotFoundError
            If there is none.
        ChangedMeanwhileError
            If its ETag is not `if_match`.
        """
        stored = await self._find(stem_id)
        if if_match not in (None, stored.etag):
            raise ChangedMeanwhileError
        await self._store.mark_stem_deleted(stored.stem, stored.etag)
        await self.settle(stored.stem.audio_file_id)

    async def _delete_blobs(self, deleted: StemDocument) -> None:
        """Delete a stem's blobs, unless another stem of the song refers to them."""
        used = await self._library.blobs_of_stems(deleted.stem.audio_file_id)
        for blob in self._library.blobs_of_stem(deleted) - used:
            await self._blobs.delete(blob)

    async def get(self, stem_id: str) -> Stored[Stem]:
        """Return the stem with its structures.

        Raises
        ------
        NotFoundError
            If there is none; so below.
        """
        stored = await self._find(stem_id)
        return Stored(await self._with_structures(stored), stored.etag)

    async def get_analysis(self, stem_id: str) -> dict[str, Any]:
        """Return what lies along the stem's time, as native JSON under its wire names."""
        stem = (await self.get(stem_id)).record
        wire = stem.to_wire()
        return {name: wire[name] and json.loads(wire[name]) for name in map(to_camel, STRUCTURE_FIELDS)}

    async def of_song(self, audio_file_id: str, analysis_version: int | None = None) -> list[Stem]:
        """Return the stems of a song by its latest analysis, or by another, in the order of StemType.

        Raises
        ------
        NotFoundError
            If there is no such audio file.
        """
        song = (await self._library.get_audio(audio_file_id)).record
        version = analysis_version or song.analysis_version or ANALYSIS_VERSION
        found = await self._store.stems(audio_file_id, version)
        stems = await asyncio.gather(*(self._with_structures(document) for document in found))
        return sorted(stems, key=lambda stem: list(StemType).index(stem.type))

    async def download_url(self, stem_id: str) -> str:
        """Return a short-lived URL of the stem's WAV, saved under the song's and the stem's name."""
        stem = (await self._find(stem_id)).stem
        blob_name = self._blobs.name_of(stem.blob_uri)
        assert blob_name is not None, "a stem lies in this deployment's storage"
        return await self._url_of(stem, blob_name)

    async def notation_of(self, stem_id: str) -> Any:
        """Return the stem's notation as native JSON.

        Raises
        ------
        NotFoundError
            Also if there is no notation; it says why.
        """
        stem = (await self.get(stem_id)).record
        if stem.notation_data is None:
            raise NotFoundError(_why_missing(stem, "notationData", "notation"))
        return json.loads(stem.notation_data)

    async def notation_url(self, stem_id: str, kind: Literal["midi", "musicxml"]) -> str:
        """Return a short-lived URL of the stem's notation as a file.

        Raises
        ------
        NotFoundError
            Also if there is no such file; it says why.
        """
        stored = await self._find(stem_id)
        field = NOTATION_FIELDS[kind]
        blob_name = stored.notation_blobs.get(field)
        if blob_name is None:
            raise NotFoundError(_why_missing(stored.stem, field, f"notation as {kind}"))
        return await self._url_of(stored.stem, blob_name)

    async def _url_of(self, stem: Stem, blob_name: str) -> str:
        """Return a short-lived URL of a stem's blob, saved under the song's and the stem's name."""
        song = (await self._library.get_audio(stem.audio_file_id)).record
        title = song.title or song.name.rsplit(".", 1)[0]
        suffix = blob_name.rpartition(".")[2]
        file_name = stem_file_name(title=title, artist=song.artist, stem_type=stem.type, suffix=suffix)
        return await self._blobs.download_url(blob_name, file_name=file_name)

    async def _find(self, stem_id: str) -> StemDocument:
        audio_file_id = await self._search_index.find_stem(stem_id)
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


def _why_missing(stem: Stem, field: str, what: str) -> str:
    reason = stem.unmeasured.get(field) or stem.unmeasured.get("notationData")
    return f"This stem has no {what}" + (f": {reason}" if reason else ".")
