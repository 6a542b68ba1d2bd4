"""The shell commands of the documentation."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

BLOCK = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"(?:^|\s+)# .*$")
INLINE = re.compile(r"`((?:python -m|make) [^`]+)`")


def documents() -> list[Path]:
    """Return the pages that a reader takes commands from."""
    return [
        ROOT / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "infra").rglob("*.md")),
    ]


def in_blocks() -> list[str]:
    """Return each command of the shell blocks once, in order, without comments."""
    found = [
        command
        for path in documents()
        for block in BLOCK.findall(path.read_text("utf-8"))
        for command in _commands(block)
    ]
    return list(dict.fromkeys(found))


def in_text() -> list[str]:
    """Return each `python -m` and `make` that stands in the text."""
    return sorted({command for path in documents() for command in INLINE.findall(path.read_text("utf-8"))})


def _commands(block: str) -> Iterator[str]:
    """Yield the commands of a block: as many lines as bash takes for one."""
    command = ""
    for line in block.splitlines():
        command += COMMENT.sub("", line)
        if (
            command.endswith("\\")
            or subprocess.run(["bash", "-n", "-c", command], capture_output=True).returncode
        ):
            command += "\n"
        elif command.strip():
            yield command.strip()
            command = ""
    assert not command.strip(), f"no command: {command}"
