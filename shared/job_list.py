"""The list of jobs, newest first: a walk backwards over the partitions of days."""

from collections.abc import Mapping
from datetime import date, timedelta

from shared.job_ports import JobIndex
from shared.models import JobSummary
from shared.paging import DayCursor, start_of

DAYS_LISTED = 31
"""Lists go back this far; ended jobs are deleted much earlier."""


async def newest_jobs(
    index: JobIndex, *, today: date, filters: Mapping[str, str], limit: int, cursor: DayCursor | None
) -> tuple[list[JobSummary], DayCursor | None]:
    """Return a page of jobs, and the cursor of the next page if there is one.

    Past a full page it looks one job ahead, so that the last page is known to be the last.
    """
    cursor = cursor or DayCursor(today)
    found: list[JobSummary] = []
    while cursor.day > today - timedelta(days=DAYS_LISTED):
        page = await index.jobs_of_day(
            start_of(cursor.day), filters, max(1, limit - len(found)), cursor.continuation
        )
        if len(found) == limit and page.summaries:
            return found, cursor
        found += page.summaries
        if page.continuation:
            cursor = DayCursor(cursor.day, page.continuation)
        else:
            cursor = DayCursor(cursor.day - timedelta(days=1))
    return found, None
