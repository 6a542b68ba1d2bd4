"""Names for the effects that a process has outside itself, at which tests let it die."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

CRASH_AT = "CRASH_AT"
"""Environment variable that names the moment: `before NAME` or `after NAME`."""


@contextmanager
def effect(name: str) -> Iterator[None]:
    """Mark an external effect: a crash before or after it must leave a state that is repaired."""
    _reach(f"before {name}")
    yield
    _reach(f"after {name}")


def _reach(moment: str) -> None:
    if os.environ.get(CRASH_AT) == moment:
        os.kill(os.getpid(), signal.SIGKILL)
