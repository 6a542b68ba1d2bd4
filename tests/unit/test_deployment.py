"""What is deployed: an app without the worker's weight; settings and versions that fit each other."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from gpu_worker.settings import WorkerSettings
from shared.settings import AppSettings

ROOT = Path(__file__).parent.parent.parent


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
