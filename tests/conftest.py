"""Fixtures that tests share: the laptop cloud, with the real SDKs' way into it."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

from local.process import Program
from stem_library_client import NotFoundError, StemLibraryClient
from stem_library_client.model import Model

ROOT = Path(__file__).parent.parent
DEMO_TRUTH = ROOT / "demo" / "demo.json"
# The same examples in each run, and no deadline: a change is not to blame for what chance finds, or a busy
# machine. HYPOTHESIS_PROFILE=default looks for others.
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

PATIENCE = 300.0
"""Seconds for what comes within some: a slow machine is no fault."""


def wait_for(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Poll until the condition holds; return its value."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come within {patience} s")


def wire(read: Callable[[str], Model], record_id: str) -> dict[str, Any] | None:
    """Return a record as it is on the wire, or None where there is none."""
    try:
        return read(record_id).model_dump(mode="json")
    except NotFoundError:
        return None


def stems_of(client: StemLibraryClient, audio_file_id: str) -> list[dict[str, Any]]:
    """Return the stems of a song as they are on the wire."""
    return [stem.model_dump(mode="json") for stem in client.get_stems_of_audio(audio_file_id)]


@dataclass(frozen=True)
class Cloud:
    """A running laptop cloud and how to reach its parts."""

    program: Program
    data: Path
    api: str
    storage: str
    service_bus: str
    cosmos_endpoint: str
    cosmos_key: str


def start_cloud(data: Path, *arguments: str, env: dict[str, str] | None = None) -> Cloud:
    """Start `python -m local` on the data folder and wait until all of it answers."""
    program = Program.module("local", "local", "--data", str(data), "--model", "preview", *arguments, env=env)
    program.wait_ready(PATIENCE)
    known = json.loads((data / "connections.json").read_text())
    return Cloud(
        program=program,
        data=data,
        api=known["api"],
        storage=known["storage"],
        service_bus=known["serviceBus"],
        cosmos_endpoint=known["cosmosEndpoint"],
        cosmos_key=known["cosmosKey"],
    )


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The whole product, with limits low enough to be met by small files."""
    limits = {"MAX_DURATION_MINUTES": "5", "MAX_UPLOAD_MB": "20"}
    running = start_cloud(tmp_path_factory.mktemp("cloud"), env=limits)
    yield running
    running.program.stop(grace=30)


@pytest.fixture(scope="session")
def client(cloud: Cloud) -> Iterator[StemLibraryClient]:
    with StemLibraryClient(cloud.api) as opened:
        yield opened


@pytest.fixture(scope="session")
def demo_song() -> Path:
    return next(path for path in sorted((ROOT / "demo").iterdir()) if path.suffix in (".flac", ".ogg"))
