"""What is deployed: an app without the worker's weight, a container built by the script of set-up."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_worker.settings import WorkerSettings
from shared.settings import AppSettings

ROOT = Path(__file__).parent.parent.parent
WORKER = ROOT / "gpu_worker"


def test_the_function_app_imports_nothing_heavy_and_nothing_local():
    settings = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    code = "import json, sys, function_app; print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    imported = set(json.loads(done.stdout))
    assert imported & {"functions", "shared"} == {"functions", "shared"}
    assert imported.isdisjoint(
        {"torch", "numpy", "scipy", "librosa", "demucs", "gpu_worker", "local", "rich"}
    )


def test_the_sample_settings_are_known_settings():
    sample = set(json.loads((ROOT / "local.settings.sample.json").read_text())["Values"])
    platform = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}
    known = {str(field.validation_alias) for field in AppSettings.model_fields.values()}
    assert sample - platform <= known


def test_app_and_worker_share_the_names_of_their_settings():
    app, worker = (
        {str(field.validation_alias): field.default for field in model.model_fields.values()}
        for model in (AppSettings, WorkerSettings)
    )
    for name in app.keys() & worker.keys():
        assert app[name] == worker[name], name


def test_worker_and_app_pin_the_same_versions():
    def pins(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([\w-]+)==(\S+)$", path.read_text(), re.MULTILINE))

    app, worker, laptop = (
        pins(ROOT / folder / "requirements.txt") for folder in (".", "gpu_worker", "local")
    )
    for one, other in ((app, worker), (app, laptop), (worker, laptop)):
        for name in one.keys() & other.keys():
            assert one[name] == other[name], name
    assert {"torch", "numpy", "librosa", "demucs"}.isdisjoint(app)


def test_the_container_is_built_by_the_script_that_set_up_runs():
    dockerfile = (WORKER / "Dockerfile").read_text()
    assert re.search(
        r"^RUN .*gpu_worker/install\.sh python \$\{STEM_MODEL\} \$\{BEAT_MODEL\}$", dockerfile, re.MULTILINE
    )
    assert "gpu_worker/install.sh $(BIN)/python" in (ROOT / "Makefile").read_text()
    assert re.search(r"^USER worker$", dockerfile, re.MULTILINE)
    copied = re.findall(r"^COPY (\S+) \S+$", dockerfile, re.MULTILINE)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert all((ROOT / name).is_dir() and name not in ignored for name in copied)
    imports = r"^(?:from|import) (shared|functions|stem_library_client|gpu_worker|local)\b"
    needed = {
        name
        for path in [*WORKER.rglob("*.py"), *(ROOT / "shared").rglob("*.py")]
        for name in re.findall(imports, path.read_text(), re.MULTILINE)
    }
    assert needed <= set(copied)


def test_the_install_script_names_what_it_lacks(tmp_path: Path):
    """A Python without pip stands for a machine that can't install."""
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    done = subprocess.run([WORKER / "install.sh", broken], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "PyTorch can't be installed" in done.stderr


@pytest.mark.parametrize("name", ["functions", "shared", "web", "function_app.py", "host.json"])
def test_what_the_function_app_needs_is_deployed(name: str):
    assert name not in (ROOT / ".funcignore").read_text().split()


@pytest.mark.parametrize(
    "name", ["gpu_worker", "local", "tests", "stem_library_client", "demo", "benchmarks"]
)
def test_what_it_does_not_need_is_not(name: str):
    assert name in (ROOT / ".funcignore").read_text().split()
