"""How much of its time a GPU works."""

import threading
import time
from collections.abc import Callable, Iterable

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from shared.instruments import GPU_BUSY_SHARE


class BusyShare:
    """The share of time, 0 to 1, in which something was busy, from one reading to the next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at = clock()
        self._busy = 0.0
        self._begun: float | None = None

    def begin(self) -> None:
        """Be busy from now on."""
        with self._lock:
            self._begun = self._begun or self._clock()

    def end(self) -> None:
        """Be idle from now on."""
        with self._lock:
            self._count(self._clock())
            self._begun = None

    def read(self) -> float:
        """Return the share since the last reading."""
        with self._lock:
            now = self._clock()
            self._count(now)
            share = self._busy / max(now - self._read_at, 1e-9)
            self._read_at, self._busy = now, 0.0
            return min(share, 1.0)

    def _count(self, now: float) -> None:
        if self._begun is not None:
            self._busy += now - self._begun
            self._begun = now


def send_gpu_share(busy: BusyShare, has_gpu: Callable[[], bool]) -> None:
    """Send the share with the other metrics; nothing while there is no GPU."""

    def observe(options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(busy.read())] if has_gpu() else []

    metrics.get_meter("stem_library").create_observable_gauge(GPU_BUSY_SHARE, [observe], "1")
