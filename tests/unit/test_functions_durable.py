"""Orchestrations replayed from their history, with the real SDK: what each step saves, and how it ends."""

import asyncio
import datetime
import json
from pathlib import Path

import pytest
from azure.durable_functions.models.history.HistoryEventType import HistoryEventType as Kind

from local.functions.table import Table
from tests.unit.functions_durable_app import (
    LONG,
    Live,
    Recording,
    calls,
    ended,
    has_begun,
    has_ended,
    left_by,
    run,
    version,
)


@pytest.fixture
def store(tmp_path: Path) -> Recording:
    calls.clear()
    return Recording(tmp_path)


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
