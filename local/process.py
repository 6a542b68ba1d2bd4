"""A child process of the laptop cloud: started, awaited, its output passed on, stopped."""

import collections
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence

TAIL_LINES = 20
GRACE_SECONDS = 10.0


class ProgramError(Exception):
    """A program of the laptop cloud ended, or did not answer in time."""


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Return whether nobody listens on the port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Program:
    """One child process that says when it is ready by a line that starts with `ready`.

    With `closed`, a text and a number, it counts as stopped once that many lines end with the text: all is
    saved then, whatever keeps the process from ending.

    It gets a process group of its own, so that Ctrl-C reaches the supervisor alone,
    which then stops its children in order.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        ready: str = "ready",
        closed: tuple[str, int] | None = None,
        env: Mapping[str, str] | None = None,
        on_line: Callable[[str, str], None] | None = None,
        on_exit: Callable[["Program"], None] | None = None,
    ) -> None:
        self.name = name
        self.tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self._ready_text = ready
        self._ready_or_dead = threading.Event()
        self._is_ready = False
        self._closed = closed
        self._closed_or_dead = threading.Event()
        self._on_line = on_line
        self._on_exit = on_exit
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
        )
        self._reader = threading.Thread(target=self._read_output, daemon=True, name=f"{name}-output")
        self._reader.start()

    @classmethod
    def module(cls, name: str, module: str, *arguments: str, **options: object) -> "Program":
        """Start `python -m module arguments...` with the interpreter that runs now."""
        return cls(name, [sys.executable, "-m", module, *arguments], **options)  # type: ignore[arg-type]

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        closed_lines = 0
        for raw in self._process.stdout:
            line = raw.rstrip("\n")
            self.tail.append(line)
            if self._on_line:
                self._on_line(self.name, line)
            if not self._is_ready and line.startswith(self._ready_text):
                self._is_ready = True
                self._ready_or_dead.set()
            if self._closed and line.endswith(self._closed[0]):
                closed_lines += 1
                if closed_lines == self._closed[1]:
                    self._closed_or_dead.set()
        self._process.wait()
        self._ready_or_dead.set()
        self._closed_or_dead.set()
        if self._on_exit:
            self._on_exit(self)

    @property
    def pid(self) -> int:
        """Process id, which is its process group too."""
        return self._process.pid

    @property
    def return_code(self) -> int | None:
        """Exit status, or None while it runs."""
        return self._process.poll()

    def wait_ready(self, timeout: float = 60.0) -> "Program":
        """Wait until the program said that it is ready.

        Raises
        ------
        ProgramError
            With the program's last lines, when it ended or stayed silent.
        """
        in_time = self._ready_or_dead.wait(timeout)
        if self._is_ready:
            return self
        what = (
            f"ended with exit status {self.return_code}" if in_time else f"was not ready in {timeout:.0f} s"
        )
        self.kill()
        raise ProgramError(f"{self.name} {what}. Its last lines:\n" + "\n".join(self.tail))

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """SIGTERM, and SIGKILL to the whole group if it has not ended after `grace` seconds."""
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
