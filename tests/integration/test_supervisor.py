"""The supervisor as a user runs it: one command, one song, one end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.process import Program
from tests.conftest import PATIENCE, ROOT, start_cloud

OPTIONS = ["--model", "preview"]


def run(*arguments: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", *OPTIONS, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def processes_of(data: Path) -> list[str]:
    """Command lines of processes that name the data folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(data) in line:
                found.append(line)
    return found


def test_analyse_prints_the_table_and_writes_the_answer(tmp_path: Path, demo_song: Path):
    data, out = tmp_path / "data", tmp_path / "r.json"
    done = run("--data", str(data), "--song", str(demo_song), "--out", str(out), "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("Drums", "Bass", "Vocals", "Other", "BPM", "Preview model", "separate"):
        assert word in done.stdout
    progress = re.findall(r"^([A-Z][a-z ]+) (\d+) %$", done.stdout, re.MULTILINE)
    assert (progress[0], progress[-1]) == (("Uploading", "0"), ("Done", "100"))
    assert len(json.loads(out.read_text())["value"]) == 4
    assert processes_of(data) == []


def test_analyse_prints_the_jobs_error_and_fails(tmp_path: Path):
    song = tmp_path / "song.mp3"
    song.write_text("not music")
    done = run("--data", str(tmp_path / "data"), "--song", str(song), "--once")
    assert done.returncode == 1
    assert "not an audio file" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_missing_song_is_one_sentence(tmp_path: Path):
    done = run("--data", str(tmp_path / "data"), "--song", str(tmp_path / "none.mp3"), "--once")
    assert done.returncode == 1
    assert done.stderr.strip() == f"There is no file {tmp_path / 'none.mp3'}."


def test_a_taken_port_is_one_sentence(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("--data", str(tmp_path / "data"), "--port", str(port))
    assert done.returncode == 1
    assert done.stderr.strip().startswith(f"Port {port} is taken")
    assert len(done.stderr.strip().splitlines()) == 1


def test_missing_weights_end_it_with_the_sentence(tmp_path: Path):
    """The worker can't load its model: the supervisor stops all and shows the last lines."""
    command = [sys.executable, "-m", "local", "--data", str(tmp_path / "data"), "--model", "htdemucs"]
    env = {**os.environ, "STEM_MODEL_REPO": str(tmp_path)}
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 1
    assert "worker ended" in done.stderr
    assert "STEM_MODEL_REPO" in done.stderr
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything(tmp_path: Path, number: signal.Signals):
    cloud = start_cloud(tmp_path / "data", "--no-worker")
    os.kill(cloud.program.pid, number)
    wait_until_ended(cloud.program)
    assert cloud.program.return_code == 0
    assert processes_of(tmp_path) == []


def test_when_one_dies_all_stop_and_its_last_lines_are_shown(tmp_path: Path):
    cloud = start_cloud(tmp_path / "data", "--no-worker")
    children = Path(f"/proc/{cloud.program.pid}/task/{cloud.program.pid}/children").read_text().split()
    victim = next(pid for pid in children if b"local.cosmos" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(int(victim), signal.SIGKILL)
    wait_until_ended(cloud.program)
    assert cloud.program.return_code == 1
    assert any("cosmos ended with exit status -9" in line for line in cloud.program.tail)
    assert processes_of(tmp_path) == []


def test_a_second_one_on_the_same_data_is_refused(tmp_path: Path):
    cloud = start_cloud(tmp_path / "data", "--no-worker")
    try:
        done = run("--data", str(tmp_path / "data"), "--no-worker")
        assert done.returncode == 1
        assert "Another laptop cloud runs" in done.stderr
    finally:
        cloud.program.stop(grace=30)


def wait_until_ended(program: Program, patience: float = PATIENCE) -> None:
    end = time.monotonic() + patience
    while program.return_code is None and time.monotonic() < end:
        time.sleep(0.1)
    program.kill()
