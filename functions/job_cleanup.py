"""The durable deletion of ended jobs: completed ones after 30 s, failed and cancelled ones after 7 days."""

import json
import logging
from collections.abc import Generator
from datetime import datetime
from typing import Any

import azure.durable_functions as df

from functions.services import Services
from shared import telemetry
from shared.effects import effect
from shared.models import Job

logger = logging.getLogger(__name__)

ORCHESTRATION = "delete_job_when_due"
RETRIES = df.RetryOptions(first_retry_interval_in_milliseconds=10_000, max_number_of_attempts=5)


async def schedule_deletion(client: df.DurableOrchestrationClient, job: Job) -> None:
    """Start the one orchestration that deletes this job, if it has ended; one started before goes on."""
    if not job.is_terminal:
        return
    assert job.delete_after is not None, "an ended job has a time of deletion"
    instance_id = f"{job.id}-{job.attempt}"
    if await _is_known(client, instance_id):
        return
    due = {
        "jobId": job.id,
        "attempt": job.attempt,
        "deleteAfter": job.delete_after.isoformat(),
        "traceparent": job.traceparent,
    }
    try:
        with effect("orchestration started"):
            await client.start_new(ORCHESTRATION, instance_id=instance_id, client_input=due)
    except Exception:
        # The SDK has no error of its own for an instance that somebody else started meanwhile.
        if not await _is_known(client, instance_id):
            raise


async def _is_known(client: df.DurableOrchestrationClient, instance_id: str) -> bool:
    status = await client.get_status(instance_id)
    return status is not None and status.runtime_status is not None


def blueprint(services: Services) -> df.Blueprint:
    """Return the orchestration and its activity."""
    bp = df.Blueprint()

    @bp.orchestration_trigger(context_name="context", orchestration=ORCHESTRATION)  # type: ignore[untyped-decorator]
    def delete_job_when_due(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        due = context.get_input()
        yield context.create_timer(datetime.fromisoformat(due["deleteAfter"]))
        deleted = yield context.call_activity_with_retry("delete_job_if_due", RETRIES, json.dumps(due))
        return deleted

    @bp.activity_trigger(input_name="due")  # type: ignore[untyped-decorator]
    async def delete_job_if_due(due: str) -> bool:
        job = json.loads(due)
        with telemetry.span_of_call("delete_job_if_due", job.get("traceparent"), job_id=job["jobId"]):
            try:
                return await services.workflow.delete_job_if_due(job["jobId"], job["attempt"])
            except Exception:
                # Noted with its job whatever it is, and raised again: the orchestration repeats the activity.
                extra = {"action": "deletion failed", "job_id": job["jobId"]}
                logger.exception("Job %s could not be deleted", job["jobId"], extra=extra)
                raise

    return bp
