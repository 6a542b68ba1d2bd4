"""Every command in the documentation is run here, or has a reason why it can't be.

A new command that no rule of the table below knows fails; the first rule that matches decides.
"""

import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from stem_library_client import StemLibraryClient
from stem_library_client.models import JobStatus
from tests.conftest import ROOT, Cloud
from tests.integration import commands


@dataclass(frozen=True)
class On:
    """Run in bash, in a folder like a checkout, where the addresses are those of a laptop cloud."""

    codes: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class DryRun:
    """A target of make, whose recipe must exist and hold `recipe`: what it starts is run by other tests."""

    recipe: str


@dataclass(frozen=True)
class By:
    """Run, in substance, by another test."""

    test: str


@dataclass(frozen=True)
class Cannot:
    """Not run here, for this reason."""

    reason: str


AZURE = Cannot("needs an Azure subscription")
DOCKER = Cannot("needs a container engine")
CORE_TOOLS = Cannot("needs Core Tools, whose installer downloads from outside the registries")
REFUSABLE = On(codes=(0, 1))
"""The job or the song may be in no state for it."""

RULES: list[tuple[str, On | DryRun | By | Cannot]] = [
    (r"(\w+=\S+ )?make run", DryRun("python -m local --data")),
    (r"make test", DryRun("python -m pytest")),
    (r"make setup", DryRun("")),
    (r"export \w+=\$\(azd? .*", AZURE),
    (r"stems (retry|cancel|reanalyse) .*(JOB|SONG).*", REFUSABLE),
    (r"stems .*", On()),
    (r"curl .*", On()),
    (r"export STEMS_API=.*", On()),
    (r"cp local\.settings\.sample\.json local\.settings\.json", On()),
    (r"\.venv/bin/python -m local\.resources local\.settings\.json", On()),
    (r"\. \.venv/bin/activate", On()),
    (r'eval "\$\(python -c .*', On()),
    (r"API_BASE_URL=\S+ WORKER_MODE=serve python -m gpu_worker", By("tests/integration/test_worker.py")),
    (r"CONFORMANCE_(SERVICE_BUS|STORAGE|FUNCTIONS_URL)=.*", DOCKER),
    (r"CONFORMANCE_COSMOS_ENDPOINT=.*", AZURE),
    (r"export ACCEPT_EULA=.*", DOCKER),
    (r"(\w+=\S+ )*docker .*", DOCKER),
    (r".*func start", CORE_TOOLS),
    (r"azd? .*", AZURE),
    (r"gh .*", Cannot("needs a GitHub repository")),
    (r"\.venv/bin/python -m benchmarks \w+", Cannot("takes minutes, and measures what no test holds")),
]

WITHOUT_OPTIONS = {
    "functions.api_document",
    "gpu_worker",
    "gpu_worker.health",
    "local.resources",
    "tests.client_models",
}
"""Modules that take none; other tests run them."""


@functools.cache
def rule_of(command: str) -> On | DryRun | By | Cannot | None:
    return next((how for pattern, how in RULES if re.fullmatch(pattern, command, re.DOTALL)), None)


def ruled(kind: type) -> list[str]:
    return [command for command in commands.in_blocks() if isinstance(rule_of(command), kind)]


@pytest.fixture(scope="module")
def bash(
    cloud: Cloud, client: StemLibraryClient, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs a command in bash: what it finds in its folder, and what its placeholders stand for."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / ".venv").symlink_to(sys.prefix)
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())
    sample["Values"] |= {
        "AUDIO_STORAGE": cloud.storage,
        "COSMOS_ENDPOINT": cloud.cosmos_endpoint,
        "COSMOS_KEY": cloud.cosmos_key,
    }
    (folder / "local.settings.sample.json").write_text(json.dumps(sample))
    tone = 0.3 * np.sin(2 * np.pi * 110 * np.arange(3 * 22_050) / 22_050)
    sf.write(folder / "tone.flac", tone, 22_050)
    path = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "STEMS_API": cloud.api}
    subprocess.run(["stems", "analyse", folder / "tone.flac"], env=env, check=True, capture_output=True)
    song = next(iter(client.list_audio()))
    (folder / "bad.mp3").write_text("not music")
    subprocess.run(["stems", "analyse", folder / "bad.mp3"], env=env, capture_output=True)
    failed = next(iter(client.list_jobs(status=JobStatus.FAILED)))
    env |= {"SONG": song.id, "STEM": client.get_stems_of_audio(song.id)[0].id, "JOB": failed.id}
    (folder / "bad.mp3").unlink()

    def run(command: str) -> subprocess.CompletedProcess[str]:
        known = command.replace("https://my-library.azurewebsites.net", cloud.api)
        known = re.sub(r"\bID\b", song.id, re.sub(r"(?<!\$)\bJOB\b", failed.id, known))
        return subprocess.run(["bash", "-ec", known], cwd=folder, env=env, capture_output=True, text=True)

    return run


def test_every_command_has_a_rule():
    assert [command for command in commands.in_blocks() if rule_of(command) is None] == []


@pytest.mark.parametrize("command", ruled(On))
def test_what_can_run_here_runs(bash: Callable[[str], subprocess.CompletedProcess[str]], command: str):
    rule = rule_of(command)
    assert isinstance(rule, On)
    done = bash(command)
    assert done.returncode in rule.codes, done.stdout + done.stderr


@pytest.mark.parametrize("command", ruled(DryRun))
def test_what_make_starts_is_there(command: str):
    rule = rule_of(command)
    assert isinstance(rule, DryRun)
    done = subprocess.run(["env", *command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert rule.recipe in done.stdout


def test_what_other_tests_run_is_tested_there():
    for command in ruled(By):
        rule = rule_of(command)
        assert isinstance(rule, By)
        assert (ROOT / rule.test).is_file(), command


@functools.cache
def help_of(module: str) -> str:
    command = [sys.executable, "-m", module, "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("command", commands.in_text())
def test_what_the_text_names_is_there(command: str):
    """The target or module, and each option."""
    program, *words = command.split()
    if program == "make":
        subprocess.run([program, words[0], "--dry-run"], cwd=ROOT, check=True, capture_output=True)
        return
    module = words[1]
    if module in WITHOUT_OPTIONS:
        assert importlib.util.find_spec(module)
        return
    assert [word for word in words if word.startswith("--") and word not in help_of(module)] == []
