"""The worker's health file and the probe of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_worker import health
from gpu_worker.health import BEAT_SECONDS, STALE_SECONDS, HealthFile


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_state_is_written_when_it_changes_and_then_now_and_again(tmp_path: Path):
    path, clock = tmp_path / "health", Clock()
    file = HealthFile(path, clock)
    assert json.loads(path.read_text()) == {"state": "starting", "beat": 1000.0}
    clock.now += 1
    file.beat("ready")
    clock.now += BEAT_SECONDS - 1
    file.beat("ready")
    assert json.loads(path.read_text()) == {"state": "ready", "beat": 1001.0}
    clock.now += 1
    file.beat("ready")
    assert json.loads(path.read_text()) == {"state": "ready", "beat": 1001 + BEAT_SECONDS}
    file.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("state", "age", "is_well"),
    [
        ("starting", 0, False),
        ("ready", STALE_SECONDS - 1, True),
        ("busy", 0, True),
        ("draining", 0, True),
        ("busy", STALE_SECONDS, False),
    ],
)
def test_the_probe_tells_a_worker_that_works(tmp_path: Path, state: health.State, age: float, is_well: bool):
    clock = Clock()
    HealthFile(tmp_path / "health", clock).beat(state)
    told = health.probe(tmp_path / "health", clock.now + age)
    assert told == (is_well, f"{state}, seen {age:.0f} s ago")


def test_of_several_consumers_the_furthest_state_counts_and_the_oldest_beat(tmp_path: Path):
    path, clock = tmp_path / "health", Clock()
    file = HealthFile(path, clock)
    file.beat("busy", 0)
    clock.now += BEAT_SECONDS
    file.beat("ready", 1)
    assert json.loads(path.read_text()) == {"state": "busy", "beat": 1000.0}
    clock.now += STALE_SECONDS - BEAT_SECONDS
    file.beat("ready", 1)
    assert health.probe(path, clock.now)[0] is False, "one of them hangs"
    file.leave(0)
    file.beat("ready", 1)
    assert health.probe(path, clock.now) == (True, "ready, seen 0 s ago")


def test_a_full_disk_stops_no_work(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = tmp_path / "folder"
    folder.mkdir()
    file = HealthFile(folder / "health")
    file.close()
    folder.rmdir()  # stands for any reason why it can't be written
    file.beat("ready")
    assert "can't be written" in caplog.text


def test_without_a_path_there_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    file = HealthFile(None)
    file.beat("ready")
    file.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("written", "code", "said"), [(False, 1, "no worker writes"), (True, 0, "ready, seen")]
)
def test_the_probe_is_a_command(tmp_path: Path, written: bool, code: int, said: str):
    if written:
        HealthFile(tmp_path / "health").beat("ready")
    env = {**os.environ, "HEALTH_FILE": str(tmp_path / "health")}
    command = [sys.executable, "-X", "importtime", "-m", "gpu_worker.health"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout.startswith(said)) == (code, True)
    assert "pydantic" not in done.stderr  # it runs every half minute beside the work
