"""HTTP triggers: requests in, `azure.functions` types between, responses out."""

import os
import urllib.parse
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from azure.functions.http import HttpRequestConverter, HttpResponseConverter
from azure.functions.meta import Datum
from multidict import CIMultiDict

from local.functions.app import App, Function, InvocationError, unsupported
from local.functions.routes import find, route_of


def body_limit() -> int:
    """Return the largest request body in bytes, 100 MB unless the real host's setting says otherwise."""
    return int(os.environ.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", 104_857_600))


def add_http_triggers(server: web.Application, app: App, prefix: str) -> None:
    """Serve the app's HTTP triggers under every path that the host does not keep for itself."""
    routes = []
    for function in app.functions_of("httpTrigger"):
        level = function.trigger["authLevel"].value
        if level != "anonymous":
            raise unsupported(f"authLevel {level}", function.name)
        routes.append(route_of(function, prefix))

    async def answer(function: Function, value: Any) -> web.Response:
        try:
            return await app.invoke(function, value, _encode)
        except InvocationError:
            return web.Response(status=500)

    async def handle(request: web.Request) -> web.Response:
        if app.stopping.is_set():
            return web.Response(status=503)
        path, _, query = request.raw_path.partition("?")
        found = find(routes, request.method, path)
        if found is None:
            return web.Response(status=404)
        function, route_parameters = found
        value = _decode(request, query, route_parameters, await request.read())
        return await app.spawn(answer(function, value))

    server.router.add_route("*", "/{path:.*}", handle)


def _decode(request: web.Request, query: str, route_parameters: dict[str, str], body: bytes) -> Any:
    """Make the `HttpRequest`. As in the real host, an empty query value is left out, and the values of
    one name are joined.
    """
    headers = {name: ",".join(request.headers.getall(name)) for name in request.headers}
    parameters = {name: ",".join(values) for name, values in urllib.parse.parse_qs(query).items()}
    value = {
        "method": Datum(request.method, "string"),
        "url": Datum(f"{request.scheme}://{request.host}{request.raw_path}", "string"),
        "headers": _data(headers),
        "query": _data(parameters),
        "params": _data(route_parameters),
        "body": Datum(body, "bytes"),
    }
    return HttpRequestConverter.decode(Datum(value, "http"), trigger_metadata={})


def _data(values: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}


def _encode(result: Any) -> web.Response:
    """Answer with what a function returned: an `HttpResponse`, a text, or nothing (204)."""
    if result is None:
        return web.Response(status=204)
    datum = HttpResponseConverter.encode(result, expected_type=None)
    if datum.type == "string":
        return web.Response(text=datum.value)
    headers = CIMultiDict((name, value.value) for name, value in datum.value["headers"].items())
    for cookie in datum.value["cookies"] or ():
        headers.extend(("Set-Cookie", morsel.OutputString()) for morsel in cookie.values())
    status = int(datum.value["status_code"].value)
    return web.Response(status=status, headers=headers, body=datum.value["body"].value)
