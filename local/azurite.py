"""Azurite, the storage emulator: installed by npm (`python -m local.azurite`), run as a child process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPT = HERE / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
MIN_NODE = 20
READY = "Azurite Table service is successfully listening"
"""Printed last, after the blob and the queue service listen."""
CLOSED = ("service successfully closed", 3)
"""Printed by each of the three once its data is saved; Node itself may linger on idle connections."""
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The emulators' well-known account; not a secret."""


class NodeMissingError(Exception):
    """Node or Azurite is not installed."""


def find_node() -> str:
    """Return the path of a Node of version 20 or newer: the machine's, or the wheel's beside this Python."""
    for candidate in (shutil.which("node"), str(Path(sys.executable).parent / "node")):
        if candidate and Path(candidate).exists():
            said = subprocess.run(
                [candidate, "--version"], capture_output=True, text=True, check=False
            ).stdout
            major = said.strip().lstrip("v").partition(".")[0]
            if major.isdigit() and int(major) >= MIN_NODE:
                return candidate
    raise NodeMissingError(f"Azurite needs Node {MIN_NODE} or newer: run `make setup`, which brings one.")


def install() -> None:
    """Install the pinned Azurite by npm, with whichever Node there is."""
    folder = Path(find_node()).parent
    npm = [str(folder / "npm"), "ci", "--prefix", str(HERE), "--silent", "--no-audit", "--no-fund"]
    path = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    if subprocess.run(npm, env={**os.environ, "PATH": path}, check=False).returncode:
        raise NodeMissingError("Azurite can't be installed: set-up needs the npm registry.")


def command(folder: Path, blob_port: int, queue_port: int, table_port: int) -> list[str]:
    """Return the command line that serves storage kept in `folder`."""
    if not SCRIPT.exists():
        raise NodeMissingError("Azurite is not installed: run `make setup`.")
    # The SDK is newer than Azurite: without skipApiVersionCheck every request is refused.
    options = ["--silent", "--skipApiVersionCheck", "--location", str(folder)]
    ports = ["--blobPort", str(blob_port), "--queuePort", str(queue_port), "--tablePort", str(table_port)]
    return [find_node(), str(SCRIPT), *options, *ports]


def connection_string(blob_port: int, queue_port: int, table_port: int) -> str:
    """Return the connection string of the account that Azurite serves."""
    services = (("Blob", blob_port), ("Queue", queue_port), ("Table", table_port))
    endpoints = ";".join(f"{name}Endpoint=http://127.0.0.1:{port}/{ACCOUNT}" for name, port in services)
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};{endpoints};"


if __name__ == "__main__":
    try:
        install()
    except NodeMissingError as error:
        sys.exit(str(error))
