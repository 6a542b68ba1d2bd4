"""HTTP triggers: requests in, `azure.functions` types between, responses out."""

import re
import urllib.parse
from typing import Any

from aiohttp import web
from azure.functions import HttpRequest, HttpResponse
from multidict import CIMultiDict

from local.functions.app import App, Function, InvocationError, logger, unsupported

ENCODED = re.compile("(?:%(?!2F)[0-9A-F]{2})+", re.IGNORECASE)


def add_http_triggers(server: web.Application, app: App, host_json: Any) -> None:
    """Serve the app's HTTP triggers under every path that the host does not keep for itself."""
    prefix = host_json.get("extensions", {}).get("http", {}).get("routePrefix", "api")
    routes = [route_of(function, prefix) for function in app.functions_of("httpTrigger")]
    routes.sort(key=lambda route: route[0])

    async def handle(request: web.Request) -> web.Response:
        raw_path, _, query = request.raw_path.partition("?")
        # An encoded slash stays encoded, and so in its segment, as in the real host.
        path = ENCODED.sub(lambda encoded: urllib.parse.unquote(encoded[0]), raw_path)
        for _, pattern, methods, function in routes:
            match = pattern.fullmatch(path)
            if match and (request.method in methods or not methods):
                value = HttpRequest(
                    method=request.method,
                    url=f"{request.scheme}://{request.host}{request.raw_path}",
                    headers={name: ",".join(request.headers.getall(name)) for name in request.headers},
                    params={name: ",".join(values) for name, values in urllib.parse.parse_qs(query).items()},
                    route_params=match.groupdict(),
                    body=await request.read(),
                )
                return await app.tasks.create_task(_answer(app, function, value))
        # A method that a path does not have is no 405 in Azure (azure-functions-host issue 10098).
        return web.Response(status=404)

    server.router.add_route("*", "/{path:(?s:.*)}", handle)


def route_of(function: Function, prefix: str) -> tuple[list[bool], re.Pattern[str], list[str], Function]:
    """Return a rank, by which literals come before parameters, the path's pattern, and the methods."""
    if (level := function.trigger["authLevel"].value) != "anonymous":
        raise unsupported(f"authLevel {level}", function.name)
    rank, pattern = [], ""
    for segment in filter(None, f"{prefix}/{function.trigger.get('route') or function.name}".split("/")):
        parameter = re.fullmatch(r"\{([A-Za-z_]\w*)\}", segment)
        if "{" in segment and not parameter:
            raise unsupported(f"route segment {segment}", function.name)
        rank.append(parameter is not None)
        pattern += f"/(?P<{parameter[1]}>[^/]+)" if parameter else "/" + re.escape(segment)
    methods = [method.value for method in function.trigger.get("methods", ())]
    return rank, re.compile(pattern + "/?", re.IGNORECASE), methods, function


async def _answer(app: App, function: Function, request: HttpRequest) -> web.Response:
    try:
        result = await app.invoke(function, request)
    except InvocationError:
        return web.Response(status=500)
    if not isinstance(result, HttpResponse):
        logger.error("%s", unsupported(f"an answer of type {type(result).__name__}", function.name))
        return web.Response(status=500)
    headers = CIMultiDict(result.headers.items())
    charset = f"; charset={result.charset}" if result.mimetype.startswith("text/") else ""
    headers.setdefault("Content-Type", result.mimetype + charset)
    return web.Response(status=result.status_code, headers=headers, body=result.get_body())
