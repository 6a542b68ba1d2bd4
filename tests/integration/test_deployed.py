"""As deployed: the Function app's package with its requirements alone, and the worker as in its container."""

import json
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import wait_for
from tests.faults.product import Product
from tests.faults.workers import check_four_stems, wait_for_job
from tests.integration import deployed

IN_PACKAGE = {"function_app.py", "functions", "host.json", "requirements.txt", "shared", "web"}
PACKAGE_MB = 1
LOOK_FOR_FOREIGNERS = """
import sys, sysconfig
from pathlib import Path
import function_app
homes = [Path.cwd(), Path(sys.prefix), *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))]
files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
print([name for name, file in files.items() if file and not any(map(Path(file).is_relative_to, homes))])
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked package."""
    folder = tmp_path_factory.mktemp("package")
    written = deployed.write_package(folder / "package.zip")
    with zipfile.ZipFile(written) as opened:
        opened.extractall(folder / "app")
    return folder / "app"


@pytest.fixture(scope="module")
def environment(pytestconfig: pytest.Config) -> Path:
    return deployed.install(pytestconfig.cache.mkdir("function-app"))


@pytest.fixture(scope="module")
def product(package: Path, environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    python = deployed.host_command(environment)
    with Product(tmp_path_factory.mktemp("deployed"), app=package, python=python) as running:
        yield running


@pytest.fixture(scope="module")
def upload(product: Product, demo_song: Path) -> str:
    """The id of a song whose job waits for a worker."""
    audio_file_id = product.client.upload(demo_song)
    wait_for_job(product, audio_file_id, status="Pending")
    return audio_file_id


@pytest.fixture
def tmp(tmp_path: Path) -> Path:
    """What is the container's /tmp."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    if not deployed.is_container_possible(folder):
        pytest.skip("this machine allows no namespaces (unshare --user --mount)")
    return folder


def test_the_package_holds_the_app_and_nothing_else(package: Path):
    assert {path.name for path in package.iterdir()} == IN_PACKAGE
    assert not [path for path in package.rglob("*") if path.suffix in (".pyc", ".map", ".md")]
    assert (package.parent / "package.zip").stat().st_size < PACKAGE_MB * 1e6


def test_the_app_imports_what_it_brings_and_nothing_else(package: Path, environment: Path):
    settings = json.loads((deployed.ROOT / "local.settings.sample.json").read_text())["Values"]
    command = [environment / "bin" / "python", "-c", LOOK_FOR_FOREIGNERS]
    done = subprocess.run(command, cwd=package, env=settings, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_packaged_app_serves(product: Product, upload: str):
    assert httpx.get(f"{product.api}/api/health").json()["status"] == "healthy"
    assert httpx.get(f"{product.api}/api/audio/{upload}").json()["id"] == upload
    for address in ("/", "/api/docs"):
        page = httpx.get(product.api + address)
        loaded = re.findall(r'(?:src|href)="([^"#:]+)"', page.text)
        assert loaded, address
        for name in loaded:
            assert httpx.get(page.url.join(name)).status_code == 200, name


def test_the_contained_worker_writes_to_its_tmp_alone(product: Product, upload: str, tmp: Path):
    """It leaves no song there, and compiles nothing anew; its probe tells how it is."""
    compiled = tmp.parent / "compiled"
    deployed.write_compiled(compiled)
    image = deployed.image_environment(tmp)
    environment = {**image, "COMPILED_FUNCTIONS": str(compiled)}
    environment |= {"STEM_MODEL": "preview", "BEAT_MODEL": "final0"}  # what the build would have chosen
    del environment["NUMBA_CPU_NAME"]  # set-up has compiled for this machine
    for name in ("API_BASE_URL", "AUDIO_STORAGE", "SERVICEBUS"):
        environment[name] = product.settings[name]
    probe = [*deployed.container_command(tmp, image), "-m", "gpu_worker.health"]

    def health() -> tuple[int, str]:
        done = subprocess.run(probe, capture_output=True, text=True)
        return done.returncode, done.stdout.split(",")[0]

    write = [*deployed.container_command(tmp, image), "-c", "open('gpu_worker/written', 'w')"]
    assert "Read-only file system" in subprocess.run(write, capture_output=True, text=True).stderr
    worker = product.start_worker(python=deployed.container_command(tmp, environment))
    wait_for(lambda: health() == (0, "busy"), "the work")
    check_four_stems(product, wait_for_job(product, upload, status="Completed"))
    assert image["WORKER_MODE"] == "drain"
    wait_for(lambda: worker.return_code is not None, "the end of the draining worker")
    assert worker.return_code == 0
    assert [path.name for path in tmp.iterdir()] == ["compiled"]
    laid = {path.relative_to(compiled) for path in compiled.rglob("*.nb?")}
    found = {path.relative_to(tmp / "compiled") for path in tmp.rglob("*.nb?")}
    assert laid == {path for path in found if path.parent in {file.parent for file in laid}}
