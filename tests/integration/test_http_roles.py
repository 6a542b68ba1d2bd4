"""Who may call what: all routes by all kinds of callers, against the table of the design."""

import base64
import json
import uuid
from collections.abc import Iterator

import httpx
import pytest

from functions.roles import PRINCIPAL_HEADER
from tests.conftest import Cloud
from tests.integration.http_library import USERS, signed_in

ANYONE = None
TABLE: dict[tuple[str, str], str | None] = {
    ("POST", "/api/audio/uploads"): "Write",
    ("GET", "/api/audio"): "Read",
    ("GET", "/api/audio/{id}"): "Read",
    ("DELETE", "/api/audio/{id}"): "Write",
    ("GET", "/api/audio/{id}/artwork"): "Read",
    ("POST", "/api/audio/reanalyse"): "Write",
    ("POST", "/api/audio/{id}/reanalyse"): "Write",
    ("GET", "/api/audio/{id}/stems"): "Read",
    ("GET", "/api/stems"): "Read",
    ("GET", "/api/stems/key/{key}"): "Read",
    ("GET", "/api/stems/bpm"): "Read",
    ("GET", "/api/stems/stats"): "Read",
    ("POST", "/api/stems/stats/repair"): "Write",
    ("GET", "/api/stems/{id}"): "Read",
    ("DELETE", "/api/stems/{id}"): "Write",
    ("GET", "/api/stems/{id}/analysis"): "Read",
    ("GET", "/api/stems/{id}/download"): "Read",
    ("GET", "/api/stems/{id}/notation"): "Read",
    ("POST", "/api/stems"): "Worker",
    ("GET", "/api/jobs"): "Read",
    ("GET", "/api/jobs/stats"): "Read",
    ("GET", "/api/jobs/{id}"): "Read",
    ("DELETE", "/api/jobs/{id}"): "Write",
    ("POST", "/api/jobs/{id}/cancel"): "Write",
    ("POST", "/api/jobs/{id}/retry"): "Write",
    ("POST", "/api/jobs/{id}/claim"): "Worker",
    ("POST", "/api/jobs/{id}/heartbeat"): "Worker",
    ("POST", "/api/jobs/{id}/complete"): "Worker",
    ("POST", "/api/jobs/{id}/fail"): "Worker",
    ("POST", "/api/jobs/cleanup"): "Write",
    ("POST", "/api/jobs/sweep"): "Write",
    ("GET", "/api/health"): ANYONE,
    ("GET", "/api/openapi.json"): ANYONE,
    ("GET", "/api/docs"): ANYONE,
}


def forged(*roles: str) -> dict[str, str]:
    """The header that App Service Authentication sets, sent by a caller."""
    claims = [{"typ": "roles", "val": role} for role in roles]
    content = {"auth_typ": "aad", "claims": claims, "name_typ": "name", "role_typ": "roles"}
    return {PRINCIPAL_HEADER: base64.b64encode(json.dumps(content).encode()).decode()}


NOBODY = {
    "none": {},
    "unknown": signed_in("nobody"),
    "garbage": {PRINCIPAL_HEADER: "garbage!"},
    "forged": forged("Read", "Write", "Worker"),
    "unknown and forged": {**signed_in("nobody"), **forged("Read", "Write", "Worker")},
}
SOMEBODY = {
    **{role: (role, signed_in(user)) for role, user in USERS.items()},
    **{
        f"{role} and forged": (role, {**signed_in(user), **forged("Read", "Write", "Worker")})
        for role, user in USERS.items()
    },
}
ROUTES = list(TABLE)


@pytest.fixture(scope="module")
def http(guarded: Cloud) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded.api, timeout=30) as opened:
        yield opened


def call(http: httpx.Client, route: tuple[str, str], headers: dict[str, str]) -> httpx.Response:
    method, path = route
    return http.request(method, path.format(id=uuid.uuid4(), key="C"), headers=headers)


def test_the_table_holds_every_route(http: httpx.Client):
    paths = http.get("/api/openapi.json").json()["paths"]
    roles = {
        (method.upper(), path): (operation["x-roles"] or [ANYONE])[0]
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    assert roles == TABLE


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
@pytest.mark.parametrize("headers", NOBODY.values(), ids=NOBODY)
def test_nobody_may_call_what_is_for_anyone_only(
    http: httpx.Client, route: tuple[str, str], headers: dict[str, str]
):
    answer = call(http, route, headers)
    if TABLE[route] is ANYONE:
        assert answer.status_code == 200
        return
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
@pytest.mark.parametrize("caller", SOMEBODY.values(), ids=SOMEBODY)
def test_a_role_opens_its_own_routes_and_no_others(
    http: httpx.Client, route: tuple[str, str], caller: tuple[str, dict[str, str]]
):
    role, headers = caller
    answer = call(http, route, headers)
    if TABLE[route] in (role, ANYONE):
        # The record is unknown, or the body is missing: what counts is that the request got that far.
        assert answer.status_code in (200, 204, 400, 404)
        return
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert f"the role {TABLE[route]}" in answer.json()["detail"]


def test_head_asks_for_the_same_role(http: httpx.Client):
    for path in ("/api/audio", "/api/stems", "/api/jobs"):
        assert http.head(path).status_code == 401
        assert http.head(path, headers=signed_in("worker")).status_code == 403
        assert http.head(path, headers=signed_in("reader")).status_code == 200
