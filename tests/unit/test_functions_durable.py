"""Orchestrations replayed from their history, with the real SDK."""

import asyncio
import datetime
import json
from pathlib import Path

import azure.durable_functions as df
import pytest

from local.functions.app import App, described
from local.functions.durable import Orchestrations
from local.functions.store import UNFINISHED, Instance, Store

TIMEOUT = 20.0
dfapp = df.DFApp()
calls: list[str] = []
version = {"of the orchestrator": 1}


@dfapp.orchestration_trigger(context_name="context")
def clean_up(context: df.DurableOrchestrationContext):
    started = context.current_utc_datetime
    yield context.create_timer(started + datetime.timedelta(milliseconds=50))
    first = yield context.call_activity("work", "first")
    yield context.create_timer(context.current_utc_datetime + datetime.timedelta(milliseconds=50))
    second = yield context.call_activity("work", context.get_input())
    return {"results": [first, second], "waited": context.current_utc_datetime - started >= 2 * SHORT}


SHORT = datetime.timedelta(milliseconds=50)


@dfapp.orchestration_trigger(context_name="context")
def week(context: df.DurableOrchestrationContext):
    yield context.create_timer(context.current_utc_datetime + datetime.timedelta(days=7))
    return (yield context.call_activity("work", "after a week"))


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
        yield context.create_timer(context.current_utc_datetime + SHORT)
    yield context.call_activity("work", "x")


@dfapp.orchestration_trigger(context_name="context")
def retrying(context: df.DurableOrchestrationContext):
    yield context.call_activity_with_retry("work", df.RetryOptions(1000, 3), "x")


@dfapp.orchestration_trigger(context_name="context")
def all_of(context: df.DurableOrchestrationContext):
    yield context.task_all([context.call_activity("work", name) for name in "ab"])


@dfapp.orchestration_trigger(context_name="context")
def any_of(context: df.DurableOrchestrationContext):
    yield context.task_any([context.call_activity("work", name) for name in "ab"])


@dfapp.orchestration_trigger(context_name="context")
def waiting(context: df.DurableOrchestrationContext):
    yield context.wait_for_external_event("go")


@dfapp.orchestration_trigger(context_name="context")
def sub(context: df.DurableOrchestrationContext):
    yield context.call_sub_orchestrator("renamed")


@dfapp.orchestration_trigger(context_name="context")
def endless(context: df.DurableOrchestrationContext):
    context.continue_as_new(None)


@dfapp.orchestration_trigger(context_name="context")
def idle(context: df.DurableOrchestrationContext):
    yield


@dfapp.orchestration_trigger(context_name="context")
def telling(context: df.DurableOrchestrationContext):
    context.set_custom_status("half done")
    yield context.call_activity("work", "x")


@dfapp.orchestration_trigger(context_name="context", orchestration="other name")
def renamed(context: df.DurableOrchestrationContext):
    return context.instance_id


@dfapp.activity_trigger(input_name="name")
async def work(name: str) -> str:
    calls.append(name)
    return name.upper()


@dfapp.activity_trigger(input_name="nothing")
def failing(nothing: None) -> None:
    raise KeyError("a fault of the activity")


FUNCTIONS = [described(function) for function in dfapp.get_functions()]


