"""Who calls: function keys, and development users in place of App Service Authentication.

Keys: a function of the level `function` or `admin` wants one in `x-functions-key` or `?code=`, as in Azure
and with `func start --enableAuth`. They lie in `keys.json` in the host's data folder, made at its start.

Users: `DevelopmentUsers`, beside `Values` in the app's local.settings.json (without that file:
local.settings.sample.json), names them: {"editor": {"roles": ["Read", "Write"]}}. With the header
`Authorization: Bearer editor` a caller is that user, in the X-MS-CLIENT-PRINCIPAL headers that the app reads;
what a caller sends of these is dropped. With users the host sets WEBSITE_AUTH_ENABLED, as App Service does.
"""

import base64
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import Any

from aiohttp import web

from local.functions.app import Function, read_json

PRINCIPAL = "X-MS-CLIENT-PRINCIPAL"
ROLE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"


class Callers:
    """Made before the app is loaded, which reads WEBSITE_AUTH_ENABLED."""

    def __init__(self, directory: Path, data: Path) -> None:
        names = ("local.settings.json", "local.settings.sample.json")
        settings: Any = next(
            (read_json(directory / name) for name in names if (directory / name).exists()), {}
        )
        self._users = settings.get("DevelopmentUsers", {})
        if self._users:
            os.environ.setdefault("WEBSITE_AUTH_ENABLED", "True")
        if not (file := data / "keys.json").exists():
            file.write_text(json.dumps({level: secrets.token_hex(32) for level in ("function", "admin")}))
        self._keys = read_json(file)

    def may_call(self, request: web.Request, function: Function) -> bool:
        """Return whether the function is open to anyone, or the request carries a key that it takes."""
        level = function.trigger["authLevel"].value
        given = request.headers.get("x-functions-key") or request.query.get("code", "")
        keys = (self._keys[name].encode() for name in {level, "admin"} & {*self._keys})
        return level == "anonymous" or any(hmac.compare_digest(given.encode(), key) for key in keys)

    def headers_of(self, request: web.Request) -> dict[str, str]:
        """Return a request's headers as App Service Authentication hands them on."""
        headers = {name: ",".join(request.headers.getall(name)) for name in request.headers}
        kept = {name: text for name, text in headers.items() if not name.upper().startswith(PRINCIPAL)}
        scheme, _, name = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or name not in self._users:
            return kept
        claims = [{"typ": "name", "val": name}]
        claims += [{"typ": ROLE, "val": role} for role in self._users[name].get("roles", ())]
        principal = {"auth_typ": "aad", "name_typ": "name", "role_typ": ROLE, "claims": claims}
        text = base64.b64encode(json.dumps(principal).encode()).decode()
        return {**kept, PRINCIPAL: text, **{f"{PRINCIPAL}-{part}": name for part in ("ID", "NAME")}}
