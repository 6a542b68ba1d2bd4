"""`python -m local.cosmos --port P --data DIR`: serves on 127.0.0.1 and prints `ready` when it listens."""

import argparse
import sqlite3
import sys
from pathlib import Path

from aiohttp import web

from local.cosmos.gateway import build_app
from local.cosmos.store import Store


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser("local.cosmos", description="Cosmos DB stand-in.")
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1")
    parser.add_argument("--data", type=Path, required=True, help="folder of the database; made if missing")
    arguments = parser.parse_args()
    try:
        arguments.data.mkdir(parents=True, exist_ok=True)
        app = build_app(Store(arguments.data / "cosmos.sqlite"))
        # aiohttp calls its `print` once it listens.
        announce = lambda _: print("ready", flush=True)  # noqa: E731
        web.run_app(app, host="127.0.0.1", port=arguments.port, access_log=None, print=announce)
    except (OSError, OverflowError, sqlite3.Error) as error:
        sys.exit(f"local.cosmos: {error}")


if __name__ == "__main__":
    main()
