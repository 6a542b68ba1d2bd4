"""The command `python -m local.service_bus`."""

import argparse
import signal
import sqlite3
import sys
import time
from pathlib import Path

from proton.handlers import EndpointStateHandler
from proton.reactor import Container

from local.service_bus.broker import Broker
from local.service_bus.config import load_queues
from local.service_bus.store import QueueStore


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
        store = QueueStore(arguments.data / "queues.db", queues, lambda: time.time_ns() // 1_000_000)
        container = Container(Broker(store), EndpointStateHandler())
        container.listen(f"amqp://127.0.0.1:{arguments.port}")
    except (ValueError, OSError, OverflowError, sqlite3.Error) as error:
        sys.exit(f"service_bus on port {arguments.port}, data in {arguments.data}: {error}")
    print("ready", flush=True)
    container.run()


if __name__ == "__main__":
    main()
