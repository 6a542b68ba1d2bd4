"""Orchestrators of many kinds, and a host without sockets that runs them."""

import asyncio
import datetime
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import azure.durable_functions as df
from azure.durable_functions.models.history.HistoryEventType import HistoryEventType as Kind

from local.functions.app import App, described
from local.functions.durable import Instance, Orchestrations
from local.functions.table import Table

TIMEOUT = 60.0
SHORT = datetime.timedelta(milliseconds=30)
LONG = datetime.timedelta(days=7)
dfapp = df.DFApp()
calls: list[str] = []
version = {"of the orchestrator": 1}


def now(context: df.DurableOrchestrationContext) -> datetime.datetime:
    return context.current_utc_datetime


@dfapp.orchestration_trigger(context_name="context")
def clean_up(context: df.DurableOrchestrationContext):
    started = now(context)
    yield context.create_timer(started + SHORT)
    first = yield context.call_activity("work", "first")
    yield context.create_timer(now(context) + SHORT)
    second = yield context.call_activity("work", context.get_input())
    return {"results": [first, second], "waited": now(context) - started >= 2 * SHORT}


@dfapp.orchestration_trigger(context_name="context")
def retrying(context: df.DurableOrchestrationContext):
    options = df.RetryOptions(30, 3)
    first = context.call_activity_with_retry("flaky", options, "x")
    second = context.call_activity_with_retry("flaky", options, "y")
    results = yield context.task_all([first, context.call_activity("work", "beside"), second])
    results.append((yield context.call_activity("work", "after")))
    return results


@dfapp.orchestration_trigger(context_name="context")
def giving_up(context: df.DurableOrchestrationContext):
    try:
        yield context.call_activity_with_retry("failing", df.RetryOptions(30, 2), "x")
    except Exception as error:  # noqa: BLE001 (the SDK raises nothing narrower)
        return [str(error), (yield context.call_activity("work", "after"))]


@dfapp.orchestration_trigger(context_name="context")
def racing(context: df.DurableOrchestrationContext):
    event, timer = context.wait_for_external_event("go"), context.create_timer(now(context) + LONG)
    winner = yield context.task_any([event, timer])
    if context.get_input() == "cancel":
        timer.cancel()
    return [winner == event, event.result, (yield context.call_activity("work", "after"))]


@dfapp.orchestration_trigger(context_name="context")
def out_of_time(context: df.DurableOrchestrationContext):
    event, timer = context.wait_for_external_event("go"), context.create_timer(now(context) + SHORT)
    return (yield context.task_any([event, timer])) == timer


@dfapp.orchestration_trigger(context_name="context")
def cancels_and_fails(context: df.DurableOrchestrationContext):
    timer = context.create_timer(now(context) + LONG)
    yield context.task_any([context.call_activity("work", "before"), timer])
    timer.cancel()
    raise ValueError("a fault of the orchestrator")


@dfapp.orchestration_trigger(context_name="context")
def week(context: df.DurableOrchestrationContext):
    yield context.create_timer(now(context) + LONG)
    return (yield context.call_activity("work", "after a week"))


@dfapp.orchestration_trigger(context_name="context")
def two_events(context: df.DurableOrchestrationContext):
    yield context.create_timer(now(context) + SHORT)
    first = yield context.wait_for_external_event("one")
    return [first, (yield context.wait_for_external_event("two"))]


@dfapp.orchestration_trigger(context_name="context")
def catching(context: df.DurableOrchestrationContext):
    try:
        yield context.call_activity("failing")
    except Exception as error:  # noqa: BLE001 (the SDK raises nothing narrower)
        caught = str(error)
    yield context.call_activity(context.get_input() or "work", "after")
    return caught


@dfapp.orchestration_trigger(context_name="context")
def raising(context: df.DurableOrchestrationContext):
    yield context.call_activity("work", "before")
    raise ValueError("a fault of the orchestrator")


@dfapp.orchestration_trigger(context_name="context")
def changing(context: df.DurableOrchestrationContext):
    if version["of the orchestrator"] == 1:
        yield context.create_timer(now(context) + SHORT)
    yield context.call_activity("work", "x")


@dfapp.orchestration_trigger(context_name="context")
def sub(context: df.DurableOrchestrationContext):
    yield context.call_sub_orchestrator("renamed")


@dfapp.orchestration_trigger(context_name="context")
def endless(context: df.DurableOrchestrationContext):
    context.continue_as_new(None)


@dfapp.orchestration_trigger(context_name="context")
def entity(context: df.DurableOrchestrationContext):
    yield context.call_entity(df.EntityId("counter", "one"), "add", 1)


@dfapp.orchestration_trigger(context_name="context", orchestration="other name")
def renamed(context: df.DurableOrchestrationContext):
    return context.instance_id


@dfapp.activity_trigger(input_name="name")
async def work(name: str) -> str:
    calls.append(name)
    return name.upper()


@dfapp.activity_trigger(input_name="name")
def flaky(name: str) -> int:
    calls.append(name)
    if calls.count(name) < 3:
        raise ValueError(f"not yet: {calls.count(name)}")
    return calls.count(name)


@dfapp.activity_trigger(input_name="nothing")
def failing(nothing: None) -> None:
    calls.append("failing")
    raise KeyError("a fault of the activity")


FUNCTIONS = [described(function) for function in dfapp.get_functions()]


class Recording(Table):
    """Keeps what was saved at each step: what a kill right after it would leave."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "instances")
        self.folder = folder
        self.steps: list[Instance] = []

    def write(self, name: str, record: dict[str, Any]) -> None:
        super().write(name, record)
        self.steps.append(Instance(**self.read()[name]))


def left_by(step: Instance, folder: Path) -> Table:
    table = Table(folder, "instances")
    table.write(step.id, asdict(step))
    return table


def ended(step: Instance) -> list[str]:
    """The calls of activities that had ended at a step."""
    numbers = [event["TaskScheduledId"] for event in step.events if "TaskScheduledId" in event]
    tasks = [step.tasks[number] for number in numbers]
    return [json.loads(task["input"]) if task["functionName"] != "failing" else "failing" for task in tasks]


class Live:
    """Orchestrations of a host that runs."""

    def __init__(self, store: Table, tasks: asyncio.TaskGroup) -> None:
        self.app = App(FUNCTIONS, "{}", tasks)
        self.orchestrations = Orchestrations(self.app, store)

    def start(self, name: str, value: object = None) -> None:
        self.orchestrations.start(name, "i", json.dumps(json.dumps(value)))

    @property
    def instance(self) -> Instance:
        return self.orchestrations.instances["i"]

    def tell(self, kind: Kind, **fields: object) -> None:
        self.orchestrations.receive(self.instance, kind, **fields)

    async def until(self, condition: Callable[[Instance], object]) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not condition(self.instance):  # noqa: ASYNC110 (a record in a database is no event)
                await asyncio.sleep(0.005)


def has_begun(instance: Instance) -> bool:
    return bool(instance.tasks)


def has_ended(instance: Instance) -> bool:
    return instance.status in ("Completed", "Failed", "Terminated")


async def run(store: Table, name: str | None = None, value: object = None) -> Instance:
    """Start an orchestration, or go on with what is unfinished, and return it at its end."""
    async with asyncio.timeout(TIMEOUT), asyncio.TaskGroup() as tasks:
        live = Live(store, tasks)
        if name is None:
            live.orchestrations.resume()
        else:
            live.start(name, value)
        await live.until(has_ended)
        live.app.stopping.set()
    return live.instance
