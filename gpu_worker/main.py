"""The consumer: takes messages from the queue, claims their jobs, and settles them by what came of it."""

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

import httpx
from azure.core.exceptions import AzureError
from azure.identity import DefaultAzureCredential
from azure.servicebus import AutoLockRenewer, ServiceBusClient, ServiceBusReceivedMessage, ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError
from pydantic import ValidationError

from gpu_worker import compiled
from gpu_worker.busy import send_gpu_share
from gpu_worker.channel import ModelNames
from gpu_worker.engine import CancelledError, Engine
from gpu_worker.errors import EngineError, ModelUnavailableError, UnsuitableAudioError
from gpu_worker.health import HealthFile, State
from gpu_worker.lease import Lease
from gpu_worker.pipeline import Pipeline
from gpu_worker.settings import WorkerSettings, load_settings
from gpu_worker.songs import SongStorage
from shared import telemetry
from shared.effects import effect
from shared.settings import SettingsError
from shared.worker_contract import AnalysisMessage
from stem_library_client import ApiError, StemLibraryClient
from stem_library_client.models import ClaimRequest, Failure, Job, Kind

logger = logging.getLogger("gpu_worker")

LONGEST_JOB_SECONDS = 6 * 3600
"""Message locks are renewed this long."""
RECEIVE_SECONDS = 1.0
RECONNECT_SECONDS = 2.0
DRAINED_AFTER = 10
"""Empty receives after which a draining worker takes the queue for empty."""


class Worker:
    """Consumes the queue, one job at a time."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._health = _health_file(settings.health_file)
        worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._client = StemLibraryClient(
            settings.api_base_url,
            token=_token_source(settings.api_scope),
            headers=telemetry.headers,
        )
        self._engine = Engine(
            models=ModelNames(
                stem_model=settings.stem_model,
                stem_model_repo=settings.stem_model_repo,
                beat_model=settings.beat_model,
                beat_model_repo=settings.beat_model_repo,
                device=settings.device,
            ),
            recycle_after=settings.recycle_after_jobs,
        )
        send_gpu_share(self._engine.separating, lambda: self._engine.has_gpu)
        self._pipeline = Pipeline(
            client=self._client,
            storage=SongStorage(settings),
            engine=self._engine,
            max_minutes=settings.max_duration_minutes,
            worker_id=worker_id,
        )

    def stop(self, signal_number: int, frame: FrameType | None) -> None:
        """Signal handler: give back the present message and end."""
        self._stopping.set()

    def run(self) -> None:
        """Consume until stopped, or in `drain` mode until the queue is empty.

        Raises
        ------
        ModelUnavailableError
            Before any message is taken.
        """
        self._engine.start()
        try:
            ready = self._engine.wait_ready(lambda: self._should_stop("starting"))
            logger.info(
                "ready: model %s on %s, beats by %s", ready.model_label, ready.device, ready.beat_tracker
            )
            while not self._stopping.is_set() and not self._consume_until_lost():
                self._stopping.wait(RECONNECT_SECONDS)
        except CancelledError:
            logger.info("Stopped before the model was loaded")
        finally:
            self._engine.stop()
            self._client.close()
            self._health.close()

    def _should_stop(self, state: State) -> bool:
        """Return whether a signal came; who asks is alive, which the health file then says."""
        is_stopping = self._stopping.is_set()
        self._health.beat("draining" if is_stopping else state)
        return is_stopping

    def _consume_until_lost(self) -> bool:
        """Consume over one connection; return False if it was lost, and another is needed."""
        try:
            with (
                self._bus() as bus,
                AutoLockRenewer() as renewer,
                bus.get_queue_receiver(self._settings.analysis_queue) as receiver,
            ):
                self._consume(receiver, renewer)
        except ServiceBusError as error:
            logger.warning("The queue can't be reached: %s", error)
            return False
        return True

    def _bus(self) -> ServiceBusClient:
        if self._settings.service_bus:
            return ServiceBusClient.from_connection_string(self._settings.service_bus)
        assert self._settings.service_bus_namespace is not None
        return ServiceBusClient(self._settings.service_bus_namespace, DefaultAzureCredential())

    def _consume(self, receiver: ServiceBusReceiver, renewer: AutoLockRenewer) -> None:
        empty = 0
        while not self._should_stop("ready"):
            messages = receiver.receive_messages(max_message_count=1, max_wait_time=RECEIVE_SECONDS)
            if not messages:
                empty += 1
                if self._settings.worker_mode == "drain" and empty >= DRAINED_AFTER:
                    logger.info("The queue is empty")
                    return
                continue
            empty = 0
            for message in messages:
                renewer.register(receiver, message, max_lock_renewal_duration=LONGEST_JOB_SECONDS)
                self._settle(receiver, message)

    def _settle(self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
        try:
            content = AnalysisMessage.model_validate_json(str(message))
        except ValidationError as error:
            logger.error("Message %s is no analysis message: %s", message.message_id, error)
            receiver.dead_letter_message(
                message, reason="InvalidMessage", error_description="not a message of the analysis queue"
            )
            return
        try:
            traceparent = telemetry.traceparent_of(message.application_properties)
            with telemetry.span_of_call("job", traceparent, job_id=content.job_id):
                is_done = self._handle(content)
        except (ApiError, httpx.TransportError) as error:
            logger.error("Job %s: the API can't be reached: %s", content.job_id, error)
            is_done = False
        try:
            with effect("message settled"):
                if is_done:
                    receiver.complete_message(message)
                else:
                    receiver.abandon_message(message)
        except ServiceBusError as error:
            # The message comes again once its lock has ended; the claim then finds out what is left to do.
            logger.warning("Message %s could not be settled: %s", message.message_id, error)

    def _handle(self, message: AnalysisMessage) -> bool:
        """Work on a message's job; return whether the message is done with."""
        try:
            with telemetry.span("claim"), effect("job claimed"):
                claim = ClaimRequest(attempt=message.attempt, worker_id=self._pipeline.worker_id)
                job = self._client.claim_job(message.job_id, claim)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            # Done, superseded, deleted, or busy: for a busy one the API has queued a message for later.
            logger.info("Job %s is not for this worker: %s", message.job_id, error)
            return True
        return self._work(job)

    def _work(self, job: Job) -> bool:
        logger.info("Job %s: attempt %d of %s", job.id, job.attempt, job.blob_name)
        lease = Lease(
            self._client,
            job_id=job.id,
            attempt=job.attempt,
            worker_id=self._pipeline.worker_id,
            interval=self._settings.heartbeat_seconds,
        )
        try:
            with lease:
                self._pipeline.process(job, lease, lambda: self._should_stop("busy") or lease.lost.is_set())
        except UnsuitableAudioError as error:
            return self._fail(job, Kind.PERMANENT, str(error))
        except CancelledError:
            if lease.lost.is_set():
                return lease.refused
            self._fail(job, Kind.RELEASED, "The worker was shut down.")
            return False
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            logger.warning("Job %s is another's by now: %s", job.id, error)
            return True
        except (EngineError, AzureError, OSError) as error:
            logger.exception("Job %s failed for now", job.id)
            return self._fail(job, Kind.TRANSIENT, f"The analysis failed: {error}"[:2000])
        return True

    def _fail(self, job: Job, kind: Kind, reason: str) -> bool:
        logger.warning("Job %s: %s", job.id, reason)
        telemetry.fail(kind.value)
        failure = Failure(attempt=job.attempt, worker_id=self._pipeline.worker_id, error=reason, kind=kind)
        try:
            self._client.fail_job(job.id, failure)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            logger.warning("Job %s is another's by now: %s", job.id, error)
        return True


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
