"""The HTTP conventions, by a real client against the running Function app."""

import base64
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from functions.roles import PRINCIPAL_HEADER
from tests.conftest import Cloud, start_cloud

WORKER_ROUTES = [
    ("POST", "/api/stems"),
    *(("POST", f"/api/jobs/{uuid.uuid4()}/{verb}") for verb in ("claim", "heartbeat", "complete", "fail")),
]
READ_ROUTES = [
    ("GET", "/api/jobs"),
    ("GET", f"/api/jobs/{uuid.uuid4()}"),
    ("GET", f"/api/audio/{uuid.uuid4()}"),
    ("GET", f"/api/audio/{uuid.uuid4()}/stems"),
    ("GET", f"/api/stems/{uuid.uuid4()}"),
    ("GET", f"/api/stems/{uuid.uuid4()}/download"),
]


@pytest.fixture(scope="module")
def http(cloud: Cloud) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cloud.api, timeout=30) as opened:
        yield opened


def test_health_names_each_dependency(http: httpx.Client):
    answer = http.get("/api/health")
    assert answer.status_code == 200
    healthy = dict.fromkeys(("storage", "serviceBus", "cosmos"), "healthy")
    assert answer.json() == {"status": "healthy", "dependencies": healthy}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"fileName": "a.wav"}, "sizeBytes"),
        ({"fileName": "a.wav", "sizeBytes": "many"}, "sizeBytes"),
        ({"fileName": "", "sizeBytes": 1}, "fileName"),
        ({"fileName": "../a.wav", "sizeBytes": 1}, "fileName"),
        ({"fileName": "a\n.wav", "sizeBytes": 1}, "fileName"),
        ({"fileName": "a.wav", "sizeBytes": 1, "color": "red"}, "color"),
        ([], "body"),
    ],
)
def test_a_wrong_field_is_named(http: httpx.Client, body: object, field: str):
    answer = http.post("/api/audio/uploads", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    problem = answer.json()
    assert problem["status"] == 400
    assert [error["field"] for error in problem["errors"]] == [field]


def test_a_body_that_is_no_json_is_a_problem(http: httpx.Client):
    answer = http.post("/api/audio/uploads", content=b"{nope")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "body"


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(http: httpx.Client):
    answer = http.post("/api/audio/uploads", json={"fileName": "a.wav", "sizeBytes": 21 * 1024**2})
    assert answer.status_code == 413
    assert "20 MB" in answer.json()["detail"]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1.5", "٣", "9" * 5000])
def test_a_limit_out_of_range_is_refused(http: httpx.Client, limit: str):
    answer = http.get("/api/jobs", params={"limit": limit})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "limit"


def test_an_unknown_status_and_a_foreign_token_are_refused(http: httpx.Client):
    assert http.get("/api/jobs", params={"status": "Done"}).json()["errors"][0]["field"] == "status"
    assert http.get("/api/jobs", params={"pageToken": "x"}).json()["errors"][0]["field"] == "pageToken"


def test_a_record_known_already_is_not_sent_again(http: httpx.Client, cloud: Cloud, tmp_path: Path):
    ticket = http.post("/api/audio/uploads", json={"fileName": "t.mp3", "sizeBytes": 5}).json()
    httpx.put(ticket["uploadUrl"], content=b"hello", headers={"x-ms-blob-type": "BlockBlob"})
    path = f"/api/audio/{ticket['audioFileId']}"
    for _ in range(600):
        answer = http.get(path)
        if answer.status_code == 200 and answer.json()["analysisStatus"] == "Rejected":
            break
    etag = answer.headers["etag"]
    assert http.get(path, headers={"If-None-Match": etag}).status_code == 304
    assert http.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def user(name: str) -> dict[str, str]:
    """Sign in as a development user of local.settings.sample.json."""
    return {"Authorization": f"Bearer {name}"}


def principal(*roles: str) -> dict[str, str]:
    """The header that App Service Authentication sets, sent by a caller."""
    claims = [{"typ": "roles", "val": role} for role in roles]
    content = {"auth_typ": "aad", "claims": claims, "name_typ": "name", "role_typ": "roles"}
    return {PRINCIPAL_HEADER: base64.b64encode(json.dumps(content).encode()).decode()}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The app with roles on, as in Azure behind platform authentication."""
    env = {"AUTH_MODE": "roles"}
    cloud = start_cloud(tmp_path_factory.mktemp("guarded"), "--no-worker", env=env)
    with httpx.Client(base_url=cloud.api, timeout=30) as opened:
        yield opened
    cloud.program.stop(grace=30)


def test_health_is_for_anyone(guarded: httpx.Client):
    assert guarded.get("/api/health").status_code == 200


@pytest.mark.parametrize(("method", "path"), [*WORKER_ROUTES, *READ_ROUTES, ("POST", "/api/audio/uploads")])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        principal("Read", "Write", "Worker"),
        user("nobody"),
        {**user("nobody"), **principal("Read", "Write", "Worker")},
    ],
    ids=["none", "forged", "unknown", "unknown and forged"],
)
def test_who_is_nobody_gets_401(guarded: httpx.Client, method: str, path: str, headers: dict[str, str]):
    answer = guarded.request(method, path, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


@pytest.mark.parametrize(("method", "path"), WORKER_ROUTES)
def test_worker_routes_refuse_users(guarded: httpx.Client, method: str, path: str):
    assert guarded.request(method, path, headers=user("editor")).status_code == 403
    assert guarded.request(method, path, headers=user("worker")).status_code == 400


@pytest.mark.parametrize(("method", "path"), READ_ROUTES)
def test_read_routes_ask_for_read(guarded: httpx.Client, method: str, path: str):
    assert guarded.request(method, path, headers=user("worker")).status_code == 403
    assert guarded.request(method, path, headers=user("reader")).status_code in (200, 404)


def test_uploads_ask_for_write(guarded: httpx.Client):
    body = {"fileName": "a.wav", "sizeBytes": 1}
    assert guarded.post("/api/audio/uploads", json=body, headers=user("reader")).status_code == 403
    assert guarded.post("/api/audio/uploads", json=body, headers=user("editor")).status_code == 201
