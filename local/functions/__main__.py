"""Serve a Python v2 function app on one machine, as Azure Functions does."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from local.functions.app import App, HostError, load_functions, logger, read_json
from local.functions.blob_trigger import BlobTrigger
from local.functions.durable import Orchestrations
from local.functions.durable_api import PATH, DurableApi, client_binding
from local.functions.http_trigger import BODY_LIMIT, Callers, add_http_triggers
from local.functions.service_bus_trigger import ServiceBusTrigger
from local.functions.table import Table
from local.functions.timer_trigger import TimerTrigger


def main() -> int:
    """Read the command line and serve; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local.functions", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, metavar="DIR", help="folder of function_app.py")
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the host's state")
    arguments = parser.parse_args()
    line = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format=line)
    logging.getLogger("azure").setLevel(logging.WARNING)  # several lines a request, and a scan each second
    try:
        asyncio.run(serve(arguments.app.resolve(), arguments.port, arguments.data.resolve()))
        return 0
    except Exception as error:  # noqa: BLE001 (whatever it is, one line says so)
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        if not isinstance(error, HostError):
            logger.critical("The host fails", exc_info=error)
        print(f"local.functions: {error}".splitlines()[0], file=sys.stderr)
        return 1


async def serve(directory: Path, port: int, data: Path) -> None:
    """Serve the app's triggers until a signal comes or one of the host's own tasks fails."""
    origin = f"http://127.0.0.1:{port}"
    timers, callers = Table(data, "timers"), Callers(directory)
    server = web.Application(client_max_size=BODY_LIMIT)
    async with asyncio.TaskGroup() as tasks:
        app = App(load_functions(directory), client_binding(origin), tasks)
        orchestrations = Orchestrations(app, Table(data, "instances"))
        server.router.add_route("*", PATH + "{rest:.*}", DurableApi(orchestrations).handle)
        add_http_triggers(server, app, read_json(directory / "host.json"), callers)
        listeners: list[BlobTrigger | TimerTrigger | ServiceBusTrigger] = [
            *(BlobTrigger(app, function) for function in app.functions_of("blobTrigger")),
            *(TimerTrigger(app, function, timers) for function in app.functions_of("timerTrigger")),
            *(ServiceBusTrigger(app, function) for function in app.functions_of("serviceBusTrigger")),
        ]
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, app.stopping.set)
        runner = web.AppRunner(server, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        for listener in listeners:
            tasks.create_task(listener.run())
        orchestrations.resume()
        print(f"ready {origin}", flush=True)
        try:
            await app.stopping.wait()
        finally:
            # What runs has 5 s to end. The server stays up meanwhile: a function may call its durable client.
            asyncio.get_running_loop().call_later(5.0, os._exit, int(not app.stopping.is_set()))
            app.stopping.set()  # for whatever swallows that it is cancelled
    await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main())
