"""The nets: timers that repair what crashes and lost messages left, and the drain of dead letters."""

import logging

import azure.durable_functions as df
import azure.functions as func
from pydantic import ValidationError

from functions.job_cleanup import schedule_deletion
from functions.services import Services
from shared.models import Job
from shared.sweeps import SweepReport
from shared.worker_contract import AnalysisMessage

logger = logging.getLogger(__name__)

GIVEN_UP = "The analysis was given up after several attempts that ended without a word."


async def run_sweep(services: Services, client: df.DurableOrchestrationClient) -> SweepReport:
    """Run the sweep once; jobs that it finds ended are deleted in their time."""

    async def on_ended(job: Job) -> None:
        await schedule_deletion(client, job)

    return await services.sweeps.sweep(on_ended)


def blueprint(services: Services) -> df.Blueprint:
    """Return the timers and the trigger of the dead-letter queue."""
    bp = df.Blueprint()

    @bp.timer_trigger(arg_name="timer", schedule="%STALE_SWEEP_SCHEDULE%")  # type: ignore[untyped-decorator]
    @bp.durable_client_input(client_name="client")  # type: ignore[untyped-decorator]
    async def sweep_jobs(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
        report = await run_sweep(services, client)
        if any(report.model_dump().values()):
            logger.info("Sweep: %s", report, extra={"action": "jobs swept"})

    @bp.timer_trigger(arg_name="timer", schedule="%PURGE_SCHEDULE%")  # type: ignore[untyped-decorator]
    async def purge_jobs(timer: func.TimerRequest) -> None:
        if purged := await services.sweeps.purge():
            logger.info("Purge: %d jobs", purged, extra={"action": "jobs purged"})

    @bp.service_bus_queue_trigger(  # type: ignore[untyped-decorator]
        arg_name="message",
        queue_name=f"{services.settings.analysis_queue}/$deadletterqueue",
        connection="SERVICEBUS",
    )
    @bp.durable_client_input(client_name="client")  # type: ignore[untyped-decorator]
    async def on_dead_letter(message: func.ServiceBusMessage, client: df.DurableOrchestrationClient) -> None:
        try:
            content = AnalysisMessage.model_validate_json(message.get_body())
        except ValidationError:
            logger.exception("Dead letter %s is no analysis message", message.message_id)
            return
        job = await services.workflow.on_dead_letter(content, GIVEN_UP)
        if job:
            await schedule_deletion(client, job)

    return bp
