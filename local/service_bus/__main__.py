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
from local.service_bus.config import ConfigError, load_queues
from local.service_bus.store import QueueStore


def _now() -> int:
    return time.time_ns() // 1_000_000


def main() -> None:
    """Serve until killed. The store survives a kill at any point, so nothing is done at the end."""
    parser = argparse.ArgumentParser(prog="python -m local.service_bus", description="Service Bus stand-in.")
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1")
    parser.add_argument("--config", type=Path, required=True, help="queues, as for Microsoft's emulator")
    parser.add_argument("--data", type=Path, required=True, help="folder for the stored messages")
    arguments = parser.parse_args()
    if not 1 <= arguments.port <= 65535:
        parser.error("--port must be between 1 and 65535")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        arguments.data.mkdir(parents=True, exist_ok=True)
        store = QueueStore(arguments.data / "service_bus.db", load_queues(arguments.config), _now)
    except sqlite3.Error as error:
        sys.exit(f"service_bus: {arguments.data}: {error}; does another stand-in use this folder?")
    except (ConfigError, OSError) as error:
        sys.exit(f"service_bus: {error}")
    container = Container(Broker(store, _now), EndpointStateHandler())
    try:
        container.listen(f"amqp://127.0.0.1:{arguments.port}")
    except OSError:
        sys.exit(f"service_bus: port {arguments.port} is taken or not allowed; choose another --port")
    print("ready", flush=True)
    container.run()


if __name__ == "__main__":
    main()
