"""The worker's image: a Dockerfile without a fault that hadolint knows, built by the script of set-up.

Nothing here builds it, for want of a container engine. What it is built by runs all the same: `make setup`,
on CI in a clean clone, runs the install script in an empty environment, which takes minutes and is not
repeated here; tests/integration/test_deployed.py runs the worker as its last stage says.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pathspec import GitIgnoreSpec

ROOT = Path(__file__).parent.parent.parent
WORKER = ROOT / "gpu_worker"
BUILD, LAST = (WORKER / "Dockerfile").read_text().replace("\\\n", " ").split("\nFROM ${BASE}")[1:]
PREVIEW_DIGEST = "bb79de56"


def test_hadolint_finds_nothing():
    hadolint = Path(sys.prefix) / "bin" / "hadolint"
    done = subprocess.run([hadolint, WORKER / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_image_is_built_by_the_script_that_set_up_runs():
    steps = re.findall(r"^RUN (.*)$", BUILD, re.MULTILINE)
    assert len(steps) == 1
    assert 'gpu_worker/install.sh /opt/venv/bin/python "${STEM_MODEL}" "${STEM_MODEL_DIGEST}"' in steps[0]
    assert "gpu_worker/install.sh $(BIN)/python" in (ROOT / "Makefile").read_text()


def test_the_last_stage_installs_nothing_and_runs_without_a_name():
    assert re.findall(r"\bpip (\w+)", LAST) == ["uninstall"]
    assert "apt" not in LAST
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", LAST, re.MULTILINE)
    assert re.search(r'^HEALTHCHECK .*CMD \["python", "-m", "gpu_worker.health"\]$', LAST, re.MULTILINE)


def test_the_image_gets_the_code_that_it_imports_and_no_more():
    copied = re.findall(r"^COPY (\S+) \1$", BUILD, re.MULTILINE)
    ignored = GitIgnoreSpec.from_lines((ROOT / ".dockerignore").read_text().splitlines())
    sent = {path.name for path in ROOT.iterdir() if not ignored.match_file(path.name)}
    assert sent == set(copied)
    assert ignored.match_file("shared/__pycache__/models.cpython-311.pyc")
    imports = r"^(?:from|import) (shared|functions|stem_library_client|gpu_worker|local)\b"
    needed = {
        name
        for folder in copied
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(imports, path.read_text(), re.MULTILINE)
    }
    assert needed == set(copied)


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python that takes all packages for installed."""
    shim = tmp_path / "python"
    shim.write_text(f'#!/bin/sh\n[ "$1" = -m ] || exec {sys.executable} "$@"\n')
    shim.chmod(0o755)
    return shim


@pytest.mark.parametrize(("digest", "code"), [(PREVIEW_DIGEST, 0), ("00000000", 1)])
def test_the_install_script_verifies_the_weights(python: Path, digest: str, code: int):
    command = [WORKER / "install.sh", python, "preview", digest]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, f"preview@{PREVIEW_DIGEST}\n")
    assert ("These are not the weights of preview that were asked for" in done.stderr) == bool(code)


def test_ci_builds_the_image_with_the_weights_that_are_here():
    build_argument = f"STEM_MODEL=preview --build-arg STEM_MODEL_DIGEST={PREVIEW_DIGEST}"
    assert build_argument in (ROOT / ".github/workflows/ci.yml").read_text()


def test_the_install_script_names_what_it_lacks(tmp_path: Path):
    """A Python without pip stands for a machine that can't install."""
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    done = subprocess.run([WORKER / "install.sh", broken], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "PyTorch can't be installed" in done.stderr
