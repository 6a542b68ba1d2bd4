"""Timer triggers: due by an NCRONTAB schedule in UTC, never beside themselves, made up for after a restart.

As in the real host nothing is made up for without `use_monitor`, or of a timer due more than once a minute.
"""

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime

from local.functions.app import App, Function, HostError, InvocationError, decode
from local.functions.schedule import Schedule
from local.functions.store import Store

LONGEST_PAUSE = 30.0  # seconds; the laptop may be suspended meanwhile
NEVER = "0001-01-01T00:00:00+00:00"
Clock = Callable[[], datetime]
Status = dict[str, str]


def utc_now() -> datetime:
    """Return the machine's time."""
    return datetime.now(UTC)


class TimerTrigger:
    """The trigger of one function, whose parameter is a `TimerRequest`."""

    def __init__(self, app: App, function: Function, store: Store, clock: Clock = utc_now) -> None:
        self._app, self._function, self._store, self._clock = app, function, store, clock
        try:
            self._schedule = Schedule(function.trigger["schedule"])
        except ValueError as error:
            raise HostError(f"{error} (function {function.name})") from None
        is_wanted = function.trigger.get("useMonitor") is not False
        self._is_monitored = is_wanted and not self._schedule.is_frequent

    async def run(self) -> None:
        """Make up for what was missed, then call the function whenever it is due."""
        status = self._status()
        is_late = self._clock() > datetime.fromisoformat(status["Next"])
        if is_late or self._function.trigger.get("runOnStartup"):
            status = await self._call(status, is_late)
        while not self._app.stopping.is_set():
            due = self._schedule.next(self._clock())
            while (left := (due - self._clock()).total_seconds()) > 0 and not self._app.stopping.is_set():
                await self._app.pause(min(left, LONGEST_PAUSE))
            if not self._app.stopping.is_set():
                status = await self._call(status, is_late=False)

    def _status(self) -> Status:
        """Return the status that was kept; a new one where there is none, or the schedule has changed."""
        status = self._store.timer(self._function.name) if self._is_monitored else None
        if (
            status
            and self._schedule.next(datetime.fromisoformat(status["LastUpdated"])).isoformat()
            == status["Next"]
        ):
            return status
        return self._note(self._clock(), NEVER)

    def _note(self, now: datetime, last: str) -> Status:
        status = {"Last": last, "Next": self._schedule.next(now).isoformat(), "LastUpdated": now.isoformat()}
        if self._is_monitored:
            self._store.save_timer(self._function.name, status)
        return status

    async def _call(self, status: Status, is_late: bool) -> Status:
        """Call the function. A kill meanwhile leaves the status as it was: the call is made up for."""
        now = self._clock()
        value = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": is_late}
        with contextlib.suppress(InvocationError):
            await self._app.invoke(self._function, decode("timerTrigger", json.dumps(value), "json"))
        return self._note(now, now.isoformat())
