"""Timer triggers: due by an NCRONTAB schedule in UTC, never beside themselves, made up for after a restart.

As in the real host nothing is made up for without `use_monitor`, or of a timer due more than once a minute.
"""

import calendar
import contextlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from croniter import croniter

from local.functions.app import App, Function, HostError, InvocationError, decode
from local.functions.table import Table

LONGEST_PAUSE = 30.0  # seconds; the laptop may be suspended meanwhile
Clock = Callable[[], datetime]
utc_now = partial(datetime.now, UTC)
NEVER = "0001-01-01T00:00:00+00:00"
RANGES = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
NAMES = {4: list(calendar.month_name), 5: [calendar.day_name[6], *calendar.day_name[:6]]}
ELEMENT = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([1-9]\d*))?")


class Schedule:
    """The times of an NCRONTAB expression of six fields, seconds first; ValueError where it is none."""

    def __init__(self, expression: str) -> None:
        try:
            fields = [_numbers(*both) for both in zip(range(6), expression.split(), strict=True)]
            self._expression = " ".join(",".join(map(str, field)) for field in fields)
            self.next(datetime.min)
        except ValueError as error:
            message = f"{expression!r} is no NCRONTAB expression of six fields, or is never due"
            raise ValueError(message) from error
        every_minute = [list(range(low, high + 1)) for low, high in RANGES[1:]]
        # More than once a minute:
        self.is_frequent = len(fields[0]) > 1 and fields[1:] == every_minute

    def next(self, after: datetime) -> datetime:
        """Return the first time after `after`."""
        # Day of month and day of week must both fit: no `or` as in cron.
        times = croniter(self._expression, after, second_at_beginning=True, day_or=False)
        found: datetime = times.get_next(datetime)
        return found


def _numbers(place: int, field: str) -> list[int]:
    """Return the numbers that a list of values, ranges and steps stands for."""
    low, high = RANGES[place]

    def number(text: str) -> int:
        named = [n for n, name in enumerate(NAMES.get(place, ())) if name.lower().startswith(text)]
        return named[0] if named else int(text)

    found: set[int] = set()
    for element in field.lower().split(","):
        if not (match := ELEMENT.fullmatch(element)):
            raise ValueError(element)
        first, last, step = match.groups()
        start = number(first) if first else low
        # As in NCrontab, a step from one value goes on to the end of the range.
        end = number(last or first) if last or (first and not step) else high
        if not low <= start <= end <= high:
            raise ValueError(element)
        found.update(range(start, end + 1, int(step or 1)))
    return sorted(found)


class TimerTrigger:
    """The trigger of one function, whose parameter is a `TimerRequest`; `clock` returns the time in UTC."""

    def __init__(self, app: App, function: Function, table: Table, clock: Clock = utc_now) -> None:
        self._app, self._function, self._table, self._clock = app, function, table, clock
        try:
            self._schedule = Schedule(function.trigger["schedule"])
        except ValueError as error:
            raise HostError(f"{error} (function {function.name})") from None
        is_unwanted = function.trigger.get("useMonitor") is False
        self._is_monitored = not (is_unwanted or self._schedule.is_frequent)
        self._status = table.read().get(function.name, {}) if self._is_monitored else {}

    async def run(self) -> None:
        """Make up for what was missed, then call the function whenever it is due."""
        updated = datetime.fromisoformat(self._status.get("LastUpdated", NEVER))
        if self._status.get("Next") != self._schedule.next(updated).isoformat():
            self._note(self._clock(), NEVER)  # There is none yet, or the schedule has changed.
        is_late = self._clock() > datetime.fromisoformat(self._status["Next"])
        if is_late or self._function.trigger.get("runOnStartup"):
            await self._call(is_late)
        due = self._schedule.next(self._clock())
        while not self._app.stopping.is_set():
            if (left := (due - self._clock()).total_seconds()) > 0:
                await self._app.pause(min(left, LONGEST_PAUSE))
            else:
                await self._call(is_late=False)
                due = self._schedule.next(self._clock())

    def _note(self, now: datetime, last: str) -> None:
        due = self._schedule.next(now).isoformat()
        self._status = {"Last": last, "Next": due, "LastUpdated": now.isoformat()}
        if self._is_monitored:
            self._table.write(self._function.name, self._status)

    async def _call(self, is_late: bool) -> None:
        """Call the function. A kill meanwhile leaves the status as it was: the call is made up for."""
        now = self._clock()
        value = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": self._status, "IsPastDue": is_late}
        with contextlib.suppress(InvocationError):
            await self._app.invoke(self._function, decode("timerTrigger", json.dumps(value), "json"))
        self._note(now, now.isoformat())
