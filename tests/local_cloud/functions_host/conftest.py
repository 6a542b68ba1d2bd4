"""The Functions host, seen from outside: HTTP, Azurite, Service Bus, the durable SDK, signals and kills.

With CONFORMANCE_FUNCTIONS_URL the tests judge the sample app (tests/local_cloud/sample_app) where it is
served by `func start` or in Azure with the settings below, and CONFORMANCE_STORAGE and
CONFORMANCE_SERVICE_BUS name its storage and its bus, which has a queue `sample` of two deliveries at most.
Without it they start the stand-ins.
"""

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.exceptions import ResourceExistsError
from azure.servicebus import ServiceBusClient
from azure.storage.blob import BlobServiceClient, ContainerClient

from local import azurite
from local.process import Program, free_port

HERE = Path(__file__).parent.parent
ROOT = HERE.parents[1]
SAMPLE = HERE / "sample_app"
SETTINGS = {"FROM_SETTINGS": "settings", "FROM_BOTH": "settings", "WATCHED": "uploads", "QUEUE": "sample"}
USERS = {"reader": {"roles": ["Read"]}, "editor": {"roles": ["Read", "Write"]}}
KEYS = {"function": "a function's key", "admin": "the master key"}
COMMAND = (sys.executable, "-m", "local.functions")
TIMEOUT = 120.0
URL = os.environ.get("CONFORMANCE_FUNCTIONS_URL")
only_stand_in = pytest.mark.skipif(URL is not None, reason="needs the stand-in itself")


def eventually(condition: Callable[[], Any], timeout: float = TIMEOUT) -> Any:
    """Poll until the condition is true, and return what it returned."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {timeout} s"
        time.sleep(0.05)
    return found


class Host:
    """The sample app where it is served; what ran it tells itself."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=TIMEOUT)
        self.url = url

    def runs(self, function: str, name: str | None = None) -> list[dict[str, Any]]:
        runs = self.http.get("/api/runs").raise_for_status().json()
        return [run for run in runs if run["function"] == function and name in (None, run.get("name"))]

    def open_gate(self, name: str) -> None:
        self.http.post(f"/api/gates/{name}").raise_for_status()

    def begin(self, orchestrator: str, instance: str, **value: Any) -> httpx.Response:
        return self.http.post(f"/api/orchestrations/{orchestrator}/{instance}", json=value)

    def act(self, instance: str, action: str) -> httpx.Response:
        return self.http.put(f"/api/orchestrations/{instance}/{action}")

    def status(self, instance: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"/api/orchestrations/{instance}").raise_for_status().json()
        return answer

    def ended(self, instance: str) -> dict[str, Any]:
        """The status of an orchestration, once it is neither pending nor running."""
        eventually(lambda: self.status(instance)["runtimeStatus"] not in ("Pending", "Running"))
        return self.status(instance)


class StandIn(Host):
    """The stand-in as a child process, with the sample app unless there is an app in the folder."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder, self.app, self.data = folder, folder / "app", folder / "data"
        if not self.app.exists():
            shutil.copytree(SAMPLE, self.app, ignore=shutil.ignore_patterns("__pycache__"))
            settings = {"Values": SETTINGS, "DevelopmentUsers": USERS, "FunctionKeys": KEYS}
            (self.app / "local.settings.json").write_text(json.dumps(settings))
        self.env = {"RUNS": str(folder), "BEAT": "0 0 0 1 1 *", **env}
        self.log: list[str] = []
        self.port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}")
        self.start()

    def start(self) -> None:
        arguments = ("--app", str(self.app), "--port", str(self.port), "--data", str(self.data))
        self.program = Program.module(
            "functions",
            "local.functions",
            *arguments,
            env=self.env,
            on_line=lambda _, line: self.log.append(line),
            ready=f"ready {self.url}",
        )
        self.program.wait_ready(TIMEOUT)

    def said(self, text: str) -> bool:
        return any(text in line for line in self.log)

    def stop(self) -> None:
        self.http.close()
        self.program.stop()


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Connection string of the storage account."""
    if given := os.environ.get("CONFORMANCE_STORAGE"):
        yield given
        return
    ports = free_port(), free_port(), free_port()
    command = azurite.command(tmp_path_factory.mktemp("azurite"), *ports)
    program = Program("azurite", command, ready=azurite.READY).wait_ready(TIMEOUT)
    yield azurite.connection_string(*ports)
    program.kill()


@pytest.fixture(scope="session")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Connection string of the Service Bus."""
    if given := os.environ.get("CONFORMANCE_SERVICE_BUS"):
        yield given
        return
    folder, port = tmp_path_factory.mktemp("bus"), free_port()
    program = start_bus(folder, port)
    yield bus_connection(port)
    program.kill()


def start_bus(folder: Path, port: int) -> Program:
    properties = {"MaxDeliveryCount": 2, "LockDuration": "PT4S"}
    queues = [{"Name": name, "Properties": properties} for name in ("sample", "other")]
    namespaces = [{"Name": "ns", "Queues": queues}]
    (folder / "config.json").write_text(json.dumps({"UserConfig": {"Namespaces": namespaces}}))
    arguments = ("--port", str(port), "--config", str(folder / "config.json"), "--data", str(folder))
    return Program.module("service-bus", "local.service_bus", *arguments).wait_ready(TIMEOUT)


def bus_connection(port: int) -> str:
    keys = "SharedAccessKeyName=any;SharedAccessKey=any="
    return f"Endpoint=sb://127.0.0.1:{port};{keys};UseDevelopmentEmulator=true;"


@pytest.fixture(scope="session")
def connections(storage: str, bus: str) -> dict[str, str]:
    return {"AzureWebJobsStorage": storage, "STORAGE": storage, "BUS": bus}


@pytest.fixture(scope="session")
def host(connections: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    if URL:
        external = Host(URL)
        external.http.delete("/api/runs").raise_for_status()
        yield external
        return
    stand_in = StandIn(tmp_path_factory.mktemp("host"), **connections, FROM_BOTH="environment")
    yield stand_in
    stand_in.stop()


@pytest.fixture(scope="session")
def uploads(storage: str) -> Iterator[ContainerClient]:
    """The container that `on_upload` watches; on the stand-in it does not exist when the host starts."""
    with BlobServiceClient.from_connection_string(storage) as service:
        yield empty_container(service, "uploads")


def empty_container(service: BlobServiceClient, name: str) -> ContainerClient:
    container = service.get_container_client(name)
    with contextlib.suppress(ResourceExistsError):
        container.create_container()
    for blob in container.list_blob_names():
        container.delete_blob(blob)
    return container


@pytest.fixture(scope="session")
def sender(bus: str) -> Iterator[Any]:
    with ServiceBusClient.from_connection_string(bus) as client, client.get_queue_sender("sample") as sender:
        yield sender
