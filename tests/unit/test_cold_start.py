"""A cold start: importing the app costs little beyond the Azure SDKs that it uses."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 6
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
MEASURE = f"""
import json, sys, time
begin = time.process_time()
import {", ".join(SDKS)}
sdks = time.process_time() - begin
import function_app
print(json.dumps([sdks, time.process_time() - begin, sorted(sys.modules)]))
"""


def measure() -> tuple[float, float, list[str]]:
    """Processor time for the SDKs, and for them and the app, in one process; and what is imported."""
    settings = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    sdks, app, imported = json.loads(done.stdout)
    return sdks, app, imported


def test_importing_the_app_takes_little_longer_than_importing_the_sdks():
    ratios: list[float] = []
    while len(ratios) < ROUNDS and not any(ratio <= BAR for ratio in ratios):  # other work only adds
        sdks, app, _ = measure()
        ratios.append(app / sdks)
    assert min(ratios) <= BAR, f"the app takes {ratios} times as long as the SDKs alone"


def test_a_cold_start_imports_nothing_that_it_does_not_need():
    _, _, imported = measure()
    assert {name.partition(".")[0] for name in imported}.isdisjoint({"torch", "numpy", "librosa", "scipy"})
    assert "functions.document" not in imported, "the API document is made at first request"


def test_what_is_compared_with_is_what_the_app_uses():
    lines = [
        line
        for folder in ("functions", "shared")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if re.match("(from|import) azure", line)
    ]
    used = {line.split()[1] for line in lines}
    assert {name for name in SDKS if name not in used} == set()
