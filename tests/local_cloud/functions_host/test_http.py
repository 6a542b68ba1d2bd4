"""HTTP triggers of the Functions host."""

import base64
import json
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.local_cloud.functions_host.conftest import KEYS, Host, StandIn, eventually, only_stand_in

# ---- HTTP ----


@pytest.mark.parametrize(
    ("raw", "arrives"),
    [
        ("C%23%20major", "C# major"),
        ("a%2Fb", "a%2Fb"),
        ("M%C3%B6tley+Cr%C3%BCe", "Mötley+Crüe"),
        ("50%25", "50%"),
        ("x%3Fy", "x?y"),
        ("a%2fb%252F%0A", "a%2fb%2F\n"),
    ],
)
def test_a_route_parameter_is_decoded_once(host: Host, raw: str, arrives: str) -> None:
    answer = host.http.get(f"/api/stems/{raw}").json()
    assert (answer["function"], answer["route"]) == ("a_stem", {"id": arrives})
    assert answer["url"] == f"{host.url}/api/stems/{raw}"


def test_the_query_is_decoded_as_a_form(host: Host) -> None:
    answer = host.http.get("/api/stems/1?key=C%23+major&type=&tag=a&tag=b&slash=%2F%C3%A9").json()
    assert answer["query"] == {"key": "C# major", "tag": "a,b", "slash": "/é"}


def test_body_method_and_headers_arrive(host: Host) -> None:
    answer = host.http.post("/api/stems", content=b"\x00{\xff", headers={"x-sample": "é".encode()}).json()
    assert (answer["method"], answer["body"]) == ("POST", "\x00{\xff")
    assert answer["headers"]["X-Sample"] == "é"


def test_a_literal_segment_wins_over_a_parameter(host: Host) -> None:
    assert host.http.get("/api/stems/stats").json()["function"] == "stats"
    assert host.http.get("/api/STEMS/Stats").json()["function"] == "stats"
    assert host.http.get("/api/stems/statsx").json()["function"] == "a_stem"
    assert host.http.get("/api/stems/stats/").json()["function"] == "stats"
    for path in ("/api/stems/1/2", "/api/stems//", "/api/stems/stats/2"):
        assert host.http.get(path).status_code == 404


def test_what_no_function_serves_is_404_as_in_azure(host: Host) -> None:
    for method, path in (
        ("GET", "/api/none"),
        ("GET", "/stems/1"),
        ("PUT", "/api/stems/1"),
        ("GET", "/api/stems"),
    ):
        answer = host.http.request(method, path)
        assert (answer.status_code, answer.content) == (404, b""), path
    assert host.http.delete("/api/stems/1").json()["method"] == "DELETE"


def test_sync_functions_run_beside_the_event_loop(host: Host) -> None:
    answer = host.http.get("/api/thread")
    assert answer.text != "MainThread"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_status_headers_cookies_and_bytes_are_answered(host: Host) -> None:
    answer = host.http.get("/api/teapot")
    assert (answer.status_code, answer.content) == (418, b"\x00\xff")
    assert answer.headers["x-answer"] == "yes"
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.cookies["tea"] == "oolong"


@pytest.mark.parametrize(
    ("path", "function", "route"),
    [
        ("/api/files", "files", {}),
        ("/api/files/a/b%2Fc/d.txt", "files", {"path": "a/b%2Fc/d.txt"}),
        ("/api/pages", "pages", {}),
        ("/api/pages/one", "pages", {"name": "one"}),
    ],
)
def test_optional_and_catch_all_parameters(
    host: Host, path: str, function: str, route: dict[str, str]
) -> None:
    answer = host.http.get(path).json()
    assert (answer["function"], answer["route"]) == (function, route)


def test_constraints_choose_by_the_value(host: Host) -> None:
    job = str(uuid.uuid4())
    assert host.http.get(f"/api/jobs/{job}/parts/12").json()["route"] == {"id": job, "number": "12"}
    assert host.http.get(f"/api/jobs/{job.upper()}/parts/-1").json()["function"] == "part"
    for path in (f"/api/jobs/{job}/parts/x", f"/api/jobs/{job[:-1]}/parts/1", "/api/jobs/1/parts/1"):
        assert host.http.get(path).status_code == 404, path


@pytest.mark.parametrize("path", ["/api/failing", "/api/wrong_type", "/api/nothing", "/api/leaving"])
def test_a_fault_of_the_app_is_an_empty_500_and_harms_no_other(host: Host, path: str) -> None:
    answer = host.http.get(path)
    assert (answer.status_code, answer.content) == (500, b"")
    assert host.http.get("/api/thread").status_code == 200