class RecordingStore(Store):
    """Keeps what was saved at each step: what a kill right after it would leave."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        self.steps: list[Instance] = []

    def save(self, instance: Instance) -> None:
        super().save(instance)
        self.steps.append(Store(self.folder).instances[instance.id])


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    calls.clear()
    return RecordingStore(tmp_path)


async def run(store: Store, name: str | None = None, value: object = None) -> Instance:
    """Start an orchestration, or go on with what is unfinished, and return `i` at its end."""
    async with asyncio.timeout(TIMEOUT), asyncio.TaskGroup() as tasks:
        orchestrations = Orchestrations(App(FUNCTIONS, "{}", tasks), store)
        if name is None:
            orchestrations.resume()
        else:
            body = "" if value is None else json.dumps(json.dumps(value))
            assert orchestrations.start(name, "i", body).status == 202
    return store.instances["i"]


async def test_timers_and_activities(store: RecordingStore) -> None:
    instance = await run(store, "clean_up", "second")
    assert (instance.status, instance.output) == (
        "Completed",
        {"results": ["FIRST", "SECOND"], "waited": True},
    )
    assert calls == ["first", "second"]
    times = [instance.created, *(outcome["Timestamp"] for outcome in instance.outcomes)]
    assert times == sorted(times)


async def test_a_kill_after_any_step_leads_to_the_same_end(store: RecordingStore, tmp_path: Path) -> None:
    whole = await run(store, "clean_up", "second")
    steps = {json.dumps([step.actions, step.outcomes, step.status]): step for step in store.steps}
    assert len(steps) == 10
    for number, step in enumerate(list(steps.values())[:-1]):
        calls.clear()
        done = [outcome["Result"] for outcome in step.outcomes if "Result" in outcome]
        after_kill = Store(tmp_path / str(number))
        after_kill.save(step)
        assert (await run(after_kill)).output == whole.output
        assert calls == ["first", "second"][len(done) :]


async def test_a_long_timer_that_fell_due_while_the_host_was_down(store: RecordingStore) -> None:
    async with asyncio.timeout(TIMEOUT), asyncio.TaskGroup() as tasks:
        app = App(FUNCTIONS, "{}", tasks)
        Orchestrations(app, store).start("week", "i", "")
        while not store.instances["i"].actions:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        app.stopping.set()
    instance = store.instances["i"]
    assert instance.status in UNFINISHED
    due = datetime.datetime.fromisoformat(instance.actions[0]["fireAt"])
    assert due - datetime.datetime.fromisoformat(instance.created) == datetime.timedelta(days=7)

    def earlier(text: str) -> str:
        moved = datetime.datetime.fromisoformat(text) - datetime.timedelta(days=8)
        return moved.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    instance.created, instance.actions[0]["fireAt"] = earlier(instance.created), earlier(due.isoformat())
    store.save(instance)
    assert (await run(Store(store.folder))).output == "AFTER A WEEK"


async def test_a_failed_activity_is_raised_in_the_orchestrator(store: RecordingStore) -> None:
    instance = await run(store, "catching")
    assert instance.status == "Completed"
    assert "Activity function 'failing' failed: KeyError: 'a fault of the activity'" in instance.output
    assert calls == ["after"]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("raising", None, "a fault of the orchestrator"),
        ("catching", "nobody", "Activity function 'nobody' failed: it doesn't exist"),
        ("retrying", None, "not supported by the local Functions host: when_all, call_activity_with_retry ("),
        (
            "all_of",
            None,
            "not supported by the local Functions host: when_all, call_activity, call_activity (",
        ),
        (
            "any_of",
            None,
            "not supported by the local Functions host: when_any, call_activity, call_activity (",
        ),
        ("waiting", None, "not supported by the local Functions host: wait_for_external_event ("),
        ("sub", None, "not supported by the local Functions host: call_sub_orchestrator ("),
        ("endless", None, "not supported by the local Functions host: continue_as_new ("),
        ("idle", None, "it waits for nothing"),
        ("telling", None, "not supported by the local Functions host: custom status ("),
    ],
)
async def test_an_orchestration_fails_with_a_sentence(
    store: RecordingStore, name: str, value: str | None, why: str
) -> None:
    instance = await run(store, name, value)
    assert instance.status == "Failed"
    assert instance.output.startswith(f"Orchestrator function '{name}' failed: ")
    assert why in instance.output
    assert Store(store.folder).instances["i"] == instance


async def test_changed_code_is_not_replayed_over_a_history_of_the_old(store: RecordingStore) -> None:
    await run(store, "changing")
    store.save(next(step for step in store.steps if step.outcomes))
    version["of the orchestrator"] = 2
    assert "it is not deterministic" in (await run(store)).output


async def test_an_orchestrator_that_is_gone_ends_its_instances(store: RecordingStore) -> None:
    store.save(Instance("i", "gone", "null", created="2026-11-24T12:00:00+00:00"))
    assert "failed: it is no longer part of the app" in (await run(store)).output


async def test_names_and_ids(store: RecordingStore) -> None:
    assert (await run(store, "other name")).output == "i"
    async with asyncio.timeout(TIMEOUT), asyncio.TaskGroup() as tasks:
        app = App(FUNCTIONS, "{}", tasks)
        orchestrations = Orchestrations(app, store)
        assert orchestrations.start("renamed", "j", "").status == 400
        assert orchestrations.start("week", "j", "").status == 202
        assert orchestrations.start("week", "j", "").status == 409
        app.stopping.set()
    assert (await run(store, "other name")).output == "i", "a finished one is replaced"
