"""Starts the whole laptop cloud, the Function app and a worker; watches them; stops them in order."""

import fcntl
import json
import os
import queue
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from local import azurite
from local.process import Program, ProgramError, free_port, is_free
from local.resources import SERVICE_BUS_FILE, create_blob_container, create_cosmos_containers

ROOT = Path(__file__).parent.parent
SETTINGS_FILE = ROOT / "local.settings.sample.json"
READY_SECONDS = 60.0


class InUseError(Exception):
    """Another laptop cloud runs on this data folder."""


class LaptopCloud:
    """The programs of one laptop cloud, whose data lies in one folder.

    Parameters
    ----------
    data : Path
        Folder of all data; made if it is not there.
    port : int, optional
        Port of the Function app; a free one without it.
    worker : bool
        Whether to run a worker.
    model : str
        The worker's STEM_MODEL.
    on_line : callable
        Gets each program's name and each line that it prints.
    """

    def __init__(
        self, data: Path, *, port: int | None, worker: bool, model: str, on_line: Callable[[str, str], None]
    ) -> None:
        self._data = data
        self._worker = worker
        self._model = model
        self._on_line = on_line
        self._programs: list[Program] = []
        self._ended: queue.SimpleQueue[Program | None] = queue.SimpleQueue()
        self._stopping = False
        self._port = port
        self.api = ""
        """The Function app's address, once it is started."""

    def __enter__(self) -> "LaptopCloud":
        self._data.mkdir(parents=True, exist_ok=True)
        self._lock = (self._data / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise InUseError(f"Another laptop cloud runs on {self._data}.") from None
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def request_stop(self) -> None:
        """Let `wait` return; safe in a signal handler."""
        self._ended.put(None)

    def wait(self) -> None:
        """Wait until a stop is requested.

        Raises
        ------
        ProgramError
            When a program ends by itself, with its last lines.
        """
        ended = self._ended.get()
        if ended is not None:
            raise ProgramError(
                f"{ended.name} ended with exit status {ended.return_code}. Its last lines:\n"
                + "\n".join(ended.tail)
            )

    def _start(self) -> None:
        self._check_port()
        blob, queues, tables, bus, cosmos = self._inner_ports()
        port = self._port or free_port()
        self.api = f"http://127.0.0.1:{port}"
        settings = self._settings(blob=blob, queues=queues, tables=tables, bus=bus, cosmos=cosmos)

        storage = self._run_azurite(
            azurite.command(self._folder("azurite"), blob_port=blob, queue_port=queues, table_port=tables),
        )
        bus_arguments = (
            "--port",
            str(bus),
            "--config",
            str(SERVICE_BUS_FILE),
            "--data",
            str(self._folder("bus")),
        )
        service_bus = self._run_module("service-bus", "local.service_bus", *bus_arguments)
        database = self._run_module(
            "cosmos", "local.cosmos", "--port", str(cosmos), "--data", str(self._folder("cosmos"))
        )
        if self._worker:
            # It loads its model while the others start; it takes no message before.
            service_bus.wait_ready(READY_SECONDS)
            self._run_module("worker", "gpu_worker", env={**settings, "STEM_MODEL": self._model})
        database.wait_ready(READY_SECONDS)
        create_cosmos_containers(settings["COSMOS_ENDPOINT"], settings["COSMOS_KEY"])
        storage.wait_ready(READY_SECONDS)
        create_blob_container(settings["AUDIO_STORAGE"], "audio-files")
        service_bus.wait_ready(READY_SECONDS)
        app_arguments = ("--app", str(ROOT), "--port", str(port), "--data", str(self._folder("functions")))
        self._run_module("functions", "local.functions", *app_arguments, env=settings).wait_ready(
            READY_SECONDS
        )
        self._write_connections(settings)

    def _check_port(self) -> None:
        if self._port is not None and not is_free(self._port):
            raise ProgramError(
                f"Port {self._port} is taken: stop what listens there, or choose another with PORT=."
            )

    def _inner_ports(self) -> list[int]:
        """Return the stand-ins' ports, the same as last time: records hold URIs with the blob port."""
        file = self._data / "ports.json"
        if file.exists():
            ports: list[int] = json.loads(file.read_text(encoding="utf-8"))
            if all(map(is_free, ports)):
                return ports
        ports = [free_port() for _ in range(5)]
        file.write_text(json.dumps(ports), encoding="utf-8")
        return ports

    def _settings(self, *, blob: int, queues: int, tables: int, bus: int, cosmos: int) -> dict[str, str]:
        """Return the sample settings with the ports of this run."""
        values: dict[str, str] = json.loads(SETTINGS_FILE.read_text(encoding="utf-8"))["Values"]
        storage = azurite.connection_string(blob_port=blob, queue_port=queues, table_port=tables)
        return {
            **values,
            "AUTH_MODE": os.environ.get("AUTH_MODE", values["AUTH_MODE"]),
            "AzureWebJobsStorage": storage,
            "AUDIO_STORAGE": storage,
            "SERVICEBUS": values["SERVICEBUS"].replace("127.0.0.1:5672", f"127.0.0.1:{bus}"),
            "COSMOS_ENDPOINT": f"http://127.0.0.1:{cosmos}/",
            "API_BASE_URL": self.api,
            "WORKER_MODE": "serve",
        }

    def _write_connections(self, settings: dict[str, str]) -> None:
        connections = {
            "api": self.api,
            "storage": settings["AUDIO_STORAGE"],
            "serviceBus": settings["SERVICEBUS"],
            "cosmosEndpoint": settings["COSMOS_ENDPOINT"],
            "cosmosKey": settings["COSMOS_KEY"],
        }
        (self._data / "connections.json").write_text(
            json.dumps(connections, indent=2) + "\n", encoding="utf-8"
        )

    def _folder(self, name: str) -> Path:
        folder = self._data / name
        folder.mkdir(exist_ok=True)
        return folder

    def _run_module(
        self, name: str, module: str, *arguments: str, env: dict[str, str] | None = None
    ) -> Program:
        return self._keep(
            Program.module(name, module, *arguments, env=env, on_line=self._on_line, on_exit=self._note_end)
        )

    def _run_azurite(self, command: list[str]) -> Program:
        return self._keep(
            Program(
                "azurite",
                command,
                ready=azurite.READY,
                closed=azurite.CLOSED,
                on_line=self._on_line,
                on_exit=self._note_end,
            )
        )

    def _keep(self, program: Program) -> Program:
        self._programs.append(program)
        return program

    def _note_end(self, program: Program) -> None:
        if not self._stopping:
            self._ended.put(program)

    def _stop(self) -> None:
        """Stop the programs, the last started first: who depends on others closes its connections first."""
        self._stopping = True
        for program in reversed(self._programs):
            program.stop()
        self._lock.close()
