"""Durable orchestrations: an orchestrator is replayed over its history until it is done.

What happens to an instance (a timer fires, an activity ends, an event is raised) is saved in its inbox, and
one such event at a time is replayed and saved with what the orchestrator decides. So after a kill at any
point the same history leads to the same end.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from azure.durable_functions.models.history.HistoryEventType import HistoryEventType as Kind

from local.functions.app import App, HostError, InvocationError, decode, encode, logger
from local.functions.history import add_decisions, add_retry, open_events
from local.functions.store import Event, Instance, Store

LONGEST_PAUSE = 30.0  # seconds; the laptop may be suspended meanwhile


class Orchestrations:
    """Runs the app's orchestrators and activities."""

    def __init__(self, app: App, store: Store) -> None:
        self._app, self._store = app, store
        self._running: dict[str, Instance] = {}
        self._begun: dict[str, set[int]] = {}
        orchestrators, activities = map(app.functions_of, ("orchestrationTrigger", "activityTrigger"))
        self.orchestrators = {f.trigger.get("orchestration") or f.name: f for f in orchestrators}
        self._activities = {f.trigger.get("activity") or f.name: f for f in activities}

    def resume(self) -> None:
        """Go on with every unfinished instance, after a restart."""
        for instance in self._store.unfinished():
            self._go_on(instance)

    def start(self, name: str, instance_id: str, value: str) -> None:
        """Begin an instance; a finished one of the same id is replaced. `value` is its input, a JSON text."""
        instance = Instance(instance_id, name, value, datetime.now(UTC).isoformat())
        self.receive(instance, Kind.EXECUTION_STARTED, Name=name, Input=value, Version="")

    def find(self, instance_id: str) -> Instance | None:
        """Return an instance as it is now."""
        return self._running.get(instance_id) or self._store.find(instance_id)

    def receive(self, instance: Instance, kind: Kind, **fields: Any) -> None:
        """Keep for good what has happened to an instance, unless it has ended, and go on with it."""
        if instance.is_finished:
            return
        instance.inbox.append(_event(kind, datetime.now(UTC).isoformat(), **fields))
        self._store.save(instance)
        if len(instance.inbox) == 1:  # Else it goes on already.
            self._go_on(instance)

    def _go_on(self, instance: Instance) -> None:
        self._running[instance.id] = instance
        self._app.tasks.create_task(self._advance(instance))

    async def _advance(self, instance: Instance) -> None:
        """Replay all that is in the inbox, and begin what the orchestrator asks for."""
        while instance.inbox and not instance.is_finished:
            if self._app.stopping.is_set():
                return
            await self._step(instance)
            self._store.save(instance)
        begun = self._begun.setdefault(instance.id, set())
        if instance.is_finished:
            del self._running[instance.id], self._begun[instance.id]
            return
        for event in open_events(instance):
            if event["EventId"] not in begun:
                begun.add(event["EventId"])
                begin = self._wait if event["EventType"] == Kind.TIMER_CREATED else self._perform
                self._app.tasks.create_task(begin(instance, event))

    async def _step(self, instance: Instance) -> None:
        """Move an event from the inbox to the history, with all that follows from it."""
        event = instance.inbox[0]
        started = _event(Kind.ORCHESTRATOR_STARTED, event["Timestamp"])
        # On a copy: what comes meanwhile is saved with the instance as it was.
        after = replace(instance, history=[*map(dict, instance.history), started, event])
        add_retry(after.history)
        failure = None
        try:
            if event["EventType"] == Kind.EXECUTION_TERMINATED:
                after.status, after.output = "Terminated", event["Reason"]
            else:
                failure = await self._replay(after)
        except HostError as error:
            failure = str(error)
        if failure is not None:
            after.status = "Failed"
            after.output = f"Orchestrator function '{instance.name}' failed: {failure}"
            logger.error("Instance %s: %s", instance.id, after.output)
        del instance.inbox[0]
        vars(instance).update(vars(after))

    async def _replay(self, instance: Instance) -> str | None:
        """Take the orchestrator on by the newest event; return why it failed, if it has."""
        if instance.name not in self.orchestrators:
            raise HostError("it is no longer part of the app")
        failure = None
        try:
            answer = await self._app.invoke(self.orchestrators[instance.name], _context(instance))
        except InvocationError as error:
            failure, _, answer = str(error).removeprefix("Exception: ").partition("\n\n$OutOfProcData$:")
            if not answer:
                raise HostError(failure) from error
        state = json.loads(answer)
        add_decisions(instance, state["actions"])
        instance.status, instance.custom_status = "Running", state.get("customStatus")
        if open_events(instance):
            # As documented, no orchestration ends before its last task or timer that is not cancelled.
            return None
        if state["isDone"]:
            instance.status, instance.output = "Completed", state.get("output")
        return failure

    async def _wait(self, instance: Instance, timer: Event) -> None:
        while (left := (datetime.fromisoformat(timer["FireAt"]) - datetime.now(UTC)).total_seconds()) > 0:
            await self._app.pause(min(left, LONGEST_PAUSE))
            if self._app.stopping.is_set() or timer not in open_events(instance):
                return
        self.receive(instance, Kind.TIMER_FIRED, TimerId=timer["EventId"], FireAt=timer["FireAt"])

    async def _perform(self, instance: Instance, task: Event) -> None:
        number, name = task["EventId"], task["Name"]
        try:
            if name not in self._activities:
                raise InvocationError("it doesn't exist, or is not an activity function")
            value = decode("activityTrigger", task["Input"], "json")
            result = encode("activityTrigger", await self._app.invoke(self._activities[name], value)).value
        except (InvocationError, ValueError) as error:
            reason = f"Activity function '{name}' failed: {error}"
            self.receive(instance, Kind.TASK_FAILED, TaskScheduledId=number, Reason=reason, Details="")
        else:
            self.receive(instance, Kind.TASK_COMPLETED, TaskScheduledId=number, Result=result)


def _event(kind: Kind, time: str, **fields: Any) -> Event:
    return {"EventType": int(kind), "EventId": -1, "Timestamp": time, **fields}


def _context(instance: Instance) -> str:
    """Write what the extension hands to an orchestrator.

    Without `maximumShortTimerDuration`, as with the SQL backend, a timer of any length is one timer.
    """
    starts = [
        n for n, event in enumerate(instance.history) if event["EventType"] == Kind.ORCHESTRATOR_STARTED
    ]
    value = json.loads(instance.input)  # The SDK's client sends a JSON text of a JSON text.
    context = {
        "history": [{**event, "IsPlayed": n < starts[-1]} for n, event in enumerate(instance.history)],
        "input": value if isinstance(value, str) else instance.input,
        "instanceId": instance.id,
        "isReplaying": len(starts) > 1,
        "parentInstanceId": None,
        "upperSchemaVersion": 2,
    }
    return json.dumps(context)
