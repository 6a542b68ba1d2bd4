"""HTTP triggers: requests in, `azure.functions` types between, responses out."""

import os
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from azure.functions.meta import Datum
from multidict import CIMultiDict

from local.functions.app import App, InvocationError, decode, encode, logger
from local.functions.http_callers import Callers
from local.functions.routes import route_of

ENCODED = re.compile("(?:%(?!2F)[0-9A-F]{2})+", re.IGNORECASE)


def body_limit() -> int:
    """Return the largest request body in bytes, 100 MB unless the real host's setting says otherwise."""
    return int(os.environ.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", 100 * 1024**2))


def add_http_triggers(server: web.Application, app: App, host_json: Any, callers: Callers) -> None:
    """Serve the app's HTTP triggers under every path that the host does not keep for itself."""
    prefix = host_json.get("extensions", {}).get("http", {}).get("routePrefix", "api")
    routes = [route_of(function, prefix) for function in app.functions_of("httpTrigger")]
    routes.sort(key=lambda route: route.rank)

    async def handle(request: web.Request) -> web.Response:
        raw_path, _, query = request.raw_path.partition("?")
        # An encoded slash stays encoded, and so in its segment, as in the real host.
        path = ENCODED.sub(lambda encoded: urllib.parse.unquote(encoded[0]), raw_path)
        fitting = ((route.function, route.match(request.method, path)) for route in routes)
        function, parameters = next((found for found in fitting if found[1] is not None), (None, None))
        if function is None or parameters is None:
            # A method that a path does not have is no 405 in Azure (azure-functions-host issue 10098).
            return web.Response(status=404)
        if not callers.may_call(request, function):
            return web.Response(status=401)
        value = {
            "method": Datum(request.method, "string"),
            "url": Datum(f"{request.scheme}://{request.host}{request.raw_path}", "string"),
            "headers": _data(callers.headers_of(request)),
            # As in the real host: no empty values, and those of one name joined.
            "query": _data({name: ",".join(found) for name, found in urllib.parse.parse_qs(query).items()}),
            "params": _data(parameters),
            "body": Datum(await request.read(), "bytes"),
        }
        call = app.invoke(function, decode("httpTrigger", value, "http"))
        return await app.tasks.create_task(_answer(function.name, call))

    server.router.add_route("*", "/{path:(?s:.*)}", handle)


def _data(values: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}


async def _answer(function: str, call: Any) -> web.Response:
    try:
        result = await call
        datum = Datum(None, None) if result is None else encode("http", result)
    except InvocationError:
        return web.Response(status=500)
    except NotImplementedError:
        logger.error("%s answers with a %s", function, type(result).__name__)
        return web.Response(status=500)
    if datum.type != "http":
        return web.Response(status=204) if result is None else web.Response(text=datum.value)
    headers = CIMultiDict((name, value.value) for name, value in datum.value["headers"].items())
    for cookie in datum.value["cookies"] or ():
        headers.extend(("Set-Cookie", morsel.OutputString()) for morsel in cookie.values())
    status = int(datum.value["status_code"].value)
    return web.Response(status=status, headers=headers, body=datum.value["body"].value)
