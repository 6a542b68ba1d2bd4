"""The GitHub workflows: as their schema wants them, without what zizmor warns of, and without a secret."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())


def run(tool: str, *arguments: str) -> None:
    command = [Path(sys.prefix) / "bin" / tool, *arguments, *WORKFLOWS]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_they_are_as_their_schema_wants_them():
    run("check-jsonschema", "--builtin-schema", "vendor.github-workflows")


def test_zizmor_warns_of_nothing():
    run("zizmor", "--offline")


def test_actions_are_pinned_by_commit_with_their_version_beside():
    for path in WORKFLOWS:
        for line in re.findall(r"uses: (.*)", path.read_text()):
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_there_is_no_secret():
    """Azure trusts the environment `production` of the repository; what it must know is variables."""
    assert not [path for path in WORKFLOWS if "secrets." in path.read_text()]
    (deploy,) = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text())["jobs"].values()
    assert deploy["environment"] == "production"
    assert deploy["permissions"] == {"contents": "read", "id-token": "write"}


def test_ci_runs_what_ci_runs_here():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    assert "bash .ci/run" in [step.get("run") for step in jobs["tests"]["steps"]]
