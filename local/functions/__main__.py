"""Serve a Python v2 function app on one machine, as Azure Functions does."""

import argparse
import asyncio
import logging
import os
import signal
import sqlite3
import sys
from pathlib import Path

from aiohttp import web
from azure.core.exceptions import AzureError

from local.functions.app import App, HostError, load_functions, read_json
from local.functions.blob_trigger import BlobTrigger
from local.functions.durable import Clock, Orchestrations
from local.functions.durable_store import DurableStore
from local.functions.durable_webhooks import add_durable_webhooks, client_binding
from local.functions.http_trigger import add_http_triggers, body_limit

GRACE_SECONDS = 5.0


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m local.functions", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, metavar="DIR", help="folder of function_app.py")
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the durable state")
    arguments = parser.parse_args()
    if not 0 < arguments.port < 65536:
        parser.error(f"argument --port: {arguments.port} is no TCP port")
    line = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format=line)
    # Several lines a request, and a scan is made twice a second.
    logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)
    asyncio.run(run(arguments.app.resolve(), arguments.port, arguments.data.resolve()))


async def run(directory: Path, port: int, data: Path) -> None:
    """Serve, then end the process."""
    try:
        status = await serve(directory, port, data)
    except (HostError, AzureError, OSError, ValueError, sqlite3.Error) as error:
        status = 1
        print(f"local.functions: {error}".splitlines()[0], file=sys.stderr, flush=True)
    sys.stdout.flush()
    # The interpreter's own way out waits for user functions in threads, however long they run.
    os._exit(status)


async def serve(directory: Path, port: int, data: Path) -> int:
    """Serve the app's triggers until a signal or a fault of the host itself; return the exit status."""
    origin = f"http://127.0.0.1:{port}"
    extensions = read_json(directory / "host.json").get("extensions", {})
    hub = extensions.get("durableTask", {}).get("hubName", "TestHubName")
    app = App(load_functions(directory), client_binding(origin, hub))
    store = DurableStore(data / "durable.sqlite")
    orchestrations = Orchestrations(app, store, Clock())
    server = web.Application(client_max_size=body_limit())
    server.router.add_get("/admin/host/status", _status)
    add_durable_webhooks(server, orchestrations, store)
    add_http_triggers(server, app, extensions.get("http", {}).get("routePrefix", "api"))
    blob_triggers = [BlobTrigger(app, function) for function in app.functions_of("blobTrigger")]

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, app.stopping.set)
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    orchestrations.resume()
    for trigger in blob_triggers:
        await trigger.start()
    print(f"ready {origin}", flush=True)

    await app.stopped
    # The server stays up meanwhile: a function that runs may call its durable client.
    await app.settle(GRACE_SECONDS)
    for trigger in blob_triggers:
        await trigger.close()
    return int(app.failed)


async def _status(_: web.Request) -> web.Response:
    return web.json_response({"state": "Running"})


if __name__ == "__main__":
    main()
