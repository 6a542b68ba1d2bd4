"""Routes that only the GPU worker may call: it holds no database credential and writes through here."""

import azure.durable_functions as df
import azure.functions as func

from functions.http import ApiBlueprint, json_response, read_body
from functions.job_cleanup import schedule_deletion
from functions.roles import Role
from functions.services import Services
from shared.job_states import SupersededError
from shared.models import StemWrite
from shared.worker_contract import ClaimRequest, Completion, Failure, Heartbeat


def blueprint(services: Services) -> ApiBlueprint:
    """Return the worker's routes."""
    api = ApiBlueprint(services.settings)

    @api.api("POST", "api/jobs/{id}/claim", role=Role.WORKER, durable_client=True)
    async def claim_job(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
        job_id = req.route_params["id"]
        try:
            job = await services.workflow.claim(job_id, read_body(req, ClaimRequest))
        except SupersededError:
            # It may have ended just now, or in a call that died before it came to this.
            await schedule_deletion(client, (await services.workflow.get_settled(job_id)).record)
            raise
        return json_response(job.to_wire())

    @api.api("POST", "api/jobs/{id}/heartbeat", role=Role.WORKER)
    async def beat_job(req: func.HttpRequest) -> func.HttpResponse:
        job = await services.jobs.heartbeat(req.route_params["id"], read_body(req, Heartbeat))
        return json_response({"status": job.status, "attempt": job.attempt, "progress": job.progress})

    @api.api("POST", "api/stems", role=Role.WORKER)
    async def save_stem(req: func.HttpRequest) -> func.HttpResponse:
        stem, is_new = await services.workflow.save_stem(read_body(req, StemWrite))
        headers = {"Location": f"/api/stems/{stem.id}"}
        return json_response(stem.to_wire(), status=201 if is_new else 200, headers=headers)

    @api.api("POST", "api/jobs/{id}/complete", role=Role.WORKER, durable_client=True)
    async def complete_job(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
        job = await services.workflow.complete(req.route_params["id"], read_body(req, Completion))
        await schedule_deletion(client, job)
        return json_response(job.to_wire())

    @api.api("POST", "api/jobs/{id}/fail", role=Role.WORKER, durable_client=True)
    async def fail_job(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
        job = await services.workflow.fail(req.route_params["id"], read_body(req, Failure))
        await schedule_deletion(client, job)
        return json_response(job.to_wire())

    return api
