"""`make run` runs the Function app anew when its code changes, as Core Tools do."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.process import Program, free_port
from tests.conftest import ROOT, wait_for

PARTS = ("functions", "shared", "web", "infra", "local", "stem_library_client")
FILES = ("function_app.py", "host.json", "local.settings.sample.json")
PAGE = "web/index.html"


class Copy:
    """The laptop cloud, run from a copy of the tree whose code a test may change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in PARTS:
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("node_modules"))
        for name in FILES:
            shutil.copy(ROOT / name, folder)
        (folder / "local/node_modules").symlink_to(ROOT / "local/node_modules")
        self.lines: list[str] = []
        port = free_port()
        command = ["-m", "local", "--data", str(folder / "data"), "--port", str(port), "--no-worker"]
        self.program = Program(
            "local",
            [sys.executable, *command],
            env={"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"},
            on_line=lambda _, line: self.lines.append(line),
        ).wait_ready()
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}")

    def change(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def page(self) -> str:
        try:
            return self.http.get("/").text
        except httpx.TransportError:
            return ""

    def says(self, text: str) -> bool:
        return any(text in line for line in self.lines)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    copy = Copy(tmp_path)
    yield copy
    copy.http.close()
    copy.program.stop(grace=30)
    assert copy.program.return_code == 0, copy.program.tail


def test_changed_code_is_run_and_a_fault_in_it_ends_nothing(copy: Copy):
    assert copy.page()
    assert "A new title" not in copy.page()

    copy.change("function_app.py", "services = ", "services = = ")
    wait_for(lambda: copy.says("SyntaxError"), "the fault in the log")
    assert copy.page() == ""

    copy.change(PAGE, "<title>", "<title>A new title ")
    copy.change("function_app.py", "services = = ", "services = ")
    wait_for(lambda: "A new title" in copy.page(), "the changed page")
    assert copy.http.get("/api/health").json()["status"]
