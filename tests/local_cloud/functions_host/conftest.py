"""The local Functions host, seen from outside: HTTP, Azurite, the durable SDK, signals and kills."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from local import azurite
from local.process import Program, free_port

HERE = Path(__file__).parent.parent
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
