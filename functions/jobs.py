"""Routes of jobs, as users see them."""

from datetime import timedelta
from urllib.parse import urlencode

import azure.durable_functions as df
import azure.functions as func

from functions.http import ApiBlueprint, json_response, read_number, record_response
from functions.job_cleanup import schedule_deletion
from functions.roles import Role
from functions.services import Services
from functions.sweeps import run_sweep
from shared.errors import FieldFault, InvalidInputError
from shared.job_list import newest_jobs
from shared.models import JobStatus
from shared.paging import DEFAULT_LIMIT, MAX_LIMIT, DayCursor

POLL_SECONDS = 2


def blueprint(services: Services) -> ApiBlueprint:
    """Return the routes of jobs."""
    api = ApiBlueprint(services.settings)

    @api.api("GET", "api/jobs", role=Role.READ)
    async def list_jobs(req: func.HttpRequest) -> func.HttpResponse:
        filters = {name: req.params[name] for name in ("status", "type", "audioFileId") if name in req.params}
        if (status := filters.get("status")) and status not in list(JobStatus):
            fault = FieldFault(field="status", message=f"must be one of {', '.join(JobStatus)}")
            raise InvalidInputError("The status can't be taken.", faults=[fault])
        limit = read_number(req, "limit", default=DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
        token = req.params.get("pageToken")
        found, cursor = await newest_jobs(
            services.index,
            today=services.clock().date(),
            filters=filters,
            limit=limit,
            cursor=DayCursor.from_token(token, filters) if token else None,
        )
        page: dict[str, object] = {"value": [summary.to_wire() for summary in found]}
        if cursor:
            query = {**filters, "limit": limit, "pageToken": cursor.to_token(filters)}
            page["nextLink"] = f"/api/jobs?{urlencode(query)}"
        return json_response(page)

    @api.api("GET", "api/jobs/stats", role=Role.READ)
    async def get_job_stats(req: func.HttpRequest) -> func.HttpResponse:
        return json_response((await services.job_statistics.sum_up(services.clock().date())).to_wire())

    @api.api("GET", "api/jobs/{id:guid}", role=Role.READ)
    async def get_job(req: func.HttpRequest) -> func.HttpResponse:
        stored = await services.workflow.get_settled(req.route_params["id"])
        ended = stored.record.is_terminal
        return record_response(
            req, stored.record, etag=stored.etag, headers={} if ended else {"Retry-After": str(POLL_SECONDS)}
        )

    @api.api("DELETE", "api/jobs/{id:guid}", role=Role.WRITE)
    async def delete_job(req: func.HttpRequest) -> func.HttpResponse:
        await services.workflow.delete_job(req.route_params["id"])
        return func.HttpResponse(status_code=204)

    @api.api("POST", "api/jobs/{id:guid}/cancel", role=Role.WRITE, durable_client=True)
    async def cancel_job(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
        job = await services.workflow.cancel(req.route_params["id"])
        await schedule_deletion(client, job)
        return json_response(job.to_wire())

    @api.api("POST", "api/jobs/{id:guid}/retry", role=Role.WRITE)
    async def retry_job(req: func.HttpRequest) -> func.HttpResponse:
        return json_response((await services.workflow.retry(req.route_params["id"])).to_wire())

    @api.api("POST", "api/jobs/cleanup", role=Role.WRITE)
    async def clean_up_jobs(req: func.HttpRequest) -> func.HttpResponse:
        days = read_number(
            req, "daysOld", default=services.settings.failed_job_retention_days, low=0, high=3650
        )
        return json_response({"purged": await services.sweeps.purge(timedelta(days=days))})

    @api.api("POST", "api/jobs/sweep", role=Role.WRITE, durable_client=True)
    async def sweep_jobs_now(
        req: func.HttpRequest, client: df.DurableOrchestrationClient
    ) -> func.HttpResponse:
        return json_response((await run_sweep(services, client)).to_wire())

    return api