@only_stand_in
def test_a_fault_of_the_app_is_in_the_log(host: StandIn) -> None:
    host.http.get("/api/failing")
    eventually(lambda: host.said("ValueError: a fault of the app"))
    host.http.get("/api/wrong_type")
    eventually(lambda: host.said("Executed wrong_type (Failed"))


def test_a_body_above_the_limit_is_413(host: Host) -> None:
    limit = 100 * 1024**2
    assert host.http.post("/api/size", content=bytes(limit)).text == str(limit)
    assert host.http.post("/api/size", content=bytes(limit + 1)).status_code == 413


@only_stand_in
def test_a_client_that_gives_up_does_no_harm(host: StandIn) -> None:
    head = b"POST /api/stems HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
    for said in (head + b"half", b"POST /api/stems HTTP/1.1\r\nnonsense\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", host.port)) as client:
            client.sendall(said)
    with socket.create_connection(("127.0.0.1", host.port)) as client:
        client.sendall(b"GET /api/slow/abandoned HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: host.runs("slow", "abandoned"))
    host.open_gate("abandoned")
    eventually(lambda: host.said("Executed slow (Succeeded"))
    assert host.http.post("/api/stems", content=b"whole").json()["body"] == "whole"


@only_stand_in
def test_settings_and_the_apps_log(host: StandIn) -> None:
    assert host.http.get("/api/settings").text == "settings environment"
    eventually(lambda: host.said("sample: a line of the app's own log"))
    eventually(lambda: host.said("Executed settings (Succeeded"))


# ---- who calls ----


@only_stand_in
def test_a_function_key_opens_its_level_alone(host: StandIn) -> None:
    for path, level, status in (
        ("keyed", "function", 200),
        ("keyed", "admin", 200),
        ("master", "admin", 200),
        ("master", "function", 401),
    ):
        assert host.http.get(f"/api/{path}", params={"code": KEYS[level]}).status_code == status
        assert host.http.get(f"/api/{path}", headers={"x-functions-key": KEYS[level]}).status_code == status
    for path in ("keyed", "master"):
        for wrong in ("", KEYS["admin"][1:], "ä"):
            answer = host.http.get(f"/api/{path}", params={"code": wrong})
            assert (answer.status_code, answer.content) == (401, b"")
    assert host.http.get("/api/stems/1", params={"code": "wrong"}).status_code == 200


def principal_of(host: Host, **headers: str) -> dict[str, str]:
    answer: dict[str, str] = host.http.get("/api/stems/1", headers=headers).json()["headers"]
    return answer


@only_stand_in
def test_a_development_user_comes_with_roles(host: StandIn) -> None:
    headers = principal_of(host, Authorization="Bearer editor")
    principal = json.loads(base64.b64decode(headers["X-MS-CLIENT-PRINCIPAL"]))
    roles = [claim["val"] for claim in principal["claims"] if claim["typ"] == principal["role_typ"]]
    assert (roles, headers["X-MS-CLIENT-PRINCIPAL-NAME"]) == (["Read", "Write"], "editor")


@only_stand_in
@pytest.mark.parametrize("authorization", ["", "Bearer nobody", "Basic editor", "editor"])
def test_nobody_else_is_a_user_whatever_they_claim(host: StandIn, authorization: str) -> None:
    claimed = {"Authorization": authorization, "x-ms-client-principal": "e30=", "X-Sample": "kept"}
    headers = principal_of(host, **claimed, **{"X-Ms-Client-Principal-Name": "editor"})
    expected = {"X-Sample": "kept", "X-MS-CLIENT-PRINCIPAL": None, "X-MS-CLIENT-PRINCIPAL-NAME": None}
    assert headers == expected


HEAD = "import os\nimport azure.functions as func\napp = func.FunctionApp(func.AuthLevel.ANONYMOUS)\n"
TELL = "@app.route()\ndef auth(req) -> str:\n    return os.environ.get('WEBSITE_AUTH_ENABLED', '')\n"


@pytest.fixture
def other_apps(tmp_path: Path) -> Iterator[list[StandIn]]:
    started: list[StandIn] = []
    yield started
    for host in started:
        host.stop()


@only_stand_in
@pytest.mark.parametrize(
    ("file", "users", "mark"),
    [
        ("local.settings.sample.json", {"one": {}}, "True"),
        ("local.settings.json", {"one": {}}, "True"),
        ("local.settings.json", {}, ""),
    ],
)
def test_an_app_with_users_is_told_that_it_stands_behind_sign_in(
    tmp_path: Path, other_apps: list[StandIn], file: str, users: dict[str, object], mark: str
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "function_app.py").write_text(HEAD + TELL)
    (tmp_path / "app" / file).write_text(json.dumps({"DevelopmentUsers": users}))
    other_apps.append(StandIn(tmp_path))
    assert httpx.get(f"{other_apps[0].url}/api/auth").text == mark
