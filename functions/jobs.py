"""Routes of jobs, as users see them."""

from urllib.parse import urlencode

import azure.functions as func

from functions.http import ApiBlueprint, json_response, read_number, record_response
from functions.roles import Role
from functions.services import Services
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

    @api.api("GET", "api/jobs/{id}", role=Role.READ)
    async def get_job(req: func.HttpRequest) -> func.HttpResponse:
        stored = await services.jobs.get(req.route_params["id"])
        ended = stored.record.is_terminal
        return record_response(
            req, stored.record, etag=stored.etag, headers={} if ended else {"Retry-After": str(POLL_SECONDS)}
        )

    return api
