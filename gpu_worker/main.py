"""The worker: its consumers, the signals that stop them, and what they share."""

import concurrent.futures
import logging
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from azure.identity import DefaultAzureCredential

from gpu_worker import compiled
from gpu_worker.busy import send_gpu_share
from gpu_worker.consumer import DRAINED_AFTER, Common, Consumer
from gpu_worker.device import Device
from gpu_worker.engine import CancelledError
from gpu_worker.errors import ModelUnavailableError
from gpu_worker.health import HealthFile
from gpu_worker.settings import WorkerSettings, load_settings
from gpu_worker.songs import SongStorage
from shared import telemetry
from shared.settings import SettingsError
from stem_library_client import StemLibraryClient

logger = logging.getLogger("gpu_worker")


class Worker:
    """Consumes the queue, `SONGS_AT_ONCE` jobs at a time."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._stopping = threading.Event()
        self._health = _health_file(settings.health_file)
        self._client = StemLibraryClient(
            settings.api_base_url,
            token=_token_source(settings.api_scope),
            headers=telemetry.headers,
        )
        common = Common(
            settings=settings,
            worker_id=f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
            client=self._client,
            storage=SongStorage(settings),
            device=Device(),
            health=self._health,
            stopping=self._stopping,
        )
        self._consumers = [
            Consumer(common, number=number, is_drained=self._is_drained)
            for number in range(settings.songs_at_once)
        ]
        send_gpu_share(common.device.separating, lambda: any(each.has_gpu for each in self._consumers))

    def stop(self, signal_number: int, frame: FrameType | None) -> None:
        """Signal handler: give back the present messages and end."""
        self._stopping.set()

    def run(self) -> None:
        """Consume until stopped, or in `drain` mode until the queue is empty.

        Raises
        ------
        ModelUnavailableError
            Before any message is taken.
        """
        try:
            for consumer in self._consumers:
                consumer.start_model()
            for consumer in self._consumers:
                ready = consumer.wait_ready()
            logger.info(
                "ready: model %s on %s, beats by %s", ready.model_label, ready.device, ready.beat_tracker
            )
            self._consume()
        except CancelledError:
            logger.info("Stopped before the model was loaded")
        finally:
            for consumer in self._consumers:
                consumer.stop_model()
            self._client.close()
            self._health.close()

    def _consume(self) -> None:
        """Run each consumer in a thread of its own; this one is for the signals."""
        with concurrent.futures.ThreadPoolExecutor(len(self._consumers), "consumer") as threads:
            runs = [threads.submit(consumer.run) for consumer in self._consumers]
            concurrent.futures.wait(runs, return_when=concurrent.futures.FIRST_EXCEPTION)
            self._stopping.set()  # where one failed, the others give back what they have
        for run in runs:
            run.result()

    def _is_drained(self) -> bool:
        """Return whether no consumer has work, or found any for a while; until then all look for it."""
        return all(consumer.empty_receives >= DRAINED_AFTER for consumer in self._consumers)


def _health_file(path: Path | None) -> HealthFile:
    try:
        return HealthFile(path)
    except OSError as error:
        raise SettingsError(f"HEALTH_FILE can't be written: {error}") from None


def _token_source(scope: str | None) -> Callable[[], str] | None:
    if scope is None:
        return None
    credential = DefaultAzureCredential()
    return lambda: credential.get_token(scope).token


def main() -> int:
    """Run the worker; 1 and one line where it can't start."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("azure").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = load_settings()
        if settings.compiled_functions:
            compiled.unpack(settings.compiled_functions)
        telemetry.set_up("stem-library-worker", settings)
        worker = Worker(settings)
        signal.signal(signal.SIGTERM, worker.stop)
        signal.signal(signal.SIGINT, worker.stop)
        worker.run()
    except (SettingsError, ModelUnavailableError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
