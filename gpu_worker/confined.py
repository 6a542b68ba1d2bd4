"""Readers of untrusted files, each in a process of its own, of limited memory and computing time.

A file of some megabytes may unpack to gigabytes, or keep its reader busy for hours: then that process ends,
and the worker goes on.
"""

import contextlib
import os
import resource
import runpy
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_confined(
    module: str,
    *arguments: str,
    memory_bytes: int,
    computing_seconds: int,
    wall_seconds: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a module, as `python -m MODULE ARGUMENTS`, and return how it ended.

    Parameters
    ----------
    module, arguments : str
        Paths among the arguments must be absolute.
    memory_bytes : int
        Of address space; more is refused.
    computing_seconds : int
        After which SIGXCPU ends it.
    wall_seconds : float, optional
        After which it is killed, however little it computed.

    Raises
    ------
    subprocess.TimeoutExpired
        After `wall_seconds`.
    """
    limits = (str(memory_bytes), str(computing_seconds))
    return subprocess.run(
        [sys.executable, "-m", "gpu_worker.confined", *limits, module, *arguments],
        cwd=ROOT,
        # BLAS would reserve memory for each processor.
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        timeout=wall_seconds,
        check=False,
    )


def complaint(ended: subprocess.CompletedProcess[bytes]) -> str:
    """Return what a process that failed said last, or its exit code."""
    last_line = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    return last_line or f"exit code {ended.returncode}"


def exit_with_parent() -> None:
    """End this process when its parent is gone: what was killed leaves no model and no reader behind."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def main() -> None:
    """Limit this process, and run a module in it."""
    memory_bytes, computing_seconds, module, *arguments = sys.argv[1:]
    exit_with_parent()
    seconds = int(computing_seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    with contextlib.suppress(ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
