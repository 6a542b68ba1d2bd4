"""Cosmos DB: one class a container, each method one request in one partition.

The aio client belongs to one event loop and one process; it is opened at first use and closed at shutdown.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from azure.identity.aio import DefaultAzureCredential

from shared.errors import AlreadyExistsError, ChangedMeanwhileError
from shared.models import AudioFile, Job, JobOutcome, JobSummary, JobSummaryPage, Stem, Stored, WireModel

DATABASE = "music"
TTL_MARGIN = timedelta(days=1)
"""A job's record outlives its due deletion by this much: the net behind the durable timer."""

Document = dict[str, Any]
Record = TypeVar("Record", bound=WireModel)


class CosmosDatabase:
    """The database `music`, opened at first use."""

    def __init__(self, endpoint: str, key: str | None) -> None:
        self._endpoint = endpoint
        self._key = key
        self._client: CosmosClient | None = None
        self._credential: DefaultAzureCredential | None = None
        self._opening = asyncio.Lock()

    async def container(self, name: str) -> ContainerProxy:
        """Return the container's client."""
        client = await self._open()
        return client.get_database_client(DATABASE).get_container_client(name)

    async def ping(self) -> None:
        """Raise the SDK's error unless the database answers."""
        await (await self._open()).get_database_client(DATABASE).read()

    async def close(self) -> None:
        """Close the client's connections."""
        if self._client:
            await self._client.__aexit__(None, None, None)
        if self._credential:
            await self._credential.close()

    async def _open(self) -> CosmosClient:
        async with self._opening:
            if self._client is None:
                if self._key is None:
                    self._credential = DefaultAzureCredential()
                    client = CosmosClient(self._endpoint, credential=self._credential)
                else:
                    client = CosmosClient(self._endpoint, credential=self._key)
                await client.__aenter__()
                self._client = client
            return self._client


