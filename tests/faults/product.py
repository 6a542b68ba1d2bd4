"""The whole product as programs that can be killed and started again, with short locks and leases."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from local import azurite
from local.cosmos.auth import EMULATOR_KEY
from local.process import Program, free_port
from local.resources import SERVICE_BUS_FILE, create_blob_container, create_cosmos_containers
from shared.effects import CRASH_AT
from stem_library_client import StemLibraryClient
from tests.conftest import PATIENCE, ROOT

SETTINGS = {
    "AUTH_MODE": "off",
    "LEASE_SECONDS": "6",
    "HEARTBEAT_SECONDS": "1",
    "RETRY_BACKOFF_SECONDS": "0.2",
    "STALE_SWEEP_SCHEDULE": "*/5 * * * * *",
    "PURGE_SCHEDULE": "*/30 * * * * *",
    "STEM_MODEL": "preview",
    "WORKER_MODE": "serve",
}
LOCK = "PT5S"


class Product:
    """It runs while this is entered, without a worker at first.

    `app` is the folder of the Function app, `python` the command by which its host runs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        lock: str = LOCK,
        app: Path = ROOT,
        python: Sequence[str] = (sys.executable,),
        **settings: str,
    ) -> None:
        self._folder, self._app, self._python = folder, app, python
        self.log = folder / "log"
        bus, cosmos, blob, queues, tables, self._port = (free_port() for _ in range(6))
        for name in ("azurite", "bus", "cosmos", "functions"):
            (folder / name).mkdir()
        self.api = f"http://127.0.0.1:{self._port}"
        self.storage = azurite.connection_string(blob, queues, tables)
        endpoint = f"http://127.0.0.1:{cosmos}/"
        self.service_bus = (
            f"Endpoint=sb://127.0.0.1:{bus};SharedAccessKeyName=local;SharedAccessKey=bG9jYWw=;"
            "UseDevelopmentEmulator=true;"
        )
        self.settings = {
            **SETTINGS,
            "AzureWebJobsStorage": self.storage,
            "AUDIO_STORAGE": self.storage,
            "SERVICEBUS": self.service_bus,
            "COSMOS_ENDPOINT": endpoint,
            "COSMOS_KEY": EMULATOR_KEY,
            "API_BASE_URL": self.api,
            **settings,
        }
        config = folder / "queues.json"
        queues_of = json.loads(SERVICE_BUS_FILE.read_text())
        for queue in queues_of["UserConfig"]["Namespaces"][0]["Queues"]:
            # A message whose workers die is given up, as it should be: here they are killed again and again.
            queue["Properties"] |= {"LockDuration": lock, "MaxDeliveryCount": 100}
        config.write_text(json.dumps(queues_of))
        files = azurite.command(folder / "azurite", blob, queues, tables)
        bus_arguments = ("--port", str(bus), "--config", str(config), "--data", str(folder / "bus"))
        self._stand_ins = [
            Program("azurite", files, ready=azurite.READY, closed=azurite.CLOSED),
            Program.module("bus", "local.service_bus", *bus_arguments),
            Program.module("cosmos", "local.cosmos", "--port", str(cosmos), "--data", str(folder / "cosmos")),
        ]
        self.workers: list[Program] = []
        for program in self._stand_ins:
            program.wait_ready()
        create_blob_container(self.storage, "audio-files")
        create_cosmos_containers(endpoint, EMULATOR_KEY)
        self.host = self._start_host()

    def __enter__(self) -> "Product":
        self.client = StemLibraryClient(self.api)
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()
        for program in (*self.workers, self.host, *reversed(self._stand_ins)):
            program.kill()

    def restart_host(self, crash_at: str = "") -> None:
        """Kill the host if it runs, and start it again, to die at a moment."""
        self.host.kill()
        self.host = self._start_host(crash_at)

    def start_worker(
        self, crash_at: str = "", held_at: str = "", python: Sequence[str] = (sys.executable,)
    ) -> Program:
        """Start a worker, to die at a moment, or to have its model stand still once at a step."""
        self.held = self._folder / f"held-{len(self.workers)}"
        env = {**self.settings, CRASH_AT: crash_at, "HELD_AT": held_at, "HELD": str(self.held)}
        module = "tests.faults.held_worker" if held_at else "gpu_worker"
        worker = Program("worker", [*python, "-m", module], env=env, on_line=self._log)
        self.workers.append(worker)
        return worker.wait_ready(PATIENCE)

    def _start_host(self, crash_at: str = "") -> Program:
        data = self._folder / "functions"
        arguments = ("--app", str(self._app), "--port", str(self._port), "--data", str(data))
        env = {**self.settings, CRASH_AT: crash_at}
        command = [*self._python, "-m", "local.functions", *arguments]
        return Program("functions", command, env=env, on_line=self._log).wait_ready()

    def _log(self, name: str, line: str) -> None:
        with self.log.open("a") as log:
            log.write(f"[{name}] {line}\n")
