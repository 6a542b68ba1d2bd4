"""The device that the models of a worker share: one song at a time is separated on it."""

import threading
import time
from collections.abc import Callable

from gpu_worker.busy import BusyShare


class Device:
    """Whose it is may separate: so a separation's memory is needed once, however many songs are at work.

    A thread of the worker holds it for its model process, which has no part in the lock: one that is killed
    leaves nothing taken, since the thread that waits for its answers gives the device back once it is gone.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._taken = threading.Lock()
        self.separating = BusyShare(clock)

    def take(self, patience: float) -> bool:
        """Wait for the device at most so many seconds; return whether it is the caller's now."""
        if not self._taken.acquire(timeout=patience):
            return False
        self.separating.begin()
        return True

    def give_back(self) -> None:
        """Let another have it."""
        self.separating.end()
        self._taken.release()
