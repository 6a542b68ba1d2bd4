"""A child process of the laptop cloud: started, awaited, its output passed on, stopped."""

import collections
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

TAIL_LINES = 20
GRACE_SECONDS = 10.0


class ProgramError(Exception):
    """A program of the laptop cloud ended, or did not answer in time."""


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Return whether nobody listens on the port of 127.0.0.1."""
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


class Program:
    """One child process; it is ready once it prints a line that starts with `ready`.

    With `closed`, a text and a number, it counts as stopped once that many lines end with the text. It has a
    process group of its own (Ctrl-C reaches the supervisor alone), and ends with its parent (on Linux).
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        ready: str = "ready",
        closed: tuple[str, int] | None = None,
        env: Mapping[str, str] | None = None,
        on_line: Callable[[str, str], None] = lambda name, line: None,
        on_exit: Callable[["Program"], None] = lambda program: None,
    ) -> None:
        self.name = name
        self.tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self._ready, self._closed = ready, closed
        self._on_line, self._on_exit = on_line, on_exit
        self._is_ready = False
        self._ready_or_dead = threading.Event()
        self._closed_or_dead = threading.Event()
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        self._reader = threading.Thread(target=self._read_output, daemon=True)
        self._reader.start()

    @classmethod
    def module(cls, name: str, module: str, *arguments: str, **options: Any) -> "Program":
        """Start `python -m module arguments...` with the interpreter that runs now."""
        return cls(name, [sys.executable, "-m", module, *arguments], **options)

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        closed_lines = 0
        for line in map(str.rstrip, self._process.stdout):
            self.tail.append(line)
            self._on_line(self.name, line)
            if line.startswith(self._ready):
                self._is_ready = True
                self._ready_or_dead.set()
            if self._closed and line.endswith(self._closed[0]):
                closed_lines += 1
                if closed_lines == self._closed[1]:
                    self._closed_or_dead.set()
        self._process.wait()
        self._ready_or_dead.set()
        self._closed_or_dead.set()
        self._on_exit(self)

    @property
    def pid(self) -> int:
        """Process id, which is its process group too."""
        return self._process.pid

    @property
    def return_code(self) -> int | None:
        """Exit status, or None while it runs."""
        return self._process.poll()

    def describe_end(self) -> str:
        """Return the exit status and the last lines, for whoever has to find out why."""
        lines = "\n".join(self.tail)
        return f"{self.name} ended with exit status {self.return_code}. Its last lines:\n{lines}"

    def wait_ready(self, timeout: float = 60.0) -> "Program":
        """Wait until the program says that it is ready; ProgramError if it ends or stays silent."""
        self._ready_or_dead.wait(timeout)
        if not self._is_ready:
            self.kill()
            raise ProgramError(self.describe_end())
        return self

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """SIGTERM, and SIGKILL to the whole group once it has closed, or after `grace` seconds."""
        if self.return_code is None:
            self._process.terminate()
            self._closed_or_dead.wait(grace)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole process group, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(GRACE_SECONDS)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
