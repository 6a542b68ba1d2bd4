"""HTTP triggers: routes as in ASP.NET Core, `azure.functions` types between request and response.

Beside `Values` in the app's local.settings.json (without that: local.settings.sample.json) stand
`FunctionKeys`: {"function": KEY, "admin": KEY}, wanted in `x-functions-key` or `?code=` as with `func start
--enableAuth`, and `DevelopmentUsers`: {"editor": {"roles": ["Read"]}} for App Service Authentication: by
`Authorization: Bearer editor` a caller is that user in the X-MS-CLIENT-PRINCIPAL headers that the app reads;
what a caller sends of these is dropped. Where there are users the host sets WEBSITE_AUTH_ENABLED.
"""

import base64
import hmac
import json
import os
import re
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from azure.functions.meta import Datum
from multidict import CIMultiDict

from local.functions.app import App, Function, InvocationError, decode, read_json, unsupported

BODY_LIMIT = 100 * 1024**2  # bytes, as in the real host
PRINCIPAL = "X-MS-CLIENT-PRINCIPAL"
ENCODED = re.compile("(?:%(?!2F)[0-9A-F]{2})+", re.IGNORECASE)
PARAMETER = re.compile(r"\{(?P<all>\*{0,2})(?P<name>[A-Za-z_]\w*)(?P<rules>(:[^:{}?=]+)*)(?P<optional>\??)\}")
CONSTRAINTS: dict[str, Callable[[str], object]] = {
    "int": lambda text: re.fullmatch("[-+]?[0-9]{1,10}", text) and -(2**31) <= int(text) < 2**31,
    "guid": re.compile("(?i:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})").fullmatch,
    "alpha": re.compile("[A-Za-z]*").fullmatch,
}


class Callers:
    """Who may call, and as whom. Made before the app is loaded, which reads WEBSITE_AUTH_ENABLED."""

    def __init__(self, directory: Path) -> None:
        sample = read_json(directory / "local.settings.sample.json")
        settings = read_json(directory / "local.settings.json") or sample
        self._users, self._keys = settings.get("DevelopmentUsers", {}), settings.get("FunctionKeys", {})
        if self._users:
            os.environ.setdefault("WEBSITE_AUTH_ENABLED", "True")

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


class Route:
    """A function's path: literals, `{x}`, `{x:rule}`, and at the end `{x?}` or `{*x}`.

    Of two that fit, the one of the lower `rank` is the more specific.
    """

    def __init__(self, function: Function, prefix: str) -> None:
        self.function, self.rank = function, list[int]()
        self._checks, pattern = list[tuple[str, Callable[[str], object]]](), ""
        for segment in filter(None, f"{prefix}/{function.trigger.get('route') or function.name}".split("/")):
            found = PARAMETER.fullmatch(segment)
            rules = found["rules"].split(":")[1:] if found else []
            if pattern.endswith("?") or (not found and "{" in segment) or set(rules) - CONSTRAINTS.keys():
                raise unsupported(f"route segment {segment}", function.name)
            if not found:
                pattern += "/" + re.escape(segment)
                self.rank.append(0)
                continue
            self._checks += [(found["name"], CONSTRAINTS[rule]) for rule in rules]
            value = ".*" if found["all"] else "[^/]+"
            pattern += f"(?:/(?P<{found['name']}>{value}))" + "?" * bool(found["all"] or found["optional"])
            self.rank.append((5 if found["all"] else 3) - bool(found["rules"]))
        self._pattern = re.compile(pattern + "/?", re.IGNORECASE | re.DOTALL)

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the route parameters of a request that this route serves."""
        methods = [allowed.value for allowed in self.function.trigger.get("methods", ())] or [method]
        found = self._pattern.fullmatch(path) if method in methods else None
        if found is None:
            return None
        values = {name: value for name, value in found.groupdict().items() if value}
        fits = all(check(values[name]) for name, check in self._checks if name in values)
        return values if fits else None


def add_http_triggers(server: web.Application, app: App, host_json: Any, callers: Callers) -> None:
    """Serve the app's HTTP triggers under every path that the host does not keep for itself."""
    prefix = host_json.get("extensions", {}).get("http", {}).get("routePrefix", "api")
    routes = [Route(function, prefix) for function in app.functions_of("httpTrigger")]
    routes.sort(key=lambda route: route.rank)

    async def handle(request: web.Request) -> web.Response:
        raw_path, _, query = request.raw_path.partition("?")
        # An encoded slash stays encoded, and so in its segment, as in the real host.
        path = ENCODED.sub(lambda encoded: urllib.parse.unquote(encoded[0]), raw_path)
        matches = ((route.function, route.match(request.method, path)) for route in routes)
        fitting = [(function, parameters) for function, parameters in matches if parameters is not None]
        if not fitting:
            # A method that a path does not have is no 405 in Azure (azure-functions-host issue 10098).
            return web.Response(status=404)
        function, parameters = fitting[0]
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
