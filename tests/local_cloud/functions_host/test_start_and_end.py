"""The start and the end of the Functions host."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from local.process import free_port
from tests.local_cloud.functions_host.conftest import (
    COMMAND,
    ROOT,
    TIMEOUT,
    StandIn,
    eventually,
    only_stand_in,
)

pytestmark = only_stand_in


def test_sigterm_lets_a_running_function_end(connections: dict[str, str], tmp_path: Path) -> None:
    host = StandIn(tmp_path, **connections, QUEUE="other")
    command = [sys.executable, "-c", f"import httpx; print(httpx.get('{host.url}/api/slow/end').text)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        eventually(lambda: host.runs("slow", "end"))
        os.kill(host.program.pid, signal.SIGTERM)
        host.open_gate("end")
        eventually(lambda: host.program.return_code is not None)
        assert client.stdout is not None
        assert client.stdout.read() == "done\n"
    assert host.program.return_code == 0
    assert not host.said("Unclosed")
    assert not host.said("Traceback")
    host.stop()


def refused(arguments: list[str]) -> str:
    """The line that the host prints when it does not start."""
    ended = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT)
    assert ended.returncode != 0
    return ended.stderr.strip().splitlines()[-1]


HEAD = "import azure.functions as func\napp = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)\n"
QUEUE = "@app.queue_trigger(arg_name='m', queue_name='q', connection='S')\ndef sweep(m): ..."
TIMER = "@app.timer_trigger(schedule='%NONE%', arg_name='timer')\ndef sweep(timer): ..."


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (QUEUE, "not supported by the local Functions host: queueTrigger (function sweep)"),
        (TIMER, "the setting NONE is missing (function sweep)"),
        (
            TIMER.replace("%NONE%", "never"),
            "'never' is no NCRONTAB expression of six fields, or is never due (function sweep)",
        ),
        ("raise RuntimeError('half written')", "half written"),
    ],
)
def test_an_app_that_can_not_be_served_is_refused_in_one_line(
    tmp_path: Path, code: str, expected: str
) -> None:
    (tmp_path / "function_app.py").write_text(HEAD + code)
    line = refused(["--app", str(tmp_path), "--port", str(free_port()), "--data", str(tmp_path / "data")])
    assert line == f"local.functions: {expected}"


def test_a_fault_of_the_host_itself_ends_it(connections: dict[str, str], tmp_path: Path) -> None:
    host = StandIn(tmp_path, **connections, QUEUE="other")
    with closing(sqlite3.connect(host.data / "instances.sqlite")) as database:
        host.begin("later", "broken", seconds=2, name="broken")
        database.execute("DROP TABLE records")
    eventually(lambda: host.program.return_code is not None)
    assert host.program.return_code == 1
    assert host.said("no such table: records")
    host.stop()


def test_bad_arguments_are_refused_in_one_line(host: StandIn, tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "data")]
    assert "there is no function_app.py" in refused(["--app", str(tmp_path), "--port", "1", *data])
    (tmp_path / "function_app.py").write_text("import azure.functions as func\napp = func.FunctionApp()\n")
    assert f"{host.port}" in refused(["--app", str(tmp_path), "--port", str(host.port), *data])
    (tmp_path / "host.json").write_text("{")
    assert "Expecting property name" in refused(["--app", str(tmp_path), "--port", "1", *data])
    (tmp_path / "local.settings.json").write_text("[")
    assert "Expecting value" in refused(["--app", str(tmp_path), "--port", "1", *data])
