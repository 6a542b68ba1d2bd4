"""HTTP triggers of the Functions host."""

import socket

import pytest

from tests.local_cloud.functions_host.conftest import Host, eventually

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
    assert answer["url"] == f"http://127.0.0.1:{host.port}/api/stems/{raw}"


def test_the_query_is_decoded_as_a_form(host: Host) -> None:
    answer = host.http.get("/api/stems/1?key=C%23+major&type=&tag=a&tag=b&slash=%2F%C3%A9").json()
    assert answer["query"] == {"key": "C# major", "tag": "a,b", "slash": "/é"}


def test_body_method_and_headers_arrive(host: Host) -> None:
    answer = host.http.post("/api/stems", content=b"\x00{\xff", headers={"x-sample": "é".encode()}).json()
    assert (answer["method"], answer["body"]) == ("POST", "\x00{\xff")
    assert answer["header"] == "é"


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
    ("path", "said"),
    [
        ("/api/failing", "ValueError: a fault of the app"),
        ("/api/wrong_type", "local Functions host: an answer of type int (function wrong_type)"),
    ],
)
def test_a_fault_of_the_app_is_an_empty_500_and_in_the_log(host: Host, path: str, said: str) -> None:
    answer = host.http.get(path)
    assert (answer.status_code, answer.content) == (500, b"")
    eventually(lambda: any(said in line for line in host.log))


def test_a_body_above_the_limit_is_413(host: Host) -> None:
    limit = 100 * 1024**2
    assert host.http.post("/api/size", content=bytes(limit)).text == str(limit)
    assert host.http.post("/api/size", content=bytes(limit + 1)).status_code == 413


def test_a_client_that_gives_up_does_no_harm(host: Host) -> None:
    head = b"POST /api/stems HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
    for said in (head + b"half", b"POST /api/stems HTTP/1.1\r\nnonsense\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", host.port)) as client:
            client.sendall(said)
    with socket.create_connection(("127.0.0.1", host.port)) as client:
        client.sendall(b"GET /api/slow HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: host.runs("slow"))
    host.runs_file.with_name("slow may end").touch()
    eventually(lambda: any("Executed slow (Succeeded" in line for line in host.log))
    assert host.http.post("/api/stems", content=b"whole").json()["body"] == "whole"


def test_settings_and_the_apps_log(host: Host) -> None:
    assert host.http.get("/api/settings").text == "settings environment"
    eventually(lambda: any("sample: a line of the app's own log" in line for line in host.log))
    eventually(lambda: any("Executed settings (Succeeded" in line for line in host.log))
