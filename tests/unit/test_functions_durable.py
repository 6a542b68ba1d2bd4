"""Orchestrations replayed from their history, with the real SDK and a clock of the tests' own."""

import asyncio
import datetime
import itertools
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import pytest

from local.functions.app import App, described
from local.functions.durable import Clock, InstanceExistsError, OrchestrationError, Orchestrations
from local.functions.durable_store import DurableStore, Instance

TIMEOUT = 20.0
dfapp = df.DFApp()
calls: list[str] = []
version = {"of the orchestrator": 1}


@dfapp.orchestration_trigger(context_name="context")
def clean_up(context: df.DurableOrchestrationContext):
    started = context.current_utc_datetime
    yield context.create_timer(started + datetime.timedelta(days=7))
    first = yield context.call_activity("work", "first")
    yield context.create_timer(context.current_utc_datetime + datetime.timedelta(seconds=30))
    second = yield context.call_activity("work", context.get_input())
    return {"results": [first, second], "days": (context.current_utc_datetime - started).days}


@dfapp.orchestration_trigger(context_name="context")
def fan_out(context: df.DurableOrchestrationContext):
    results = yield context.task_all([context.call_activity("work", name) for name in "abc"])
    slow = context.create_timer(context.current_utc_datetime + datetime.timedelta(days=1))
    quick = context.call_activity("work", "d")
    winner = yield context.task_any([slow, quick])
    slow.cancel()
    return [*results, winner.result, winner == quick]


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
        yield context.create_timer(context.current_utc_datetime + datetime.timedelta(hours=1))
    yield context.call_activity("work", "x")


@dfapp.orchestration_trigger(context_name="context")
def retrying(context: df.DurableOrchestrationContext):
    yield context.call_activity_with_retry("work", df.RetryOptions(1000, 3), "x")


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


class TestClock(Clock):
    """A time that goes on only when something waits for it."""

    __test__ = False

    def __init__(self) -> None:
        self.time = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)

    def now(self) -> datetime.datetime:
        return self.time

    async def sleep_until(self, when: datetime.datetime) -> None:
        await asyncio.sleep(0.02)  # Lets what takes no time come first.
        self.time = max(self.time, when)


class RecordingStore(DurableStore):
    """Keeps what was saved at each step: what a kill right after it would leave."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.steps: list[Instance] = []

    def save(self, instance: Instance) -> None:
        super().save(instance)
        saved = self.get(instance.id)
        assert saved is not None
        self.steps.append(saved)


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    calls.clear()
    return RecordingStore(tmp_path / "durable.sqlite")


def orchestrations(store: DurableStore, clock: Clock | None = None) -> Orchestrations:
    return Orchestrations(App(FUNCTIONS, client_binding="{}"), store, clock or TestClock())


async def ended(store: DurableStore, instance_id: str = "i") -> Instance:
    async def poll() -> Instance:
        while not (found := store.get(instance_id)) or not found.is_finished:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return found

    return await asyncio.wait_for(poll(), TIMEOUT)


async def run(store: DurableStore, name: str, body: str = "null") -> Instance:
    orchestrations(store).start("i", name, body)
    return await ended(store)


async def test_long_timers_and_activities(store: RecordingStore) -> None:
    instance = await run(store, "clean_up", '"\\"second\\""')
    assert (instance.status, instance.output) == ("Completed", {"results": ["FIRST", "SECOND"], "days": 7})
    assert calls == ["first", "second"]
    assert instance.updated == "2026-12-01T12:00:30+00:00"


async def test_a_kill_after_any_step_leads_to_the_same_end(store: RecordingStore, tmp_path: Path) -> None:
    whole = await run(store, "clean_up", '"\\"second\\""')
    assert len(store.steps) == 10
    for number, step in enumerate(store.steps[:-1]):
        calls.clear()
        done = [e["Result"] for e in step.history if "Result" in e]
        after_kill = DurableStore(tmp_path / f"{number}.sqlite")
        after_kill.save(step)
        orchestrations(after_kill).resume()
        assert (await ended(after_kill)).output == whole.output
        assert calls == ["first", "second"][len(done) :]


async def test_fan_out_and_the_first_of_two(store: RecordingStore) -> None:
    instance = await run(store, "fan_out")
    assert (instance.status, instance.output) == ("Completed", ["A", "B", "C", "D", True])
    assert sorted(calls) == ["a", "b", "c", "d"]


async def test_a_failed_activity_is_raised_in_the_orchestrator(store: RecordingStore) -> None:
    instance = await run(store, "catching")
    assert instance.status == "Completed"
    assert "Activity function 'failing' failed: KeyError: 'a fault of the activity'" in instance.output
    assert calls == ["after"]


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("raising", "null", "failed: a fault of the orchestrator"),
        ("catching", '"\\"nobody\\""', "Activity function 'nobody' failed: it doesn't exist"),
        ("retrying", "null", "not supported by the local Functions host: call_activity_with_retry"),
    ],
)
async def test_an_orchestration_fails_with_a_sentence(
    store: RecordingStore, name: str, body: str, why: str
) -> None:
    instance = await run(store, name, body)
    assert instance.status == "Failed"
    assert instance.output.startswith(f"Orchestrator function '{name}' failed: ")
    assert why in instance.output


async def test_changed_code_is_not_replayed_over_a_history_of_the_old(store: RecordingStore) -> None:
    await run(store, "changing")
    store.save(store.steps[1])
    version["of the orchestrator"] = 2
    orchestrations(store).resume()
    assert "it is not deterministic" in (await ended(store)).output


async def test_names_and_ids(store: RecordingStore) -> None:
    running = orchestrations(store, Clock())
    running.start("i", "other name", "null")
    assert (await ended(store)).output == "i"
    with pytest.raises(OrchestrationError, match="'renamed' doesn't exist"):
        running.start("j", "renamed", "null")
    running.start("j", "clean_up", "null")
    with pytest.raises(InstanceExistsError, match="Pending"):
        running.start("j", "clean_up", "null")
    unfinished = store.get("j")
    assert unfinished is not None
    running.terminate(unfinished, "enough")
    assert [i.id for i in store.unfinished()] == []
    running.start("j", "other name", "null")
    assert (await ended(store, "j")).output == "j"
    assert [step.status for step in store.steps if step.id == "j"] == [
        *("Pending", "Terminated", "Pending", "Completed")
    ]


async def test_history_times_never_run_backwards(store: RecordingStore) -> None:
    history = (await run(store, "clean_up", '"\\"x\\""')).history
    assert all(a["Timestamp"] <= b["Timestamp"] for a, b in itertools.pairwise(history))
    ids: list[Any] = [event["EventId"] for event in history if event["EventId"] >= 0]
    assert ids == [0, 1, 2, 3]
