"""Container `search-index`: projections, so that every page of a list comes from one partition in order.

| partition | holds | ordered by |
|---|---|---|
| `j:live` | the jobs that there are: few, since they are deleted soon after they end | createdAt |
| `a:{month}` | audio files that first came in a month | createdAt |
| `s:{month}` | stems created in a month | createdAt |
| `k:{key}` | stems in a key, `k:unknown` for those without | bpm |
| `b:{tempo}` | stems of a tempo, in steps of 5 bpm | bpm |
| `f:{audioFileId}` | the stems of a song | bpm |
| `i:{stemId}` | where a stem is, when only its id is known | |
| `p:{list}` | the directory of a list's partitions that ever held anything | start |
"""

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus

from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.errors import AlreadyExistsError
from shared.models import Job, JobSummary
from shared.paging import Document, DocumentPage, Selection, Series, unusable_token
from shared.storage.cosmos import Container, CosmosDatabase

JOBS = "j:live"
SONGS, STEMS, TEMPOS = "a", "s", "b"
"""Series of partitions, which a directory lists."""
DIRECTORY = "p"
BPM_STEP = 5


def month_partition(list_name: str, moment: datetime) -> str:
    """Return the partition of a list that a moment falls into."""
    return f"{list_name}:{moment.astimezone(UTC):%Y-%m}"


def key_partition(key: str | None) -> str:
    """Return the partition of the stems in a key (canonical name)."""
    return f"k:{key or 'unknown'}"


def tempo_partition(bpm: float) -> str:
    """Return the partition of the stems of a tempo."""
    return f"{TEMPOS}:{tempo_start(bpm)}"


def song_partition(audio_file_id: str) -> str:
    """Return the partition of the stems of a song."""
    return f"f:{audio_file_id}"


def tempo_start(bpm: float) -> str:
    """Return where the partition of a tempo starts; texts, so that all series are in one order."""
    return f"{int(bpm // BPM_STEP * BPM_STEP):04d}"


def stem_partition(stem_id: str) -> str:
    """Return the partition that says where a stem is."""
    return f"i:{stem_id}"


def listing_of(partition: str) -> Document | None:
    """Return what a directory says of a partition; None if it is of no series."""
    list_name, _, start = partition.partition(":")
    if list_name not in (SONGS, STEMS, TEMPOS):
        return None
    return {"id": partition, "pk": f"{DIRECTORY}:{list_name}", "start": start}


class SearchIndexContainer(Container):
    """Projections of jobs, audio files and stems."""

    name = "search-index"

    def __init__(self, database: CosmosDatabase) -> None:
        super().__init__(database)
        self._listed: set[str] = set()
        """Partitions that this process has seen in their directory."""

    async def put(self, partition: str, projection: Document) -> None:
        """Write a projection; its partition is listed before it holds anything."""
        if partition not in self._listed and (listing := listing_of(partition)):
            with contextlib.suppress(AlreadyExistsError):
                await self._create(listing)
            self._listed.add(partition)
        await self._upsert({**projection, "pk": partition})

    async def remove(self, item_id: str, partitions: Iterable[str]) -> None:
        """Remove an item's projections; missing ones are no error."""
        for partition in partitions:
            await self._delete(item_id, partition)

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
        await self.put(JOBS, summary.to_wire())

    async def remove_job(self, job: Job) -> None:
        """Take the job off the lists; a missing one is no error."""
        await self._delete(job.id, JOBS)

    async def find_stem(self, stem_id: str) -> str | None:
        """Return the id of the audio file that the stem belongs to, or None."""
        document = await self._read(stem_id, stem_partition(stem_id))
        return str(document["audioFileId"]) if document else None

    async def page(
        self, partition: str, selection: Selection, limit: int, continuation: str | None
    ) -> DocumentPage:
        """Return a page of one partition.

        Raises
        ------
        InvalidInputError
            If the database does not know the continuation.
        """
        where = f" WHERE {' AND '.join(selection.conditions)}" if selection.conditions else ""
        order = f"c.{selection.order} {'DESC' if selection.descending else 'ASC'}"
        query = f"SELECT * FROM c{where} ORDER BY {order}"  # noqa: S608 (texts of shared/search.py)
        try:
            return DocumentPage(
                *await self._page(query, continuation, limit, partition=partition, **selection.parameters)
            )
        except CosmosHttpResponseError as error:
            if continuation is not None and error.status_code == HTTPStatus.BAD_REQUEST:
                raise unusable_token() from None
            raise

    async def get(self, item_id: str, partition: str) -> Document | None:
        """Return a projection as it was put, or None."""
        document = await self._read(item_id, partition)
        return document and {
            name: value for name, value in document.items() if name != "pk" and name[0] != "_"
        }

    async def scan(
        self, continuation: str | None, limit: int
    ) -> tuple[list[tuple[str, str, str]], str | None]:
        """Return id, partition and song of some projections of songs and stems, and where to go on."""
        documents, after = await self._page("SELECT c.id, c.pk, c.audioFileId FROM c", continuation, limit)
        found = [
            (str(document["id"]), str(document["pk"]), str(document.get("audioFileId", document["id"])))
            for document in documents
            if document["pk"] != JOBS and not document["pk"].startswith(f"{DIRECTORY}:")
        ]
        return found, after

    async def starts(self, series: Series, after: str | None, limit: int) -> list[str]:
        """Return the next starts of a series' partitions, those between its ranges too."""
        low, high = series.ranges[0][0], series.ranges[-1][1]
        conditions = ["c.start >= @low", "c.start <= @high"]
        if after is not None:
            conditions.append("c.start < @after" if series.descending else "c.start > @after")
        query = (
            f"SELECT c.start FROM c WHERE {' AND '.join(conditions)} "  # noqa: S608 (the conditions above)
            f"ORDER BY c.start {'DESC' if series.descending else 'ASC'}"
        )
        bounds = {"low": low, "high": high} | ({} if after is None else {"after": after})
        found = await self._query(query, partition=f"{DIRECTORY}:{series.name}", limit=limit, **bounds)
        return [str(document["start"]) for document in found]
