"""The nets: timers that repair what crashes and lost messages left, and the drain of dead letters."""

import asyncio
import logging

import azure.durable_functions as df
import azure.functions as func
from pydantic import ValidationError

from functions.job_cleanup import schedule_deletion
from functions.services import Services
from shared import instruments, telemetry
from shared.models import Job
from shared.sweeps import SweepReport
from shared.worker_contract import AnalysisMessage

logger = logging.getLogger(__name__)

WAITING_JOBS = 1000
"""Where more wait for a worker, the age of the oldest is that of the first so many."""

GIVEN_UP = "The analysis was given up after several attempts that ended without a word."


async def run_sweep(services: Services, client: df.DurableOrchestrationClient) -> SweepReport:
    """Run the sweep; jobs that it finds ended are deleted in their time. Then measure, if anybody is told."""

    async def on_ended(job: Job) -> None:
        await schedule_deletion(client, job)

    report = await services.sweeps.sweep(on_ended)
    if services.settings.has_destination:
        await measure(services)
    return report


async def measure(services: Services) -> None:
    """Tell the metrics how jobs, queue and library stand now."""
    now = services.clock()
    jobs, waiting_since, library = await asyncio.gather(
        services.job_statistics.count_live(),
        services.sweeps.jobs.waiting_since(WAITING_JOBS),
        services.library_statistics.sum_up(now.date(), days=1),
    )
    for status, number in jobs.items():
        instruments.JOBS.set(number, {"status": status})
    waited = (now - waiting_since).total_seconds() if waiting_since else 0.0
    instruments.OLDEST_MESSAGE_AGE.set(max(waited, 0.0))  # it may have been put off to a later time
    for kind, number in library.stems_by_type.items():
        instruments.STEMS.set(number, {"type": kind})
    instruments.GROWTH.set(library.growth[0].stems)


def blueprint(services: Services) -> df.Blueprint:
    """Return the timers and the trigger of the dead-letter queue."""
    bp = df.Blueprint()

    @bp.timer_trigger(arg_name="timer", schedule="%STALE_SWEEP_SCHEDULE%")  # type: ignore[untyped-decorator]
    @bp.durable_client_input(client_name="client")  # type: ignore[untyped-decorator]
    async def sweep_jobs(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
        with telemetry.span_of_call("sweep_jobs", None):
            report = await run_sweep(services, client)
        if any(report.model_dump().values()):
            logger.info("Sweep: %s", report, extra={"action": "jobs swept"})

    @bp.timer_trigger(arg_name="timer", schedule="%PURGE_SCHEDULE%")  # type: ignore[untyped-decorator]
    async def purge_jobs(timer: func.TimerRequest) -> None:
        with telemetry.span_of_call("purge_jobs", None):
            purged = await services.sweeps.purge()
        if purged:
            logger.info("Purge: %d jobs", purged, extra={"action": "jobs purged"})

    @bp.service_bus_queue_trigger(  # type: ignore[untyped-decorator]
        arg_name="message",
        queue_name=f"{services.settings.analysis_queue}/$deadletterqueue",
        connection="SERVICEBUS",
    )
    @bp.durable_client_input(client_name="client")  # type: ignore[untyped-decorator]
    async def on_dead_letter(message: func.ServiceBusMessage, client: df.DurableOrchestrationClient) -> None:
        instruments.DEAD_LETTERS.add(1)
        traceparent = telemetry.traceparent_of(message.application_properties)
        with telemetry.span_of_call("on_dead_letter", traceparent):
            try:
                content = AnalysisMessage.model_validate_json(message.get_body())
            except ValidationError:
                logger.exception("Dead letter %s is no analysis message", message.message_id)
                return
            telemetry.note(job_id=content.job_id, audio_file_id=content.audio_file_id)
            job = await services.workflow.on_dead_letter(content, GIVEN_UP)
            if job:
                await schedule_deletion(client, job)

    return bp
