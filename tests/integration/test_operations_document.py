"""The commands of docs/operations.md that speak to a deployment, as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile as sf

from stem_library_client import ApiError, StemLibraryClient
from tests.conftest import ROOT, Cloud, wait_for

DOCUMENT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL) for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith(("stems ", "curl "))]
REFUSED = {'stems reanalyse "$SONG"', 'stems cancel "$JOB"'}
"""What the song and the job of this test may be in no state for."""


@pytest.fixture(scope="module")
def env(
    cloud: Cloud, client: StemLibraryClient, tmp_path_factory: pytest.TempPathFactory, demo_song: Path
) -> dict[str, str]:
    """A shell's environment: the command, a song that is analysed, and a job that has failed."""
    folder = tmp_path_factory.mktemp("operations")
    stems = folder / "stems"
    main = "from stem_library_client.command import main; main()"
    stems.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{main}" "$@"\n')
    stems.chmod(0o755)
    bad, good = folder / "bad.mp3", folder / "good.flac"
    bad.write_text("not music")
    sound, rate = sf.read(demo_song, frames=2 * 44_100)
    sf.write(good, sound, rate)
    failed, done = client.upload(bad), client.upload(good)

    def job_of(song: str, status: str) -> str | None:
        try:
            audio = client.get_audio(song)
        except ApiError:
            return None
        return audio.job_id if audio.analysis_status == status else None

    job = wait_for(lambda: job_of(failed, "Rejected"), "the failure")
    wait_for(lambda: job_of(done, "Completed"), "the analysis")
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "STEMS_API": cloud.api, "SONG": done, "JOB": job}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_runs(command: str, env: dict[str, str]):
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Usage" not in done.stderr
    assert done.returncode in ((0, 1) if command in REFUSED else (0,)), done.stderr


def test_there_are_commands():
    assert len(COMMANDS) > 15
    assert set(COMMANDS) >= REFUSED
