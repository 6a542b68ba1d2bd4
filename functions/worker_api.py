"""Routes that only the GPU worker may call: it holds no database credential and writes through here."""

import azure.durable_functions as df

from functions.answers import Answer
from functions.http import Api
from functions.job_cleanup import schedule_deletion
from functions.requests import Id
from functions.roles import Role
from functions.services import Services
from functions.views import Lease
from shared.errors import ConflictError, NotFoundError
from shared.job_states import SupersededError
from shared.models import Job, Stem
from shared.worker_contract import ClaimRequest, Completion, Failure, Heartbeat, StemWrite


def add_routes(api: Api, services: Services) -> None:
    """Add the worker's routes."""

    @api.post("api/jobs/{id:guid}/claim", role=Role.WORKER, problems=[ConflictError])
    async def claim_job(job_id: Id, body: ClaimRequest, client: df.DurableOrchestrationClient) -> Job:
        """Take a job; the answer's `attempt` goes with every later call."""
        try:
            return await services.workflow.claim(job_id, body)
        except SupersededError:
            # It may have ended just now, or in a call that died before it came to this.
            await schedule_deletion(client, (await services.workflow.get_settled(job_id)).record)
            raise

    @api.post("api/jobs/{id:guid}/heartbeat", role=Role.WORKER, problems=[ConflictError])
    async def beat_job(job_id: Id, body: Heartbeat) -> Lease:
        """Renew the lease of a job, with its progress and what it has finished."""
        job = await services.jobs.heartbeat(job_id, body)
        return Lease(status=job.status, attempt=job.attempt, progress=job.progress)

    @api.post(
        "api/stems",
        role=Role.WORKER,
        statuses={201: "Created", 200: "Updated"},
        problems=[NotFoundError, ConflictError],
    )
    async def save_stem(body: StemWrite) -> Answer[Stem]:
        """Create or update a stem: one of a song, type and version of the analysis is one stem."""
        stem, is_new = await services.workflow.save_stem(body)
        return Answer(stem, status=201 if is_new else 200, headers={"Location": f"/api/stems/{stem.id}"})

    @api.post("api/jobs/{id:guid}/complete", role=Role.WORKER, problems=[ConflictError])
    async def complete_job(job_id: Id, body: Completion, client: df.DurableOrchestrationClient) -> Job:
        """End a job with the result of its song."""
        job = await services.workflow.complete(job_id, body)
        await schedule_deletion(client, job)
        return job

    @api.post("api/jobs/{id:guid}/fail", role=Role.WORKER, problems=[ConflictError])
    async def fail_job(job_id: Id, body: Failure, client: df.DurableOrchestrationClient) -> Job:
        """End an attempt that failed, or give it back."""
        job = await services.workflow.fail(job_id, body)
        await schedule_deletion(client, job)
        return job
