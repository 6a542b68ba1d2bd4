"""The local Functions host: an empty HTTP function beside an empty aiohttp handler, and what idling costs."""

import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.rows import Row, row
from local import azurite
from local.process import Program, free_port

CALLS = 1000
IDLE_SECONDS = 30
BLOBS = 20
APP = """
import azure.functions as func
import azurefunctions.extensions.bindings.blob as blob

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

@app.route()
async def empty(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse()
"""
IDLE_APP = """
@app.blob_trigger(arg_name="client", path="files/{name}", connection="AzureWebJobsStorage")
def on_blob(client: blob.BlobClient) -> None: ...

@app.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
def on_time(timer: func.TimerRequest) -> None: ...

@app.service_bus_queue_trigger(arg_name="message", queue_name="q", connection="BUS")
def on_message(message: func.ServiceBusMessage) -> None: ...
"""
BASELINE = """
import sys
from aiohttp import web

async def empty(request):
    return web.Response()

async def ready(app):
    print("ready", flush=True)

app = web.Application()
app.router.add_get("/api/empty", empty)
app.on_startup.append(ready)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
"""


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows = [_call(folder)]
        return [*rows, *_idle(folder)]


def _call(folder: Path) -> Row:
    (folder / "baseline.py").write_text(BASELINE)
    port, plain_port = free_port(), free_port()
    with (
        _running(_host(folder / "called", APP, port)),
        _running(Program("baseline", [sys.executable, str(folder / "baseline.py"), str(plain_port)])),
    ):
        plain = _milliseconds(plain_port)
        ours = _milliseconds(port)
    return row(
        "HTTP function, empty: p50 ms",
        ours,
        plain,
        at_most=5,
        note=f"{CALLS} calls, one connection; an empty aiohttp handler",
    )


def _idle(folder: Path) -> list[Row]:
    ports = free_port(), free_port(), free_port()
    (folder / "azurite").mkdir()
    files = azurite.command(folder / "azurite", *ports)
    storage = azurite.connection_string(*ports)
    bus_port = free_port()
    queues = {"UserConfig": {"Namespaces": [{"Name": "ns", "Queues": [{"Name": "q"}]}]}}
    (folder / "bus.json").write_text(json.dumps(queues))
    bus = ("--port", str(bus_port), "--config", str(folder / "bus.json"), "--data", str(folder / "bus"))
    address = f"sb://127.0.0.1:{bus_port}"
    env = {
        "AzureWebJobsStorage": storage,
        "BUS": f"Endpoint={address};SharedAccessKeyName=a;SharedAccessKey=a=;UseDevelopmentEmulator=true;",
    }
    with (
        _running(Program("azurite", files, ready=azurite.READY)) as store,
        _running(Program.module("service-bus", "local.service_bus", *bus)),
    ):
        _fill(storage)
        alone = _cpu_share(store.pid, 15.0)
        with _running(_host(folder / "idle", APP + IDLE_APP, free_port(), env)) as host:
            time.sleep(5)  # The blobs that are there already run their function.
            started, ticks = time.monotonic(), [_cpu_seconds(host.pid), _cpu_seconds(store.pid)]
            time.sleep(IDLE_SECONDS)
            seconds = time.monotonic() - started
            now = [_cpu_seconds(host.pid), _cpu_seconds(store.pid)]
    ours, theirs = (100 * (after - before) / seconds for before, after in zip(ticks, now, strict=True))
    note = f"% of a core over {IDLE_SECONDS} s: blob trigger on {BLOBS} blobs, timer, Service Bus trigger"
    return [
        row("Functions host, idle", ours, None, note=note),
        row("Azurite under its scans, idle", theirs, alone or None, note="beside Azurite without a host"),
    ]


def _fill(storage: str) -> None:
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient.from_connection_string(storage) as service:
        container = service.create_container("files")
        for number in range(BLOBS):
            container.upload_blob(f"{number}.txt", b"x")


def _host(folder: Path, app: str, port: int, env: dict[str, str] | None = None) -> Program:
    folder.mkdir()
    (folder / "function_app.py").write_text(app)
    arguments = ("--app", str(folder), "--port", str(port), "--data", str(folder / "data"))
    return Program.module("functions", "local.functions", *arguments, env=env)


@contextmanager
def _running(program: Program) -> Iterator[Program]:
    try:
        yield program.wait_ready()
    finally:
        program.kill()


def _milliseconds(port: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    times = []
    for _ in range(CALLS):
        started = time.perf_counter()
        connection.request("GET", "/api/empty")
        assert connection.getresponse().read() == b""
        times.append(1000 * (time.perf_counter() - started))
    connection.close()
    return statistics.median(times)


def _cpu_share(pid: int, seconds: float) -> float:
    before = _cpu_seconds(pid)
    time.sleep(seconds)
    return 100 * (_cpu_seconds(pid) - before) / seconds


def _cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100
