"""The command `python -m local.service_bus`."""

import argparse
import asyncio
import signal
import sqlite3
import sys
import time
from pathlib import Path

from local.service_bus.broker import Broker, ClientConnection
from local.service_bus.config import load_queues
from local.service_bus.store import QueueStore


async def _serve(broker: Broker, port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ClientConnection(broker), "127.0.0.1", port)
    broker.turn()
    print("ready", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed. The store survives a kill at any point, so nothing is done at the end."""
    parser = argparse.ArgumentParser(prog="python -m local.service_bus", description="Service Bus stand-in.")
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1")
    parser.add_argument("--config", type=Path, required=True, help="queues, as for Microsoft's emulator")
    parser.add_argument("--data", type=Path, required=True, help="folder for the stored messages")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        arguments.data.mkdir(parents=True, exist_ok=True)
        queues = load_queues(arguments.config)
        store = QueueStore(arguments.data / "messages.db", queues, lambda: time.time_ns() // 1_000_000)
        asyncio.run(_serve(Broker(store), arguments.port))
    except (ValueError, OSError, OverflowError, sqlite3.Error) as error:
        sys.exit(f"service_bus on port {arguments.port}, data in {arguments.data}: {error}")


if __name__ == "__main__":
    main()
