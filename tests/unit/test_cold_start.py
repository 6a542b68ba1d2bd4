"""A cold start: importing the app costs little beyond the Azure SDKs that it uses."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 3
BAR = 1.5

SDKS = (
    "azure.functions",
    "azure.durable_functions",
    "azurefunctions.extensions.bindings.blob",
    "azure.cosmos.aio",
    "azure.identity.aio",
    "azure.servicebus.aio",
    "azure.storage.blob.aio",
)
MEASURE = """
import json, sys, time
begin = time.perf_counter()
import {modules}
print(json.dumps([time.perf_counter() - begin, sorted(sys.modules)]))
"""


def measure(*modules: str) -> tuple[float, list[str]]:
    settings = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(modules=", ".join(modules))],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    seconds, imported = json.loads(done.stdout)
    return seconds, imported


def test_importing_the_app_takes_little_longer_than_importing_the_sdks():
    # One after the other, so that both meet the same machine; the best of each is the least disturbed.
    rounds = [(measure("function_app"), measure(*SDKS)) for _ in range(ROUNDS)]
    app = min(seconds for (seconds, _), _ in rounds)
    sdks = min(seconds for _, (seconds, _) in rounds)
    assert app <= BAR * sdks, f"{app:.2f} s for the app, {sdks:.2f} s for the SDKs alone"
    imported = {name.partition(".")[0] for name in rounds[0][0][1]}
    assert imported.isdisjoint({"torch", "numpy", "librosa", "scipy"})
    assert set(SDKS) <= set(rounds[0][0][1]), "what is compared with is what the app uses"
    assert "functions.document" not in rounds[0][0][1], "the API document is made at first request"
