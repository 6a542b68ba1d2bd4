"""The local Functions host, seen from outside: HTTP, Azurite, the durable SDK, signals and kills."""

import base64
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueServiceClient

from local import azurite
from local.process import Program, free_port

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SAMPLE = HERE / "sample_app"
SETTINGS = {"FROM_SETTINGS": "settings", "FROM_BOTH": "settings"}
COMMAND = (sys.executable, "-m", "local.functions")
TIMEOUT = 30.0


def eventually(condition: Callable[[], Any], timeout: float = TIMEOUT) -> Any:
    """Poll until the condition is true, and return what it returned."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {timeout} s"
        time.sleep(0.05)
    return found


class Host:
    """The host as a child process, with the file that the sample app writes its runs to."""

    def __init__(self, folder: Path, storage: str, **env: str) -> None:
        self.folder, self.app = folder, folder / "app"
        shutil.copytree(SAMPLE, self.app)
        (self.app / "local.settings.json").write_text(json.dumps({"Values": SETTINGS}))
        self.runs_file = folder / "runs"
        self.env = {"RUNS": str(self.runs_file), "AzureWebJobsStorage": storage, "STORAGE": storage, **env}
        self.runs_file.touch()
        self.log: list[str] = []
        self.start()

    def start(self) -> "Host":
        self.port = free_port()
        arguments = ("--app", str(self.app), "--port", str(self.port), "--data", str(self.folder / "data"))
        self.program = Program.module(
            "functions",
            "local.functions",
            *arguments,
            env=self.env,
            on_line=lambda _, line: self.log.append(line),
            ready=f"ready http://127.0.0.1:{self.port}",
        )
        self.program.wait_ready(TIMEOUT)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=TIMEOUT)
        return self

    def runs(self, function: str, name: str | None = None) -> list[dict[str, Any]]:
        runs = [json.loads(line) for line in self.runs_file.read_text().splitlines()]
        return [run for run in runs if run["function"] == function and name in (None, run.get("name"))]

    def status(self, instance: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"/api/orchestrations/{instance}").raise_for_status().json()
        return answer

    def ended(self, instance: str) -> dict[str, Any]:
        """The status of an orchestration, once it is neither pending nor running."""
        eventually(lambda: self.status(instance)["runtimeStatus"] not in ("Pending", "Running"))
        return self.status(instance)

    def stop(self) -> None:
        self.http.close()
        self.program.stop()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Connection string of an Azurite of this module's own."""
    ports = free_port(), free_port(), free_port()
    command = azurite.command(tmp_path_factory.mktemp("azurite"), *ports)
    program = Program("azurite", command, ready=azurite.READY).wait_ready(TIMEOUT)
    yield azurite.connection_string(*ports)
    program.kill()


@pytest.fixture(scope="module")
def host(storage: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("host"), storage, FROM_BOTH="environment")
    yield host
    host.stop()


@pytest.fixture(scope="module")
def uploads(storage: str) -> Iterator[ContainerClient]:
    """The container that `on_upload` watches; it does not exist when the host starts."""
    with BlobServiceClient.from_connection_string(storage) as service:
        yield service.get_container_client("uploads")


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


# ---- blobs ----


def test_each_version_of_a_blob_runs_once_across_restarts(host: Host, uploads: ContainerClient) -> None:
    uploads.create_container()
    name = "deep/er/Möt 1#.txt"
    uploads.upload_blob(name, b"first")
    eventually(lambda: host.runs("on_upload done", name))
    uploads.upload_blob("next.txt", b"")
    eventually(lambda: host.runs("on_upload done", "next.txt"))
    host.program.kill()
    host.start()
    uploads.upload_blob("marker.txt", b"")
    eventually(lambda: host.runs("on_upload done", "marker.txt"))
    assert [run["content"] for run in host.runs("on_upload done", name)] == ["first"]
    uploads.upload_blob(name, b"second", overwrite=True)
    eventually(lambda: len(host.runs("on_upload done", name)) == 2)
    assert [run["content"] for run in host.runs("on_upload done", name)] == ["first", "second"]


def test_a_blob_that_fails_is_tried_five_times_and_holds_up_no_other(
    host: Host, uploads: ContainerClient
) -> None:
    etag = uploads.upload_blob("bad.txt", b"x").get_blob_properties().etag
    eventually(lambda: host.runs("on_upload", "bad.txt"))
    uploads.upload_blob("good.txt", b"y")
    eventually(lambda: host.runs("on_upload done", "good.txt"))
    assert len(host.runs("on_upload", "bad.txt")) < 5
    with QueueServiceClient.from_connection_string(host.env["STORAGE"]) as queues:
        eventually(lambda: "webjobs-blobtrigger-poison" in [queue.name for queue in queues.list_queues()])
        message = eventually(queues.get_queue_client("webjobs-blobtrigger-poison").receive_message)
    assert json.loads(base64.b64decode(message.content)) == {
        "Type": "BlobTrigger",
        "FunctionId": "Host.Functions.on_upload",
        "BlobType": "BlockBlob",
        "ContainerName": "uploads",
        "BlobName": "bad.txt",
        "ETag": etag.strip('"'),
    }
    uploads.upload_blob("after.txt", b"z")
    eventually(lambda: host.runs("on_upload done", "after.txt"))
    assert len(host.runs("on_upload", "bad.txt")) == 5


