"""Orchestrations replayed from their history, with the real SDK: what each step saves, and how it ends."""

import asyncio
import datetime
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import pytest
from azure.durable_functions.models.history.HistoryEventType import HistoryEventType as Kind

from local.functions.app import App, described
from local.functions.durable import Instance, Orchestrations
from local.functions.table import Table

TIMEOUT = 20.0
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


@pytest.fixture
def store(tmp_path: Path) -> Recording:
    calls.clear()
    return Recording(tmp_path)


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


async def test_timers_and_activities(store: Recording) -> None:
    instance = await run(store, "clean_up", "second")
    expected = {"results": ["FIRST", "SECOND"], "waited": True}
    assert (instance.status, instance.output) == ("Completed", expected)
    assert calls == ["first", "second"]
    times = [event["Timestamp"] for event in instance.events]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("clean_up", ["first", "second"]),
        ("retrying", ["after", "beside", "x", "x", "x", "y", "y", "y"]),
        ("giving_up", ["after", "failing", "failing"]),
        ("raising", ["before"]),
        ("cancels_and_fails", ["before"]),
    ],
)
async def test_a_kill_after_any_step_leads_to_the_same_end(
    store: Recording, tmp_path: Path, name: str, called: list[str]
) -> None:
    whole = await run(store, name, "second")
    assert sorted(calls) == called
    assert len(store.steps) > 3
    for number, step in enumerate(store.steps[:-1]):
        calls[:] = ended(step)
        again = await run(left_by(step, tmp_path / str(number)))
        assert (again.status, again.output) == (whole.status, whole.output)
        assert sorted(calls) == called, "what had not ended runs again, and nothing else"


async def test_retries_take_the_options_pause_and_number(store: Recording) -> None:
    instance = await run(store, "retrying")
    assert instance.output == [3, "BESIDE", 3, "AFTER"]
    kinds = [event["EventType"] for event in instance.events]
    assert kinds.count(Kind.TASK_FAILED) == kinds.count(Kind.TIMER_FIRED) == 4
    failed, fired = (
        [event["Timestamp"] for event in instance.events if event["EventType"] == kind]
        for kind in (Kind.TASK_FAILED, Kind.TIMER_FIRED)
    )
    pause = datetime.datetime.fromisoformat(fired[0]) - datetime.datetime.fromisoformat(failed[0])
    assert pause >= datetime.timedelta(milliseconds=30)


async def test_the_last_failure_is_raised(store: Recording) -> None:
    instance = await run(store, "giving_up")
    assert "Activity function 'failing' failed: KeyError: 'a fault of the activity'" in instance.output[0]
    assert instance.output[1] == "AFTER"
    assert calls == ["failing", "failing", "after"]


async def test_an_event_wins_a_race_and_a_cancelled_timer_holds_up_nothing(store: Recording) -> None:
    async with asyncio.TaskGroup() as tasks:
        live = Live(store, tasks)
        live.start("racing", "cancel")
        await live.until(has_begun)
        live.tell(Kind.EVENT_RAISED, Name="go", Input='{"by": 1}')
        await live.until(has_ended)
        assert live.instance.output == [True, {"by": 1}, "AFTER"]
        live.app.stopping.set()
    for number, step in enumerate(store.steps[:-1]):
        if any(event["EventType"] == Kind.EVENT_RAISED for event in step.events):
            after_kill = await run(left_by(step, store.folder / str(number)))
            assert after_kill.output == [True, {"by": 1}, "AFTER"]


async def test_a_timer_that_is_not_cancelled_keeps_an_orchestration_running(store: Recording) -> None:
    async with asyncio.TaskGroup() as tasks:
        live = Live(store, tasks)
        live.start("racing", "leave it")
        live.tell(Kind.EVENT_RAISED, Name="go", Input="1")
        await live.until(lambda instance: instance.seen == 3)  # the start, the event, the activity's end
        assert calls == ["after"]
        assert live.instance.status == "Running"
        live.tell(Kind.TIMER_FIRED, TimerId=0)
        await live.until(has_ended)
        assert live.instance.output == [True, 1, "AFTER"]
        live.app.stopping.set()


