"""The lease on a job: heartbeats from a thread of their own, and the news that it is lost."""

import contextvars
import logging
import threading
from types import TracebackType

import httpx

from stem_library_client import ApiError, StemLibraryClient
from stem_library_client.models import Heartbeat

logger = logging.getLogger(__name__)

MIN_INTERVAL = 1.0
"""Seconds between two heartbeats at least, however fast the progress."""


class Lease:
    """Beats while it is entered; the heartbeat is the lease.

    A worker whose heartbeat is refused, or can't be written within the client's patience, must stop: `lost`
    is set then, and `refused` tells the one from the other.
    """

    def __init__(
        self, client: StemLibraryClient, *, job_id: str, attempt: int, worker_id: str, interval: float
    ):
        self._client = client
        self._job_id = job_id
        self._attempt, self._worker_id = attempt, worker_id
        self._interval = interval
        self._step = "Starting"
        self._progress = 0
        self._beaten = 0
        self._news = threading.Event()
        self._ended = threading.Event()
        # In the context, so that heartbeats belong to the job's trace.
        beat = contextvars.copy_context().run
        self._thread = threading.Thread(target=beat, args=(self._beat,), daemon=True, name="heartbeat")
        self.lost = threading.Event()
        self.refused = False

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._news.set()
        self._thread.join()

    def report(self, step: str, progress: float) -> None:
        """Note step and per cent for the next heartbeat, which comes soon if that is news."""
        is_new_step = step != self._step
        is_further = int(progress) >= self._beaten + 5
        self._step, self._progress = step, int(progress)
        if is_new_step or is_further:
            self._news.set()

    def _beat(self) -> None:
        while not self._ended.is_set():
            self._news.clear()
            step, progress = self._step, self._progress
            self._beaten = progress
            beat = Heartbeat(attempt=self._attempt, worker_id=self._worker_id, step=step, progress=progress)
            try:
                self._client.beat_job(self._job_id, beat)
            except ApiError as error:
                logger.warning("Heartbeat of job %s refused: %s", self._job_id, error)
                self.refused = error.status in (404, 409)
                self.lost.set()
                return
            except httpx.TransportError as error:
                logger.warning("Heartbeat of job %s can't be written: %s", self._job_id, error)
                self.lost.set()
                return
            self._ended.wait(MIN_INTERVAL)
            self._news.wait(self._interval)
