"""`python -m local.cosmos --port P --data DIR`: serves on 127.0.0.1 and prints `ready` when it listens."""

import argparse
import sqlite3
import sys
from pathlib import Path
from typing import NoReturn

from aiohttp import web

from local.cosmos.gateway import build_app
from local.cosmos.store import Store


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def _announce(_: str) -> None:
    print("ready", flush=True)


def main() -> int:
    """Serve until SIGINT or SIGTERM; return the exit status."""
    parser = Parser(
        "local.cosmos", description="Cosmos DB stand-in; its key is the emulators' well-known one."
    )
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1")
    parser.add_argument("--data", type=Path, required=True, help="folder of the database; made if missing")
    arguments = parser.parse_args()
    try:
        arguments.data.mkdir(parents=True, exist_ok=True)
        app = build_app(Store(arguments.data / "cosmos.sqlite"))
        # aiohttp calls its `print` once it listens.
        web.run_app(app, host="127.0.0.1", port=arguments.port, access_log=None, print=_announce)
    except (OSError, OverflowError, sqlite3.Error) as error:
        print(f"local.cosmos: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
