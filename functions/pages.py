"""Health, and the web page."""

import asyncio
from collections.abc import Awaitable

import azure.functions as func

from functions.http import ApiBlueprint, json_response
from functions.services import Services

PING_SECONDS = 5.0


async def _state(ping: Awaitable[None]) -> str:
    try:
        await asyncio.wait_for(ping, PING_SECONDS)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with a dependency is the answer here
        return f"unhealthy: {type(error).__name__}"
    return "healthy"


def blueprint(services: Services) -> ApiBlueprint:
    """Return the routes that anyone may call."""
    api = ApiBlueprint(services.settings)

    @api.api("GET", "api/health", role=None)
    async def health(req: func.HttpRequest) -> func.HttpResponse:
        states = await asyncio.gather(
            _state(services.blobs.ping()), _state(services.queue.ping()), _state(services.database.ping())
        )
        dependencies = dict(zip(("storage", "serviceBus", "cosmos"), states, strict=True))
        healthy = all(state == "healthy" for state in states)
        body = {"status": "healthy" if healthy else "unhealthy", "dependencies": dependencies}
        return json_response(body, status=200 if healthy else 503)

    return api
