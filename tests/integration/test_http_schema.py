"""The app does what its API document says, and survives the rest: Schemathesis, with all its checks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

from tests.conftest import Cloud
from tests.integration.http_library import make_song

CONFIGURATION = Path(__file__).parent.parent / "schemathesis.toml"
SEED = 14
CASES = 2000


def test_the_app_keeps_to_its_document(guarded: Cloud, tmp_path: Path):
    with httpx.Client(base_url=guarded.api, timeout=30) as http:
        song = make_song(http)
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)]
    command += [
        "run",
        f"{guarded.api}/api/openapi.json",
        "--checks",
        "all",
        "--seed",
        str(SEED),
        "--no-color",
    ]
    command += ["--report", "json", "--report-json-path", str(report)]
    known = {"SONG_ID": song.id, "STEM_ID": song.stems[0], "JOB_ID": song.job_id}
    done = subprocess.run(
        command, env={**os.environ, **known}, cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    cases = re.search(r"([\d,]+) generated", done.stdout)
    assert cases
    assert int(cases[1].replace(",", "")) >= CASES
