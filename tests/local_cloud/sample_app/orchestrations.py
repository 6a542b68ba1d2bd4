"""The sample app's orchestrations and activities."""

import datetime

import azure.durable_functions as df
import runs

bp = df.Blueprint()


def soon(context: df.DurableOrchestrationContext, seconds: float = 0.1) -> datetime.datetime:
    return context.current_utc_datetime + datetime.timedelta(seconds=seconds)


@bp.orchestration_trigger(context_name="context")
def later(context: df.DurableOrchestrationContext):
    wanted = context.get_input()
    yield context.create_timer(soon(context, wanted["seconds"]))
    return (yield context.call_activity("work", wanted["name"]))


@bp.orchestration_trigger(context_name="context")
def approval(context: df.DurableOrchestrationContext):
    """Waits for an event, no longer than for a timer, which it cancels."""
    context.set_custom_status("waiting")
    timer = context.create_timer(soon(context, 3600))
    event = context.wait_for_external_event("decided")
    winner = yield context.task_any([event, timer])
    if winner == event:
        timer.cancel()
        return event.result
    return "nobody decided"


@bp.orchestration_trigger(context_name="context")
def fan_out(context: df.DurableOrchestrationContext):
    name = context.get_input()["name"]
    return (yield context.task_all([context.call_activity("work", f"{name} {n}") for n in range(3)]))


@bp.orchestration_trigger(context_name="context")
def retried(context: df.DurableOrchestrationContext):
    """Fails twice, then succeeds, beside something else that goes its own way."""
    wanted = context.get_input()
    options = df.RetryOptions(50, wanted["attempts"])
    flaky = context.call_activity_with_retry("flaky", options, wanted["name"])
    return (yield context.task_all([flaky, context.call_activity("work", wanted["name"])]))


@bp.orchestration_trigger(context_name="context")
def nested(context: df.DurableOrchestrationContext):
    yield context.call_sub_orchestrator("later", {"seconds": 0, "name": "inner"})


@bp.activity_trigger(input_name="name")
def work(name: str) -> dict[str, str]:
    runs.record(function="work", name=name)
    if name.startswith("gated"):
        runs.wait_for(name)
    return {"worked on": name}


@bp.activity_trigger(input_name="name")
async def flaky(name: str) -> int:
    runs.record(function="flaky", name=name)
    attempts = sum(run["function"] == "flaky" and run["name"] == name for run in runs.recorded())
    if attempts < 3:
        raise ValueError(f"attempt {attempts}")
    return attempts
