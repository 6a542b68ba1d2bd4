"""Starts the whole laptop cloud, the Function app and a worker; watches them; stops them in order."""

import fcntl
import json
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import watchfiles

from local import azurite
from local.process import Program, ProgramError, free_port, is_free
from local.resources import SERVICE_BUS_FILE, create_blob_container, create_cosmos_containers

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "local.settings.sample.json"
INNER_PORTS = ("blob", "queue", "table", "bus", "cosmos")
APP_CODE = [ROOT / name for name in ("function_app.py", "host.json", "functions", "shared", "web")]


class InUseError(Exception):
    """Another laptop cloud runs on this data folder."""


class LaptopCloud:
    """The programs of one laptop cloud, which run while it is entered; all data lies in one folder.

    `api` is its address, on `port`, or a free one if None; `model` is the worker's STEM_MODEL; `on_line` gets
    each program's name and each line that it prints.
    """

    def __init__(
        self, data: Path, port: int | None, *, worker: bool, model: str, on_line: Callable[[str, str], None]
    ) -> None:
        self._data, self._port = data, port or free_port()
        self._worker, self._model, self._on_line = worker, model, on_line
        self._programs: list[Program] = []
        self._events: queue.SimpleQueue[Program | Literal["stop", "changed"]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self.api = f"http://127.0.0.1:{self._port}"

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
            return self
        except BaseException:
            self._stop()
            raise

    def __exit__(self, *error: object) -> None:
        self._stop()

    def request_stop(self) -> None:
        """Let `wait` return; safe in a signal handler."""
        self._events.put("stop")

    def wait(self) -> None:
        """Wait until a stop is requested; ProgramError, with its last lines, if a program ends by itself.

        Meanwhile the Function app is run anew whenever its code changes.
        """
        threading.Thread(target=self._watch_code, daemon=True).start()
        while (event := self._events.get()) != "stop":
            if event == "changed":
                self._restart_functions()
            elif event in self._programs:
                raise ProgramError(event.describe_end())

    def _watch_code(self) -> None:
        for _ in watchfiles.watch(*APP_CODE, step=500, stop_event=self._stopping):
            self._events.put("changed")

    def _restart_functions(self) -> None:
        """Run the new code; if it can't start, say why and wait for the next change."""
        self._on_line("local", "The code has changed: the Function app is started anew.")
        self._programs = [program for program in self._programs if program is not self._functions]
        self._functions.stop()
        try:
            self._start_functions()
        except ProgramError as error:
            self._programs.remove(self._functions)  # its end is not that of all
            self._on_line("local", str(error))

    def _start(self) -> None:
        if not is_free(self._port):
            raise ProgramError(f"Port {self._port} is taken: stop what is there, or choose another (PORT=).")
        ports = self._inner_ports()
        sample: dict[str, str] = json.loads(SAMPLE.read_text("utf-8"))["Values"]
        connections = self._connections(sample, ports)
        self._app_settings = settings = self._settings(sample, connections)
        files = azurite.command(self._folder("azurite"), ports["blob"], ports["queue"], ports["table"])
        storage = self._run(Program, "azurite", files, ready=azurite.READY, closed=azurite.CLOSED)
        bus = self._run_module("service-bus", ports["bus"], "--config", str(SERVICE_BUS_FILE))
        cosmos = self._run_module("cosmos", ports["cosmos"])
        bus.wait_ready()
        if self._worker:
            # It loads its model while the others start, and takes no message before.
            self._run(Program.module, "worker", "gpu_worker", env={**settings, "STEM_MODEL": self._model})
        cosmos.wait_ready()
        create_cosmos_containers(connections["cosmosEndpoint"], connections["cosmosKey"])
        storage.wait_ready()
        create_blob_container(connections["storage"], "audio-files")
        self._start_functions()
        (self._data / "connections.json").write_text(json.dumps(connections, indent=2) + "\n", "utf-8")

    def _start_functions(self) -> None:
        app = ("--app", str(ROOT))
        self._functions = self._run_module("functions", self._port, *app, env=self._app_settings)
        self._functions.wait_ready()

    def _inner_ports(self) -> dict[str, int]:
        """Return the stand-ins' ports, the same as last time: records hold URIs with the blob port."""
        file = self._data / "ports.json"
        ports: dict[str, int] = json.loads(file.read_text("utf-8")) if file.exists() else {}
        if not ports or not all(map(is_free, ports.values())):
            ports = {name: free_port() for name in INNER_PORTS}
            file.write_text(json.dumps(ports), "utf-8")
        return ports

    def _connections(self, sample: dict[str, str], ports: dict[str, int]) -> dict[str, str]:
        """Return what connections.json says to anything that wants to look in."""
        return {
            "api": self.api,
            "storage": azurite.connection_string(ports["blob"], ports["queue"], ports["table"]),
            "serviceBus": sample["SERVICEBUS"].replace("127.0.0.1:5672", f"127.0.0.1:{ports['bus']}"),
            "cosmosEndpoint": f"http://127.0.0.1:{ports['cosmos']}/",
            "cosmosKey": sample["COSMOS_KEY"],
        }

    def _settings(self, sample: dict[str, str], connections: dict[str, str]) -> dict[str, str]:
        """Return the sample settings with the connections of this run."""
        return {
            **sample,
            "AUTH_MODE": os.environ.get("AUTH_MODE", sample["AUTH_MODE"]),
            "AzureWebJobsStorage": connections["storage"],
            "AUDIO_STORAGE": connections["storage"],
            "SERVICEBUS": connections["serviceBus"],
            "COSMOS_ENDPOINT": connections["cosmosEndpoint"],
            "API_BASE_URL": self.api,
            "WORKER_MODE": "serve",
        }

    def _folder(self, name: str) -> Path:
        folder = self._data / name
        folder.mkdir(exist_ok=True)
        return folder

    def _run_module(
        self, name: str, port: int, *arguments: str, env: dict[str, str] | None = None
    ) -> Program:
        """Run one of the stand-ins, which all take a port and a data folder."""
        common = ("--port", str(port), "--data", str(self._folder(name)))
        module = f"local.{name.replace('-', '_')}"
        return self._run(Program.module, name, module, *common, *arguments, env=env)

    def _run(self, start: Callable[..., Program], *arguments: Any, **options: Any) -> Program:
        program = start(*arguments, **options, on_line=self._on_line, on_exit=self._events.put)
        self._programs.append(program)
        return program

    def _stop(self) -> None:
        """Stop the programs, the last started first: who depends on others closes its connections first."""
        self._stopping.set()
        for program in reversed(self._programs):
            program.stop()
        self._lock.close()
