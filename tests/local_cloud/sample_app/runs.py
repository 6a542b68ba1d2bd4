"""What ran, in a file that outlives the host; `GET /api/runs` tells it."""

import json
import os
import pathlib
import tempfile
import time

FOLDER = pathlib.Path(os.environ.get("RUNS") or pathlib.Path(tempfile.gettempdir()) / "sample_app_runs")
FOLDER.mkdir(exist_ok=True)


def record(**run: object) -> None:
    """Add a line to the file by which the tests see what ran."""
    with (FOLDER / "runs").open("a") as runs:
        runs.write(json.dumps(run, default=str) + "\n")


def recorded() -> list[dict[str, object]]:
    """Return what was recorded, oldest first."""
    file = FOLDER / "runs"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def forget() -> None:
    """Forget what ran, and close all gates: for an app that outlives the tests."""
    for file in FOLDER.iterdir():
        if file.is_file():
            file.unlink()


def wait_for(gate: str) -> None:
    """Return once a test has opened the gate, `POST /api/gates/{gate}`."""
    while not (FOLDER / gate).exists():
        time.sleep(0.05)
