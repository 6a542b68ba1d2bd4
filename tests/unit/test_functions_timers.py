"""NCRONTAB schedules, and when a timer runs by a clock that the test turns."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import azure.functions as func
import pytest

from local.functions.app import App, Function
from local.functions.table import Table
from local.functions.timer_trigger import Schedule, TimerTrigger

START = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)  # a Tuesday
PATIENCE = 60.0


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("0 */5 * * * *", ["11-24 12:05:00", "11-24 12:10:00"]),
        ("0 0 * * * *", ["11-24 13:00:00", "11-24 14:00:00"]),
        ("0 0 */2 * * *", ["11-24 14:00:00", "11-24 16:00:00"]),
        ("0 0 9-17 * * *", ["11-24 13:00:00", "11-24 14:00:00"]),
        ("0 30 9 * * 1-5", ["11-25 09:30:00", "11-26 09:30:00", "11-27 09:30:00", "11-30 09:30:00"]),
        ("0 30 9 * Jan Mon", ["01-04 09:30:00", "01-11 09:30:00"]),
        ("0 30 9 * january MONDAY", ["01-04 09:30:00"]),
        ("*/20 * * * * *", ["11-24 12:00:20", "11-24 12:00:40", "11-24 12:01:00"]),
        ("5,8,10 * * * * *", ["11-24 12:00:05", "11-24 12:00:08", "11-24 12:00:10", "11-24 12:01:05"]),
        ("0 50/5 * * * *", ["11-24 12:50:00", "11-24 12:55:00", "11-24 13:50:00"]),
        ("0 0 0 31 * *", ["12-31 00:00:00", "01-31 00:00:00", "03-31 00:00:00"]),
        ("0 0 0 * * Sun", ["11-29 00:00:00", "12-06 00:00:00"]),
        ("0 0 0 * * 4/2", ["11-26 00:00:00", "11-28 00:00:00", "12-03 00:00:00"]),
        # Both must fit, where cron takes either: the first Friday that is a 13th.
        ("0 0 0 13 * Fri", ["08-13 00:00:00"]),
    ],
)
def test_due_times(expression: str, times: list[str]) -> None:
    schedule, found, after = Schedule(expression), [], START
    for _ in times:
        after = schedule.next(after)
        found.append(after.strftime("%m-%d %H:%M:%S"))
    assert found == times


@pytest.mark.parametrize(
    "expression",
    [
        *("", "never", "* * * * *", "* * * * * * *", "00:05:00", "@daily"),
        *("60 * * * * *", "* * 24 * * *", "* * * 0 * *", "* * * * 13 *", "* * * * * 7"),
        *("5-1 * * * * *", "*/0 * * * * *", "1,,2 * * * * *", "* * * L * *", "* * * ? * *", "mon * * * * *"),
        "0 0 0 31 2 *",
    ],
)
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="is no NCRONTAB expression of six fields"):
        Schedule(expression)


@pytest.mark.parametrize(
    ("expression", "is_frequent"),
    [("*/10 * * * * *", True), ("0 * * * * *", False), ("* */2 * * * *", False), ("* * * * * mon", False)],
)
def test_more_than_once_a_minute(expression: str, is_frequent: bool) -> None:
    assert Schedule(expression).is_frequent is is_frequent


class Timer:
    """A timer trigger on a store, whose function takes until it may end."""

    def __init__(self, folder: Path, schedule: str, **options: object) -> None:
        self.folder, self.now = folder, START
        self.trigger = {"name": "timer", "schedule": schedule, **options}
        self.runs: list[tuple[datetime, bool]] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.on_begin: Callable[[], object] = lambda: None

    async def function(self, timer: func.TimerRequest) -> None:
        self.runs.append((self.now, timer.past_due))
        self.on_begin()
        await self.may_end.wait()
        if len(self.runs) == 1:
            raise ValueError("a fault of the app")

    async def live(self, *steps: Callable[[], object]) -> None:
        """Take the steps, each once the trigger waits again, between a start and an end of the host."""
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            app = App([], "{}", tasks)
            pauses = asyncio.Queue[float]()
            app.pause = pauses_of(app, pauses)  # type: ignore[method-assign]
            function = Function("f", self.function, self.trigger, [])
            trigger = TimerTrigger(app, function, Table(self.folder, "timers"), lambda: self.now)
            running = tasks.create_task(trigger.run())
            for step in steps:
                await pauses.get()
                step()
            await pauses.get()
            app.stopping.set()
            await running

    def turn(self, **period: float) -> Callable[[], None]:
        def step() -> None:
            self.now += timedelta(**period)

        return step


def pauses_of(app: App, pauses: "asyncio.Queue[float]") -> Callable[[float], object]:
    async def pause(seconds: float) -> None:
        pauses.put_nowait(seconds)
        await asyncio.sleep(0.001)

    return pause


async def test_a_timer_runs_when_it_is_due_and_not_before(tmp_path: Path) -> None:
    timer = Timer(tmp_path, "0 */5 * * * *")
    await timer.live(timer.turn(minutes=4, seconds=59), timer.turn(seconds=1), timer.turn(minutes=5))
    expected = [(START + timedelta(minutes=minutes), False) for minutes in (5, 10)]
    assert timer.runs == expected, "a fault of the function stops no timer"


async def test_what_was_missed_is_made_up_for_once(tmp_path: Path) -> None:
    timer = Timer(tmp_path, "0 */5 * * * *")
    await timer.live()
    timer.now += timedelta(minutes=17)
    await timer.live()
    await timer.live()
    assert timer.runs == [(START + timedelta(minutes=17), True)]


@pytest.mark.parametrize("minutes", [0, 4])
async def test_nothing_is_made_up_for_before_it_is_due(tmp_path: Path, minutes: int) -> None:
    timer = Timer(tmp_path, "0 */5 * * * *")
    await timer.live()
    timer.now += timedelta(minutes=minutes)
    await timer.live()
    assert timer.runs == []


@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        ("0 */5 * * * *", {"useMonitor": False}),
        ("*/30 * * * * *", {}),
        ("*/30 * * * * *", {"useMonitor": True}),
    ],
)
async def test_without_a_monitor_nothing_is_made_up_for(
    tmp_path: Path, schedule: str, options: dict[str, object]
) -> None:
    timer = Timer(tmp_path, schedule, **options)
    await timer.live()
    timer.now += timedelta(days=1, seconds=1)
    await timer.live()
    assert timer.runs == []


async def test_another_schedule_makes_up_for_nothing(tmp_path: Path) -> None:
    timer = Timer(tmp_path, "0 */5 * * * *")
    await timer.live()
    timer.now += timedelta(minutes=17)
    timer.trigger["schedule"] = "0 */10 * * * *"
    await timer.live()
    assert timer.runs == []


async def test_run_on_startup(tmp_path: Path) -> None:
    timer = Timer(tmp_path, "0 0 0 1 1 *", runOnStartup=True)
    await timer.live()
    await timer.live()
    assert timer.runs == [(START, False), (START, False)]


async def test_a_timer_never_runs_beside_itself(tmp_path: Path) -> None:
    timer = Timer(tmp_path, "0 */5 * * * *")
    timer.may_end.clear()

    def due_again() -> None:
        timer.now += timedelta(minutes=11)
        asyncio.get_running_loop().call_later(0.05, timer.may_end.set)

    timer.on_begin = due_again
    await timer.live(timer.turn(minutes=5), timer.turn(minutes=4))
    assert [run for run, _ in timer.runs] == [START + timedelta(minutes=5), START + timedelta(minutes=20)]
