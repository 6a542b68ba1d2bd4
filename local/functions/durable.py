"""Durable orchestrations: an orchestrator is replayed over its history until it is done.

The persisted history is the truth. A step is saved before the next is taken, so after a kill the same
history leads to the same end; timers and activities that it leaves open are started again.
"""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.durable_functions.models.actions.ActionType import ActionType
from azure.durable_functions.models.history.HistoryEventType import HistoryEventType
from azure.functions.durable_functions import ActivityTriggerConverter
from azure.functions.meta import Datum

from local.functions.app import App, InvocationError, logger
from local.functions.durable_store import DurableStore, Event, Instance

LONGEST_SLEEP = timedelta(seconds=30)
SCHEDULED = (HistoryEventType.TASK_SCHEDULED, HistoryEventType.TIMER_CREATED)


class OrchestrationError(Exception):
    """What is asked for can't be done. Asked by an orchestrator, it ends as Failed."""


class InstanceExistsError(Exception):
    """An unfinished instance has this id already."""


class Clock:
    """The machine's time. Tests bring their own."""

    def now(self) -> datetime:
        """Time in UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, when: datetime) -> None:
        """Return once it is `when`, also on a laptop that was suspended meanwhile."""
        while (left := when - self.now()) > timedelta(0):  # noqa: ASYNC110 (time is no event)
            await asyncio.sleep(min(left, LONGEST_SLEEP).total_seconds())


class Orchestrations:
    """Runs the app's orchestrators and activities."""

    def __init__(self, app: App, store: DurableStore, clock: Clock) -> None:
        self._app = app
        self._store = store
        self._clock = clock
        self._drivers: dict[str, asyncio.Task[None]] = {}
        orchestrators, activities = map(app.functions_of, ("orchestrationTrigger", "activityTrigger"))
        self._orchestrators = {f.trigger.get("orchestration") or f.name: f for f in orchestrators}
        self._activities = {f.trigger.get("activity") or f.name: f for f in activities}

    def resume(self) -> None:
        """Go on with every unfinished instance, after a restart."""
        for instance in self._store.unfinished():
            self._drive(instance)

    def start(self, instance_id: str, name: str, body: str) -> None:
        """Begin an instance of the orchestrator `name`; `body` is its input as JSON text.

        Raises
        ------
        OrchestrationError
            Where there is no such orchestrator.
        InstanceExistsError
            Where an unfinished instance has this id. A finished one is replaced.
        """
        if name not in self._orchestrators:
            raise OrchestrationError(
                f"The function '{name}' doesn't exist, or is not an orchestrator function."
            )
        existing = self._store.get(instance_id)
        if existing and not existing.is_finished:
            message = f"An Orchestration instance with the status {existing.status} already exists."
            raise InstanceExistsError(message)
        instance = Instance(instance_id, name, body, self._now(), self._now())
        started = self._event(HistoryEventType.EXECUTION_STARTED, Name=name, Input=body, Version="")
        self._save(instance, self._event(HistoryEventType.ORCHESTRATOR_STARTED), started)
        self._drive(instance)

    def terminate(self, instance: Instance, reason: str) -> None:
        """End an instance at once. An activity that runs is not stopped, but its result is not used."""
        self._drivers[instance.id].cancel()
        instance.status, instance.output = "Terminated", reason
        self._save(instance)

    def _save(self, instance: Instance, *events: Event) -> None:
        instance.history += events
        instance.updated = self._now()
        self._store.save(instance)

    def _drive(self, instance: Instance) -> None:
        self._drivers[instance.id] = self._app.spawn(self._run(instance))

    async def _run(self, instance: Instance) -> None:
        """Replay, wait for what the orchestrator waits for, and so on until it is finished."""
        timers: dict[int, asyncio.Task[Event]] = {}
        activities: dict[int, asyncio.Task[Event]] = {}
        try:
            while not self._app.stopping.is_set():
                if instance.history[-1]["EventType"] != HistoryEventType.ORCHESTRATOR_COMPLETED:
                    await self._replay(instance)
                if instance.is_finished:
                    return
                for event in _open_events(instance.history):
                    number = event["EventId"]
                    if event["EventType"] == HistoryEventType.TASK_SCHEDULED and number not in activities:
                        activities[number] = self._app.spawn(self._perform(event))
                    if event["EventType"] == HistoryEventType.TIMER_CREATED and number not in timers:
                        timers[number] = asyncio.create_task(self._fire(event))
                waiting = {self._app.stopped, *timers.values(), *activities.values()}
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if self._app.stopped.done() and activities:
                    await asyncio.wait(activities.values())
                if outcomes := [*_take_outcomes(timers), *_take_outcomes(activities)]:
                    self._save(instance, self._event(HistoryEventType.ORCHESTRATOR_STARTED), *outcomes)
        finally:
            for timer in timers.values():
                timer.cancel()

    async def _replay(self, instance: Instance) -> None:
        """Run the orchestrator over its history, and save what it decides."""
        state: dict[str, Any] = {}
        events: list[Event] = []
        try:
            if instance.name not in self._orchestrators:
                raise OrchestrationError("it is no longer part of the app")
            function = self._orchestrators[instance.name]
            state = json.loads(await self._app.invoke(function, _context(instance), str))
            events = self._decisions(instance.history, state["actions"])
            if not state["isDone"] and not _open_events([*instance.history, *events]):
                raise OrchestrationError("it waits for nothing that will happen")
            instance.status = "Completed" if state["isDone"] else "Running"
            instance.output = state.get("output")
        except (InvocationError, OrchestrationError) as error:
            message = str(error).removeprefix("Exception: ").split("\n\n$OutOfProcData$:")[0]
            instance.status = "Failed"
            instance.output = f"Orchestrator function '{instance.name}' failed: {message}"
            logger.error("Instance %s: %s", instance.id, instance.output)
        instance.custom_status = state.get("customStatus")
        self._save(instance, *events, self._event(HistoryEventType.ORCHESTRATOR_COMPLETED))

    def _decisions(self, history: list[Event], actions: list[Any]) -> list[Event]:
        """Events for the actions that the orchestrator took beyond those of its history.

        The SDK numbers its tasks in the order of the actions, and these numbers are the events' ids.
        """
        before = [_what(event) for event in history if event["EventType"] in SCHEDULED]
        now = [self._scheduled(number, action) for number, action in enumerate(_leaves(actions))]
        if [_what(event) for event in now[: len(before)]] != before:
            raise OrchestrationError("it is not deterministic: its actions differ from its history")
        return now[len(before) :]

    def _scheduled(self, number: int, action: dict[str, Any]) -> Event:
        if action["actionType"] == ActionType.CREATE_TIMER:
            return self._event(HistoryEventType.TIMER_CREATED, EventId=number, FireAt=action["fireAt"])
        if action["actionType"] == ActionType.CALL_ACTIVITY:
            task = {"EventId": number, "Name": action["functionName"], "Input": action["input"]}
            return self._event(HistoryEventType.TASK_SCHEDULED, **task)
        name = ActionType(action["actionType"]).name.lower()
        raise OrchestrationError(f"not supported by the local Functions host: {name}")

    async def _fire(self, timer: Event) -> Event:
        await self._clock.sleep_until(datetime.fromisoformat(timer["FireAt"]))
        return self._event(HistoryEventType.TIMER_FIRED, TimerId=timer["EventId"], FireAt=timer["FireAt"])

    async def _perform(self, task: Event) -> Event:
        number, name = task["EventId"], task["Name"]
        try:
            if name not in self._activities:
                raise OrchestrationError("it doesn't exist, or is not an activity function")
            value = ActivityTriggerConverter.decode(Datum(task["Input"], "json"), trigger_metadata=None)
            result = await self._app.invoke(self._activities[name], value, _json_text)
        except (InvocationError, OrchestrationError, ValueError) as error:
            failure = {"Reason": f"Activity function '{name}' failed: {error}", "Details": ""}
            return self._event(HistoryEventType.TASK_FAILED, TaskScheduledId=number, **failure)
        return self._event(HistoryEventType.TASK_COMPLETED, TaskScheduledId=number, Result=result)

    def _now(self) -> str:
        return self._clock.now().isoformat()

    def _event(self, kind: HistoryEventType, **fields: Any) -> Event:
        return {"EventType": int(kind), "EventId": -1, "Timestamp": self._now(), **fields}


