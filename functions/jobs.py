"""Routes of jobs, as users see them."""

from datetime import timedelta

import azure.durable_functions as df

from functions.answers import Answer
from functions.http import Api
from functions.job_cleanup import schedule_deletion
from functions.requests import Id
from functions.roles import Role
from functions.services import Services
from functions.sweeps import run_sweep
from functions.views import CleanupQuery, Purged
from shared.errors import ConflictError
from shared.job_statistics import JobStats
from shared.models import JobSummary, JobView, Stored
from shared.queries import JobQuery, Page
from shared.sweeps import SweepReport

POLL_SECONDS = 2


def add_routes(api: Api, services: Services) -> None:
    """Add the routes of jobs."""

    @api.get("api/jobs", role=Role.READ)
    async def list_jobs(query: JobQuery) -> Page[JobSummary]:
        """List jobs, newest first, as they were at their last change of state."""
        return await services.search.jobs(query)

    @api.get("api/jobs/stats", role=Role.READ)
    async def get_job_stats() -> JobStats:
        """Sum up what jobs did, day by day; this is kept after they are gone."""
        return await services.job_statistics.sum_up(services.clock().date())

    @api.get("api/jobs/{id:guid}", role=Role.READ, headers={"Retry-After": "Seconds, while the job goes on"})
    async def get_job(job_id: Id) -> Answer[Stored[JobView]]:
        """Read a job with its step and progress.

        A completed job is deleted after 30 s, a failed or cancelled one after 7 days; then the 404 says what
        became of it.
        """
        stored = await services.workflow.get_settled(job_id)
        ended = stored.record.is_terminal
        return Answer(stored, headers={} if ended else {"Retry-After": str(POLL_SECONDS)})

    @api.delete("api/jobs/{id:guid}", role=Role.WRITE)
    async def delete_job(job_id: Id, if_match: str | None) -> None:
        """Delete a job at once; one that is at work is cancelled first."""
        await services.workflow.delete_job(job_id, if_match)

    @api.post("api/jobs/{id:guid}/cancel", role=Role.WRITE, problems=[ConflictError])
    async def cancel_job(job_id: Id, client: df.DurableOrchestrationClient) -> JobView:
        """Stop a job for good."""
        job = await services.workflow.cancel(job_id)
        await schedule_deletion(client, job)
        return job

    @api.post("api/jobs/{id:guid}/retry", role=Role.WRITE, problems=[ConflictError])
    async def retry_job(job_id: Id) -> JobView:
        """Begin a failed or cancelled job again."""
        return await services.workflow.retry(job_id)

    @api.post("api/jobs/cleanup", role=Role.WRITE)
    async def clean_up_jobs(query: CleanupQuery) -> Purged:
        """Delete failed and cancelled jobs that ended long ago, 500 a call, without waiting for the purge."""
        days = services.settings.failed_job_retention_days if query.days_old is None else query.days_old
        return Purged(purged=await services.sweeps.purge(timedelta(days=days)))

    @api.post("api/jobs/sweep", role=Role.WRITE)
    async def sweep_jobs_now(client: df.DurableOrchestrationClient) -> SweepReport:
        """Repair what crashes and lost messages left, without waiting for the next sweep."""
        return await run_sweep(services, client)