class _Container:
    """Point reads and conditional writes, with the SDK's errors turned into ours."""

    name: str

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database

    async def _read(self, item_id: str, partition: str) -> Document | None:
        container = await self._database.container(self.name)
        try:
            return dict(await container.read_item(item_id, partition_key=partition))
        except CosmosResourceNotFoundError:
            return None

    async def _create(self, body: Document) -> Document:
        container = await self._database.container(self.name)
        try:
            return dict(await container.create_item(body))
        except CosmosResourceExistsError:
            raise AlreadyExistsError(f"There is a record {body['id']} already.") from None

    async def _upsert(self, body: Document) -> Document:
        container = await self._database.container(self.name)
        return dict(await container.upsert_item(body))

    async def _replace(self, body: Document, etag: str) -> Document:
        container = await self._database.container(self.name)
        try:
            return dict(
                await container.replace_item(
                    body["id"], body, etag=etag, match_condition=MatchConditions.IfNotModified
                )
            )
        except (CosmosAccessConditionFailedError, CosmosResourceNotFoundError):
            raise ChangedMeanwhileError from None

    async def _delete(self, item_id: str, partition: str, etag: str | None = None) -> None:
        container = await self._database.container(self.name)
        condition: dict[str, Any] = (
            {} if etag is None else {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        )
        try:
            await container.delete_item(item_id, partition_key=partition, **condition)
        except CosmosResourceNotFoundError:
            return
        except CosmosAccessConditionFailedError:
            raise ChangedMeanwhileError from None


def _record(model: type[Record], document: Mapping[str, Any]) -> Record:
    """Return the document as a record, without what only the database needs."""
    names = {field.alias or name for name, field in model.model_fields.items()}
    return model.model_validate({name: value for name, value in document.items() if name in names})


def _stored(model: type[Record], document: Mapping[str, Any]) -> Stored[Record]:
    return Stored(_record(model, document), str(document["_etag"]))


class JobsContainer(_Container):
    """Container `jobs`: the live jobs."""

    name = "jobs"

    async def read(self, job_id: str) -> Stored[Job] | None:
        """Return the job with its ETag, or None."""
        document = await self._read(job_id, job_id)
        return _stored(Job, document) if document else None

    async def create(self, job: Job) -> Stored[Job]:
        """Write a new job; AlreadyExistsError if its id is taken."""
        return _stored(Job, await self._create(job.to_wire()))

    async def replace(self, job: Job, etag: str) -> Stored[Job]:
        """Write the job if its ETag is still `etag`; else ChangedMeanwhileError."""
        body = job.to_wire()
        if job.delete_after:
            body["ttl"] = max(1, int((job.delete_after - datetime.now(UTC) + TTL_MARGIN).total_seconds()))
        return _stored(Job, await self._replace(body, etag))

    async def delete(self, job_id: str, etag: str) -> None:
        """Delete the job if its ETag is still `etag`; a missing one is no error."""
        await self._delete(job_id, job_id, etag)


class JobHistoryContainer(_Container):
    """Container `job-history`: what became of deleted jobs, for 30 days."""

    name = "job-history"

    async def put(self, outcome: JobOutcome) -> None:
        """Write or overwrite the outcome."""
        await self._upsert(outcome.to_wire())

    async def get(self, job_id: str) -> JobOutcome | None:
        """Return the outcome, or None."""
        document = await self._read(job_id, job_id)
        return _record(JobOutcome, document) if document else None


@dataclass(frozen=True)
class StemDocument:
    """A stem as the library stores it: its structures lie in a blob."""

    stem: Stem
    structures_blob: str | None


class LibraryContainer(_Container):
    """Container `library`: an audio file and its stems share a partition."""

    name = "library"

    async def read_audio(self, audio_file_id: str) -> Stored[AudioFile] | None:
        """Return the audio file with its ETag, or None."""
        document = await self._read(audio_file_id, audio_file_id)
        return _stored(AudioFile, document) if document else None

    async def create_audio(self, audio: AudioFile) -> Stored[AudioFile]:
        """Write a new audio file; AlreadyExistsError if its id is taken."""
        return _stored(AudioFile, await self._create(self._audio_document(audio)))

    async def replace_audio(self, audio: AudioFile, etag: str) -> Stored[AudioFile]:
        """Write the audio file if its ETag is still `etag`; else ChangedMeanwhileError."""
        return _stored(AudioFile, await self._replace(self._audio_document(audio), etag))

    async def read_stem(self, audio_file_id: str, stem_id: str) -> StemDocument | None:
        """Return the stem, or None."""
        document = await self._read(stem_id, audio_file_id)
        return self._stem(document) if document else None

    async def upsert_stem(self, stored: StemDocument) -> None:
        """Write or overwrite the stem."""
        body = {**stored.stem.to_wire(), "kind": "stem", "structuresBlob": stored.structures_blob}
        await self._upsert(body)

    async def stems(self, audio_file_id: str, analysis_version: int) -> list[StemDocument]:
        """Return the stems of one analysis of the file."""
        container = await self._database.container(self.name)
        found = container.query_items(
            "SELECT * FROM c WHERE c.kind = 'stem' AND c.analysisVersion = @version",
            parameters=[{"name": "@version", "value": analysis_version}],
            partition_key=audio_file_id,
        )
        return [self._stem(document) async for document in found]

    @staticmethod
    def _audio_document(audio: AudioFile) -> Document:
        return {**audio.to_wire(), "kind": "audio", "audioFileId": audio.id}

    @staticmethod
    def _stem(document: Document) -> StemDocument:
        return StemDocument(_record(Stem, document), document["structuresBlob"])


class SearchIndexContainer(_Container):
    """Container `search-index`: small projections, one partition a list.

    `j:{day}` holds the jobs created on a day, `i:{stemId}` says where a stem is.
    """

    name = "search-index"

    async def put_job(self, job: Job) -> None:
        """Write what lists show of the job."""
        summary = JobSummary(
            id=job.id,
            type=job.type,
            audio_file_id=job.audio_file_id,
            status=job.status,
            attempt=job.attempt,
            error_message=job.error_message and job.error_message[:200],
            created_at=job.created_at,
            completed_at=job.completed_at,
        )
        await self._upsert({**summary.to_wire(), "pk": self._day("j", job.created_at)})

    async def remove_job(self, job: Job) -> None:
        """Take the job off the lists; a missing one is no error."""
        await self._delete(job.id, self._day("j", job.created_at))

    async def put_stem(self, stem: Stem) -> None:
        """Note where the stem is."""
        await self._upsert({"id": stem.id, "pk": f"i:{stem.id}", "audioFileId": stem.audio_file_id})

    async def find_stem(self, stem_id: str) -> str | None:
        """Return the id of the audio file that the stem belongs to, or None."""
        document = await self._read(stem_id, f"i:{stem_id}")
        return str(document["audioFileId"]) if document else None

    async def jobs_of_day(
        self, day: datetime, filters: Mapping[str, str], limit: int, continuation: str | None
    ) -> JobSummaryPage:
        """Return a page of the jobs created on a day, newest first, equal to `filters` (wire name: value)."""
        conditions = " AND ".join(f"c.{name} = @{name}" for name in filters)
        container = await self._database.container(self.name)
        pages = container.query_items(
            f"SELECT * FROM c{' WHERE ' + conditions if conditions else ''} ORDER BY c.createdAt DESC",  # noqa: S608
            parameters=[{"name": f"@{name}", "value": value} for name, value in filters.items()],
            partition_key=self._day("j", day),
            max_item_count=limit,
        ).by_page(continuation)
        async for page in pages:
            summaries = [_record(JobSummary, document) async for document in page]
            return JobSummaryPage(summaries, pages.continuation_token)  # type: ignore[attr-defined]
        return JobSummaryPage([], None)  # the SDK has no page at all where nothing is found

    @staticmethod
    def _day(prefix: str, moment: datetime) -> str:
        return f"{prefix}:{moment.astimezone(UTC):%Y-%m-%d}"