def _context(instance: Instance) -> str:
    """Write what the extension hands to an orchestrator.

    Without `maximumShortTimerDuration`, as with the SQL backend, a timer of any length is one timer.
    """
    kinds = [event["EventType"] for event in instance.history]
    new_from = len(kinds) - 1 - kinds[::-1].index(HistoryEventType.ORCHESTRATOR_STARTED)
    value = json.loads(instance.input)  # The SDK's client sends a JSON text of a JSON text.
    context = {
        "history": [{**event, "IsPlayed": place < new_from} for place, event in enumerate(instance.history)],
        "input": value if isinstance(value, str) else instance.input,
        "instanceId": instance.id,
        "isReplaying": new_from > 0,
        "parentInstanceId": None,
        "upperSchemaVersion": 2,
    }
    return json.dumps(context)


def _leaves(actions: list[Any]) -> Iterator[dict[str, Any]]:
    """Single actions in their order, out of the lists and the when_all and when_any that hold them."""
    for action in actions:
        if isinstance(action, list):
            yield from _leaves(action)
        elif action["actionType"] in (ActionType.WHEN_ALL, ActionType.WHEN_ANY):
            yield from _leaves(action["compoundActions"])
        else:
            yield action


def _what(event: Event) -> tuple[int, str | None]:
    return event["EventType"], event.get("Name")


def _open_events(history: list[Event]) -> list[Event]:
    """Timers and activities of a history that have not come to their end."""
    ended = {event.get("TimerId", event.get("TaskScheduledId")) for event in history}
    return [event for event in history if event["EventType"] in SCHEDULED and event["EventId"] not in ended]


def _take_outcomes(tasks: dict[int, asyncio.Task[Event]]) -> list[Event]:
    return [tasks.pop(number).result() for number in [n for n, task in tasks.items() if task.done()]]


def _json_text(result: Any) -> str:
    text: str = ActivityTriggerConverter.encode(result, expected_type=None).value
    return text