async def test_a_timer_wins_a_race(store: Recording) -> None:
    assert (await run(store, "out_of_time")).output is True


async def test_events_that_come_early_are_kept(store: Recording) -> None:
    async with asyncio.TaskGroup() as tasks:
        live = Live(store, tasks)
        live.start("two_events")
        for name in ("two", "one", "other"):
            live.tell(Kind.EVENT_RAISED, Name=name, Input=json.dumps(name))
        await live.until(has_ended)
        assert live.instance.output == ["one", "two"]
        live.app.stopping.set()


async def test_a_terminated_orchestration_does_no_more(store: Recording) -> None:
    async with asyncio.TaskGroup() as tasks:
        live = Live(store, tasks)
        live.start("week")
        await live.until(has_begun)
        live.tell(Kind.EXECUTION_TERMINATED, Reason="enough")
        await live.until(has_ended)
        before = live.instance
        live.tell(Kind.TIMER_FIRED, TimerId=0)
        live.tell(Kind.EXECUTION_TERMINATED, Reason="again")
        assert live.instance == before
        live.app.stopping.set()
    assert (await run(Table(store.folder, "instances"))).output == "enough"
    assert calls == []


async def test_a_long_timer_that_fell_due_while_the_host_was_down(store: Recording) -> None:
    async with asyncio.TaskGroup() as tasks:
        live = Live(store, tasks)
        live.start("week")
        await live.until(has_begun)
        live.app.stopping.set()
    instance = live.instance
    started, due = instance.events[0]["Timestamp"], instance.tasks[0]["fireAt"]
    assert datetime.datetime.fromisoformat(due) - datetime.datetime.fromisoformat(started) >= LONG
    instance.events[0]["Timestamp"], instance.tasks[0]["fireAt"] = earlier(started), earlier(due)
    assert (await run(left_by(instance, store.folder))).output == "AFTER A WEEK"


def earlier(text: str) -> str:
    moved = datetime.datetime.fromisoformat(text) - datetime.timedelta(days=8)
    return moved.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def test_a_failed_activity_is_raised_in_the_orchestrator(store: Recording) -> None:
    instance = await run(store, "catching")
    assert instance.status == "Completed"
    assert "Activity function 'failing' failed: KeyError: 'a fault of the activity'" in instance.output
    assert calls == ["failing", "after"]


REFUSED = "not supported by the local Functions host: "


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("raising", None, "a fault of the orchestrator"),
        ("cancels_and_fails", None, "a fault of the orchestrator"),
        ("catching", "nobody", "Activity function 'nobody' failed: it doesn't exist"),
        ("sub", None, REFUSED + "call_sub_orchestrator (function sub)"),
        ("endless", None, REFUSED + "continue_as_new (function endless)"),
        ("entity", None, REFUSED + "call_entity (function entity)"),
    ],
)
async def test_an_orchestration_fails_with_a_sentence(
    store: Recording, name: str, value: str | None, why: str
) -> None:
    instance = await run(store, name, value)
    assert instance.status == "Failed"
    assert instance.output.startswith(f"Orchestrator function '{name}' failed: ")
    assert why in instance.output
    assert "OutOfProc" not in instance.output


async def test_changed_code_is_not_replayed_over_a_history_of_the_old(store: Recording) -> None:
    await run(store, "changing")
    fired = next(step for step in store.steps if len(step.events) == 2)
    version["of the orchestrator"] = 2
    assert "it is not deterministic" in (await run(left_by(fired, store.folder))).output


async def test_an_orchestrator_that_is_gone_ends_its_instances(store: Recording) -> None:
    assert "failed: it is no longer part of the app" in (await run(store, "gone")).output


async def test_names_and_ids(store: Recording) -> None:
    assert (await run(store, "other name")).output == "i"
    assert (await run(store, "clean_up", "second")).status == "Completed", "a finished one is replaced"
    assert (await run(store, "other name")).output == "i"