# ---- durable ----


def start(host: Host, instance: str, seconds: float, orchestrator: str = "later") -> httpx.Response:
    wanted = {"seconds": seconds, "name": instance}
    return host.http.post(f"/api/orchestrations/{orchestrator}/{instance}", json=wanted)


def test_a_timer_then_an_activity(host: Host) -> None:
    answer = start(host, "quick", 0.5)
    assert answer.status_code == 202
    assert host.http.get(answer.headers["location"]).json()["input"] == '{"seconds": 0.5, "name": "quick"}'
    status = host.ended("quick")
    assert (status["runtimeStatus"], status["output"]) == ("Completed", {"worked on": "quick"})
    assert len(host.runs("work", "quick")) == 1
    assert host.http.get(answer.headers["location"]).status_code == 200


def test_a_running_instance_is_not_started_again_and_a_finished_one_is(host: Host) -> None:
    assert start(host, "twice", 1).status_code == 202
    again = start(host, "twice", 1)
    assert again.status_code == 409
    assert "An Orchestration instance with the status" in again.text
    host.ended("twice")
    assert start(host, "twice", 0).status_code == 202
    eventually(lambda: len(host.runs("work", "twice")) == 2)


@pytest.mark.parametrize("action", ["terminate", "raise", "purge", "history", "all", "start without an id"])
def test_what_is_not_supported_is_named(host: Host, action: str) -> None:
    assert start(host, "long", 3600).status_code in (202, 409)
    said = len(host.log)
    assert host.http.put(f"/api/orchestrations/long/{action}").status_code == 409
    refusal = "not supported by the local Functions host: "
    eventually(lambda: any(refusal in line and "/durabletask/" in line for line in host.log[said:]))
    assert host.status("long")["runtimeStatus"] in ("Pending", "Running")


def test_what_does_not_exist_is_named(host: Host) -> None:
    assert "'nobody' doesn't exist" in start(host, "none", 0, "nobody").text
    assert host.http.get("/api/orchestrations/none").status_code == 404


def test_an_orchestration_outlives_a_kill(host: Host) -> None:
    start(host, "killed", 2)
    start(host, "due meanwhile", 0.2)
    start(host, "gated", 0)
    eventually(lambda: host.runs("work", "gated"))
    host.program.kill()
    host.runs_file.with_name("gate").touch()
    host.start()
    for instance in ("killed", "due meanwhile", "gated"):
        assert host.ended(instance)["output"] == {"worked on": instance}
    assert len(host.runs("work", "killed")) == 1
    assert len(host.runs("work", "gated")) == 2  # An activity that a kill cut short runs again.


# ---- start and end ----


def test_sigterm_lets_a_running_function_end(storage: str, tmp_path: Path) -> None:
    host = Host(tmp_path, storage)
    command = [
        sys.executable,
        "-c",
        f"import httpx; print(httpx.get('http://127.0.0.1:{host.port}/api/slow').text)",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        eventually(lambda: host.runs("slow"))
        os.kill(host.program.pid, signal.SIGTERM)
        host.runs_file.with_name("slow may end").touch()
        eventually(lambda: host.program.return_code is not None)
        assert client.stdout is not None
        assert client.stdout.read() == "done\n"
    assert host.program.return_code == 0
    host.stop()


def refused(arguments: list[str]) -> str:
    """The line that the host prints when it does not start."""
    ended = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT)
    assert ended.returncode != 0
    return ended.stderr.strip().splitlines()[-1]


HEAD = "import azure.functions as func\napp = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)\n"
TIMER = "@app.timer_trigger(schedule='0 * * * * *', arg_name='timer')\ndef sweep(timer): ..."


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (TIMER, "not supported by the local Functions host: timerTrigger (function sweep)"),
        ("raise RuntimeError('half written')", "half written"),
    ],
)
def test_an_app_that_can_not_be_served_is_refused_in_one_line(
    tmp_path: Path, code: str, expected: str
) -> None:
    (tmp_path / "function_app.py").write_text(HEAD + code)
    line = refused(["--app", str(tmp_path), "--port", str(free_port()), "--data", str(tmp_path / "data")])
    assert line == f"local.functions: {expected}"


def test_a_fault_of_the_host_itself_ends_it(storage: str, tmp_path: Path) -> None:
    host = Host(tmp_path, storage)
    with sqlite3.connect(tmp_path / "data" / "functions.sqlite") as database:
        start(host, "broken", 0.5)
        database.execute("DROP TABLE instances")
    eventually(lambda: host.program.return_code is not None)
    assert host.program.return_code == 1
    assert any("no such table: instances" in line for line in host.log)
    host.stop()


def test_bad_arguments_are_refused_in_one_line(host: Host, tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "data")]
    assert "there is no function_app.py" in refused(["--app", str(tmp_path), "--port", "1", *data])
    (tmp_path / "function_app.py").write_text("import azure.functions as func\napp = func.FunctionApp()\n")
    assert f"{host.port}" in refused(["--app", str(tmp_path), "--port", str(host.port), *data])
    (tmp_path / "host.json").write_text("{")
    assert "Expecting property name" in refused(["--app", str(tmp_path), "--port", "1", *data])
