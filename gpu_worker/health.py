"""The worker's health file, and the probe that reads it: `python -m gpu_worker.health`.

The file says what the worker does and when its consumers' loops came by, of several the one that was seen
longest ago. These loops write it, no thread of its own: a worker with a consumer that hangs grows stale,
however well its other threads do. The probe is the container's HEALTHCHECK; it imports nothing of the worker,
so that it costs no more than starting Python.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

logger = logging.getLogger(__name__)

State = Literal["starting", "ready", "busy", "draining"]
"""`starting` until the model is loaded, `draining` from the signal to stop until the end; of a
worker's consumers the one that is furthest counts."""

BEAT_SECONDS = 5.0
"""Between two writes of an unchanged state at least."""
STALE_SECONDS = 300.0
"""Without a beat for so long the worker hangs, or can't reach its queue; what it does without one (transfers
of an hour's stems, calls of the API with their retries) takes less."""


class HealthFile:
    """Writes state and oldest beat, or nothing where `path` is None; removed by `close`."""

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._seen: dict[int, tuple[State, float]] = {}
        self._state: State = "starting"
        self._written = 0.0
        if path is not None:
            self._write(path, clock())

    def beat(self, state: State, consumer: int = 0) -> None:
        """Note that a consumer is alive, and in which state."""
        if self._path is None:
            return
        with self._lock:
            now = self._clock()
            self._seen[consumer] = state, now
            furthest = max((state for state, _ in self._seen.values()), key=get_args(State).index)
            if furthest == self._state and now - self._written < BEAT_SECONDS:
                return
            self._state = furthest
            try:
                self._write(self._path, min(beat for _, beat in self._seen.values()))
            except OSError as error:  # the work goes on; a file that stays old says enough
                logger.warning("The health file can't be written: %s", error)

    def leave(self, consumer: int) -> None:
        """Wait for no more beats of a consumer that has ended."""
        with self._lock:
            self._seen.pop(consumer, None)

    def close(self) -> None:
        """Remove the file: there is no worker any more."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _write(self, path: Path, beat: float) -> None:
        self._written = self._clock()
        written = path.with_name(f"{path.name}.new")
        written.write_text(json.dumps({"state": self._state, "beat": beat}), "utf-8")
        written.replace(path)


def probe(path: Path, now: float) -> tuple[bool, str]:
    """Return whether a worker can do its work, and a line that says why or why not."""
    try:
        known = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return False, f"no worker writes {path}"
    age = now - known["beat"]
    said = f"{known['state']}, seen {age:.0f} s ago"
    return known["state"] != "starting" and age < STALE_SECONDS, said


def main() -> int:
    """Print the state of the worker whose HEALTH_FILE this is; 0 if it can do its work, else 1."""
    path = os.environ.get("HEALTH_FILE")
    is_well, said = probe(Path(path), time.time()) if path else (False, "HEALTH_FILE is not set")
    print(said)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
