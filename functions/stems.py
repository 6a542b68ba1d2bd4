"""Routes of single stems."""

import azure.functions as func

from functions.http import ApiBlueprint, json_response
from functions.roles import Role
from functions.services import Services


def blueprint(services: Services) -> ApiBlueprint:
    """Return the routes of stems."""
    api = ApiBlueprint(services.settings)

    @api.api("GET", "api/stems/{id}", role=Role.READ)
    async def get_stem(req: func.HttpRequest) -> func.HttpResponse:
        return json_response((await services.library.get_stem(req.route_params["id"])).to_wire())

    @api.api("GET", "api/stems/{id}/download", role=Role.READ)
    async def download_stem(req: func.HttpRequest) -> func.HttpResponse:
        url = await services.library.stem_download_url(req.route_params["id"])
        return func.HttpResponse(status_code=302, headers={"Location": url, "Cache-Control": "no-store"})

    return api
