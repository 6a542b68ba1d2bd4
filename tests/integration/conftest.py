"""Services wired to a Cosmos and a Service Bus stand-in and to Azurite, with a clock that tests turn."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from functions.services import Services
from local import azurite
from local.cosmos.auth import EMULATOR_KEY as COSMOS_KEY
from local.process import Program, free_port
from local.resources import SERVICE_BUS_FILE, create_blob_container, create_cosmos_containers
from shared.settings import AppSettings
from tests.conftest import Cloud, start_cloud


@dataclass
class TurnedClock:
    """A clock that stands still until it is turned."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **period: float) -> None:
        self.now += timedelta(**period)


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppSettings]:
    """Settings that name stand-ins of this test run."""
    data = tmp_path_factory.mktemp("stand-ins")
    folders: dict[str, Path] = {}
    for name in ("bus", "cosmos", "azurite"):
        folders[name] = data / name
        folders[name].mkdir()
    bus, cosmos, blob, queues, tables = (free_port() for _ in range(5))
    bus_arguments = ("--port", str(bus), "--config", str(SERVICE_BUS_FILE), "--data", str(folders["bus"]))
    programs = [
        Program.module("service-bus", "local.service_bus", *bus_arguments),
        Program.module("cosmos", "local.cosmos", "--port", str(cosmos), "--data", str(folders["cosmos"])),
        Program("azurite", azurite.command(folders["azurite"], blob, queues, tables), ready=azurite.READY),
    ]
    for program in programs:
        program.wait_ready()
    storage = azurite.connection_string(blob, queues, tables)
    endpoint = f"http://127.0.0.1:{cosmos}/"
    create_blob_container(storage, "audio-files")
    create_cosmos_containers(endpoint, COSMOS_KEY)
    yield AppSettings(
        AUDIO_STORAGE=storage,
        SERVICEBUS=f"Endpoint=sb://127.0.0.1:{bus};SharedAccessKeyName=local;SharedAccessKey=bG9jYWw=;"
        "UseDevelopmentEmulator=true;",
        COSMOS_ENDPOINT=endpoint,
        COSMOS_KEY=COSMOS_KEY,
        MAX_UPLOAD_MB=1,
        AUTH_MODE="off",
    )
    for program in programs:
        program.kill()


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The app with roles on, as in Azure behind platform authentication, and without a worker."""
    env = {"AUTH_MODE": "roles", "ALLOWED_ORIGINS": "https://music.example", "MAX_UPLOAD_MB": "20"}
    cloud = start_cloud(tmp_path_factory.mktemp("guarded"), "--no-worker", env=env)
    yield cloud
    cloud.program.stop(grace=30)


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
async def services(settings: AppSettings, clock: TurnedClock) -> AsyncIterator[Services]:
    built = Services.build(settings, clock=clock)
    yield built
    await built.close()


@pytest.fixture
def container(settings: AppSettings) -> ContainerClient:
    service = BlobServiceClient.from_connection_string(str(settings.audio_storage))
    return service.get_container_client(settings.audio_container)
