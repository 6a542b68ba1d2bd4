"""Container `search-index`: small projections, one partition a list."""

from collections.abc import Mapping
from datetime import UTC, datetime

from shared.models import Job, JobSummary, JobSummaryPage, Stem
from shared.storage.cosmos import Container, record_of


class SearchIndexContainer(Container):
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
            summaries = [record_of(JobSummary, document) async for document in page]
            return JobSummaryPage(summaries, pages.continuation_token)  # type: ignore[attr-defined]
        return JobSummaryPage([], None)  # the SDK has no page at all where nothing is found

    @staticmethod
    def _day(prefix: str, moment: datetime) -> str:
        return f"{prefix}:{moment.astimezone(UTC):%Y-%m-%d}"

    async def remove_stem(self, stem_id: str) -> None:
        """Forget where a stem was; a missing one is no error."""
        await self._delete(stem_id, f"i:{stem_id}")
