"""Blob triggers, durable orchestrations, and the start and end of the Functions host."""

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueServiceClient

from local.process import free_port
from tests.local_cloud.functions_host.conftest import COMMAND, ROOT, TIMEOUT, Host, eventually

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
