"""The three stand-ins as programs that can be killed and started again on their ports and data."""

import json
from collections.abc import Iterable
from pathlib import Path

from local import azurite
from local.process import Program, free_port

APP = Path(__file__).parent / "app"
QUEUES = ("received", "triggering")
NAMES = ("cosmos", "service_bus", "functions")


class StandIns:
    """They run while this is entered, beside an Azurite, which is never killed: it loses its last seconds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {name: free_port() for name in NAMES}
        storage = free_port(), free_port(), free_port()
        files = folder / "azurite"
        files.mkdir()
        command = azurite.command(files, *storage)
        self._azurite = Program("azurite", command, ready=azurite.READY, closed=azurite.CLOSED)
        self.storage = azurite.connection_string(*storage)
        self.cosmos_endpoint = f"http://127.0.0.1:{self._ports['cosmos']}"
        self.api = f"http://127.0.0.1:{self._ports['functions']}/api"
        self.service_bus = (
            f"Endpoint=sb://127.0.0.1:{self._ports['service_bus']};SharedAccessKeyName=any;SharedAccessKey=any=;"
            "UseDevelopmentEmulator=true;"
        )
        self.log = folder / "log"
        self._runs = folder / "runs"
        self._runs.touch()
        self._config = folder / "queues.json"
        self._config.write_text(json.dumps(_emulator_file(QUEUES)))
        self._programs: dict[str, Program] = {}

    def __enter__(self) -> "StandIns":
        self._azurite.wait_ready()
        for name in NAMES:
            self.start(name)
        return self

    def __exit__(self, *error: object) -> None:
        for name in reversed(self._programs):
            self._programs[name].stop()
        self._azurite.stop()

    def start(self, name: str) -> None:
        own = {
            "cosmos": [],
            "service_bus": ["--config", str(self._config)],
            "functions": ["--app", str(APP)],
        }[name]
        common = ["--port", str(self._ports[name]), "--data", str(self._folder / name)]
        settings = {
            "AzureWebJobsStorage": self.storage,
            "STORAGE": self.storage,
            "SERVICEBUS": self.service_bus,
            "RUNS": str(self._runs),
        }
        module = f"local.{name}"
        program = Program.module(name, module, *common, *own, env=settings, on_line=self._write_line)
        self._programs[name] = program.wait_ready()

    def kill(self, name: str) -> None:
        self._programs[name].kill()

    def runs(self) -> list[tuple[str, str, int]]:
        """What the app ran: kind, name, and the host's process id."""
        lines = self._runs.read_text().splitlines()
        return [(kind, name, pid) for kind, name, pid in map(json.loads, lines)]

    def _write_line(self, name: str, line: str) -> None:
        with self.log.open("a") as log:
            log.write(f"[{name}] {line}\n")


def _emulator_file(queues: Iterable[str]) -> dict[str, object]:
    # With duplicate detection, a message that is sent again because no answer came is still stored once.
    properties = {"LockDuration": "PT5S", "MaxDeliveryCount": 100, "RequiresDuplicateDetection": True}
    listed = [{"Name": name, "Properties": properties} for name in queues]
    return {"UserConfig": {"Namespaces": [{"Name": "ns", "Queues": listed}]}}
