"""A consumer: takes messages from the queue, claims their jobs, and settles them by what came of it."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from azure.core.exceptions import AzureError
from azure.identity import DefaultAzureCredential
from azure.servicebus import AutoLockRenewer, ServiceBusClient, ServiceBusReceivedMessage, ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError
from pydantic import ValidationError

from gpu_worker.channel import ModelNames, Ready
from gpu_worker.device import Device
from gpu_worker.engine import CancelledError, Engine
from gpu_worker.errors import EngineError, UnsuitableAudioError
from gpu_worker.health import HealthFile, State
from gpu_worker.lease import Lease
from gpu_worker.pipeline import Pipeline
from gpu_worker.settings import WorkerSettings
from gpu_worker.songs import SongStorage
from shared import telemetry
from shared.effects import effect
from shared.worker_contract import AnalysisMessage
from stem_library_client import ApiError, StemLibraryClient
from stem_library_client.models import ClaimRequest, Failure, Job, Kind

logger = logging.getLogger("gpu_worker")

LONGEST_JOB_SECONDS = 6 * 3600
"""Message locks are renewed this long."""
RECEIVE_SECONDS = 1.0
RECONNECT_SECONDS = 2.0
DRAINED_AFTER = 10
"""Empty receives, of each consumer, after which a draining worker takes the queue for empty."""


@dataclass(frozen=True)
class Common:
    """What the consumers of a worker share."""

    settings: WorkerSettings
    worker_id: str
    client: StemLibraryClient
    storage: SongStorage
    device: Device
    health: HealthFile
    stopping: threading.Event
    """Set by the signal to stop."""


class Consumer:
    """Works on one job at a time, with a model process and a connection of its own.

    `is_drained` tells whether all consumers of the worker found the queue empty for long enough.
    """

    def __init__(self, common: Common, *, number: int, is_drained: Callable[[], bool]) -> None:
        self._common, self._number, self._is_drained = common, number, is_drained
        self._settings, self._client = common.settings, common.client
        self.empty_receives = 0
        """Since the last message; 0 while there is work."""
        self._engine = Engine(
            models=ModelNames(
                stem_model=self._settings.stem_model,
                stem_model_repo=self._settings.stem_model_repo,
                beat_model=self._settings.beat_model,
                beat_model_repo=self._settings.beat_model_repo,
                device=self._settings.device,
            ),
            device=common.device,
            recycle_after=self._settings.recycle_after_jobs,
        )
        self._pipeline = Pipeline(
            client=common.client,
            storage=common.storage,
            engine=self._engine,
            max_minutes=self._settings.max_duration_minutes,
            # Its own: who has a job may claim it again, and a duplicate may come to another consumer.
            worker_id=f"{common.worker_id}.{number}",
        )

    @property
    def has_gpu(self) -> bool:
        """Whether the model is loaded, and on a GPU."""
        return self._engine.has_gpu

    def start_model(self) -> None:
        """Have the model loaded in the background."""
        self._engine.start()

    def wait_ready(self) -> Ready:
        """Wait for the model; raises as `Engine.wait_ready`."""
        return self._engine.wait_ready(lambda: self._should_stop("starting"))

    def stop_model(self) -> None:
        """End the model process."""
        self._engine.stop()

    def run(self) -> None:
        """Consume until told to stop, or in `drain` mode until the queue is empty."""
        stopping = self._common.stopping
        try:
            while not stopping.is_set() and not self._consume_until_lost():
                stopping.wait(RECONNECT_SECONDS)
        finally:
            self._common.health.leave(self._number)

    def _should_stop(self, state: State) -> bool:
        """Return whether a signal came; who asks is alive, which the health file then says."""
        is_stopping = self._common.stopping.is_set()
        self._common.health.beat("draining" if is_stopping else state, self._number)
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
        self.empty_receives = 0
        while not self._should_stop("ready"):
            messages = receiver.receive_messages(max_message_count=1, max_wait_time=RECEIVE_SECONDS)
            if not messages:
                self.empty_receives += 1
                if self._settings.worker_mode == "drain" and self._is_drained():
                    logger.info("The queue is empty")
                    return
                continue
            self.empty_receives = 0
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
        if self._should_stop("busy"):
            return False  # maybe what another consumer of this worker has just given back
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
