"""HTTP triggers: requests in, `azure.functions` types between, responses out.

Keys: a function of the level `function` or `admin` wants one in `x-functions-key` or `?code=`, as in Azure
and with `func start --enableAuth`. They lie in `keys.json` in the host's data folder.

Users: `DevelopmentUsers`, beside `Values` in the app's local.settings.json (without that file:
local.settings.sample.json), names them: {"editor": {"roles": ["Read", "Write"]}}. With the header
`Authorization: Bearer editor` a caller is that user, in the X-MS-CLIENT-PRINCIPAL headers that the app reads;
what a caller sends of these is dropped. With users the host sets WEBSITE_AUTH_ENABLED, as App Service does.
"""

import base64
import hmac
import json
import os
import re
import secrets
import urllib.parse
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from azure.functions.meta import Datum
from multidict import CIMultiDict

from local.functions.app import App, Function, InvocationError, decode, read_json
from local.functions.routes import route_of

BODY_LIMIT = 100 * 1024**2  # bytes, as in the real host
PRINCIPAL = "X-MS-CLIENT-PRINCIPAL"
ENCODED = re.compile("(?:%(?!2F)[0-9A-F]{2})+", re.IGNORECASE)


class Callers:
    """Who may call, and as whom. Made before the app is loaded, which reads WEBSITE_AUTH_ENABLED."""

    def __init__(self, directory: Path, data: Path) -> None:
        settings = read_json(directory / "local.settings.json") or read_json(
            directory / "local.settings.sample.json"
        )
        self._users: Any = settings.get("DevelopmentUsers", {})
        if self._users:
            os.environ.setdefault("WEBSITE_AUTH_ENABLED", "True")
        file = data / "keys.json"
        self._keys = read_json(file) or {level: secrets.token_hex(32) for level in ("function", "admin")}
        file.write_text(json.dumps(self._keys))

    def may_call(self, request: web.Request, function: Function) -> bool:
        """Return whether the function is open to anyone, or the request carries a key that it takes."""
        level = function.trigger["authLevel"].value
        given = (request.headers.get("x-functions-key") or request.query.get("code", "")).encode()
        keys = [self._keys[name].encode() for name in {level, "admin"} & self._keys.keys()]
        return level == "anonymous" or any(hmac.compare_digest(given, key) for key in keys)

    def headers_of(self, request: web.Request) -> dict[str, str]:
        """Return a request's headers as App Service Authentication hands them on."""
        names = [name for name in request.headers if not name.upper().startswith(PRINCIPAL)]
        headers = {name: ",".join(request.headers.getall(name)) for name in names}
        scheme, _, user = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and user in self._users:
            claims = [{"typ": "roles", "val": role} for role in self._users[user].get("roles", ())]
            claims.append({"typ": "name", "val": user})
            principal = {"auth_typ": "aad", "name_typ": "name", "role_typ": "roles", "claims": claims}
            headers[PRINCIPAL] = base64.b64encode(json.dumps(principal).encode()).decode()
            headers |= {f"{PRINCIPAL}-ID": user, f"{PRINCIPAL}-NAME": user, f"{PRINCIPAL}-IDP": "aad"}
        return headers


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
        call = app.invoke(function, decode("httpTrigger", value, "http"), "http")
        return await app.tasks.create_task(_answer(call))

    server.router.add_route("*", "/{path:(?s:.*)}", handle)


def _data(values: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}


async def _answer(call: Awaitable[Datum]) -> web.Response:
    try:
        datum = await call
    except InvocationError:
        return web.Response(status=500)
    if datum.type == "string":
        return web.Response(text=datum.value)
    headers = CIMultiDict((name, value.value) for name, value in datum.value["headers"].items())
    for cookie in datum.value["cookies"] or ():
        headers.extend(("Set-Cookie", morsel.OutputString()) for morsel in cookie.values())
    status = int(datum.value["status_code"].value)
    return web.Response(status=status, headers=headers, body=datum.value["body"].value)
