"""Durable orchestrations: an orchestrator is replayed over what has happened until it is done.

What happens to an instance (a timer fires, an activity ends, an event is raised) is saved at once; one such
event at a time is replayed, and saved as seen with the tasks that the orchestrator asks for. So after a kill
at any point the same events lead to the same end.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any

from azure.durable_functions.models.actions.ActionType import ActionType
from azure.durable_functions.models.history.HistoryEventType import HistoryEventType as Kind

from local.functions.app import App, HostError, InvocationError, decode, logger, unsupported
from local.functions.table import Table

LONGEST_PAUSE = 30.0  # seconds; the laptop may be suspended meanwhile
WHAT = ("actionType", "functionName")
SERVED = (ActionType.CREATE_TIMER, ActionType.CALL_ACTIVITY, ActionType.CALL_ACTIVITY_WITH_RETRY)


@dataclass
class Instance:
    """An orchestration, with all that happened to it and all that it asked for."""

    id: str
    name: str
    input: str  # JSON text
    status: str = "Pending"
    output: Any = None
    custom_status: Any = None
    events: list[dict[str, Any]] = field(default_factory=list)
    seen: int = 0  # events that the orchestrator has been replayed over
    tasks: list[dict[str, Any]] = field(default_factory=list)  # the SDK's actions, as the SDK numbers them
    begun: int = 0  # tasks that this run of the host has begun

    @property
    def is_finished(self) -> bool:
        """Whether it has come to its end, whatever that was."""
        return self.status not in ("Pending", "Running")


class Orchestrations:
    """Runs the app's orchestrators and activities."""

    def __init__(self, app: App, table: Table) -> None:
        self._app, self._table = app, table
        self.instances = {name: Instance(**record | {"begun": 0}) for name, record in table.read().items()}
        orchestrators, activities = map(app.functions_of, ("orchestrationTrigger", "activityTrigger"))
        self.orchestrators = {f.trigger.get("orchestration") or f.name: f for f in orchestrators}
        self._activities = {f.trigger.get("activity") or f.name: f for f in activities}

    def resume(self) -> None:
        """Go on with every unfinished instance, after a restart."""
        for instance in self.instances.values():
            self._app.tasks.create_task(self._advance(instance))

    def start(self, name: str, instance_id: str, value: str) -> None:
        """Begin an instance; a finished one of the same id is replaced. `value` is its input, a JSON text."""
        self.instances[instance_id] = Instance(instance_id, name, value)
        self.receive(self.instances[instance_id], Kind.EXECUTION_STARTED, Version="")

    def purge(self, instance: Instance) -> None:
        """Forget a finished instance."""
        del self.instances[instance.id]
        self._table.delete(instance.id)

    def receive(self, instance: Instance, kind: Kind, **fields: Any) -> None:
        """Keep for good what has happened to an instance, unless it has ended, and go on with it."""
        if not instance.is_finished:
            instance.events.append(_event(kind, datetime.now(UTC).isoformat(), **fields))
            self._table.write(instance.id, asdict(instance))
            if len(instance.events) == instance.seen + 1:  # Else it goes on already.
                self._app.tasks.create_task(self._advance(instance))

    async def _advance(self, instance: Instance) -> None:
        """Replay all that has not been seen, and begin the tasks that the orchestrator asks for."""
        while instance.seen < len(instance.events) and not instance.is_finished:
            if self._app.stopping.is_set():
                return
            await self._step(instance)
            self._table.write(instance.id, asdict(instance))
        fresh = [number for number in _open_tasks(instance) if number >= instance.begun]
        instance.begun = len(instance.tasks)
        for number in [] if instance.is_finished else fresh:
            is_timer = instance.tasks[number]["actionType"] == ActionType.CREATE_TIMER
            self._app.tasks.create_task((self._wait if is_timer else self._perform)(instance, number))

    async def _step(self, instance: Instance) -> None:
        """Let the orchestrator see one more event. What comes meanwhile is saved with the state before."""
        event = instance.events[instance.seen]
        after = replace(instance, seen=instance.seen + 1, tasks=[*map(dict, instance.tasks)])
        failure: str | None = None
        try:
            if event["EventType"] == Kind.EXECUTION_TERMINATED:
                after.status, after.output = "Terminated", event["Reason"]
            else:
                _add_retry(after, event)
                failure = await self._replay(after)
        except HostError as error:
            failure = str(error)
        if failure is not None:
            after.status = "Failed"
            after.output = f"Orchestrator function '{instance.name}' failed: {failure}"
            logger.error("Instance %s: %s", instance.id, after.output)
        vars(instance).update(vars(after))

    async def _replay(self, instance: Instance) -> str | None:
        """Take the orchestrator on by the newest event; return why it failed, if it has."""
        if instance.name not in self.orchestrators:
            raise HostError("it is no longer part of the app")
        failure = None
        try:
            function = self.orchestrators[instance.name]
            answer = (await self._app.invoke(function, _context(instance), "orchestrationTrigger")).value
        except InvocationError as error:
            failure, _, answer = str(error).removeprefix("Exception: ").partition("\n\n$OutOfProcData$:")
            if not answer:
                raise HostError(failure) from error
        state = json.loads(answer)
        _add_tasks(instance, state["actions"])
        instance.status, instance.custom_status = "Running", state.get("customStatus")
        if _open_tasks(instance):
            # As documented, no orchestration ends before its last task or timer that is not cancelled.
            return None
        if state["isDone"]:
            instance.status, instance.output = "Completed", state.get("output")
        return failure

    async def _wait(self, instance: Instance, number: int) -> None:
        due = datetime.fromisoformat(instance.tasks[number]["fireAt"])
        while (left := (due - datetime.now(UTC)).total_seconds()) > 0:
            await self._app.pause(min(left, LONGEST_PAUSE))
            if self._app.stopping.is_set() or number not in _open_tasks(instance):
                return
        self.receive(instance, Kind.TIMER_FIRED, TimerId=number, FireAt=due.isoformat())

    async def _perform(self, instance: Instance, number: int) -> None:
        name = instance.tasks[number]["functionName"]
        try:
            if name not in self._activities:
                raise InvocationError("it doesn't exist, or is not an activity function")
            value = decode("activityTrigger", instance.tasks[number]["input"], "json")
            result = (await self._app.invoke(self._activities[name], value, "activityTrigger")).value
            self.receive(instance, Kind.TASK_COMPLETED, TaskScheduledId=number, Result=result)
        except (InvocationError, ValueError) as error:
            reason = f"Activity function '{name}' failed: {error}"
            self.receive(instance, Kind.TASK_FAILED, TaskScheduledId=number, Reason=reason, Details="")


def _event(kind: Kind, time: str, **fields: Any) -> dict[str, Any]:
    return {"EventType": int(kind), "EventId": -1, "Timestamp": time, **fields}


def _open_tasks(instance: Instance) -> list[int]:
    """Return the numbers of the tasks that neither ended nor were cancelled."""
    ended = {event.get("TimerId", event.get("TaskScheduledId")) for event in instance.events}
    tasks = enumerate(instance.tasks)
    return [number for number, task in tasks if number not in ended and not task.get("isCanceled")]


def _add_retry(instance: Instance, event: dict[str, Any]) -> None:
    """Add the task that the newest event asks for where an activity has retry options.

    The SDK only waits for it. As in the extension a timer follows each failure, the last one too.
    """
    number = event.get("TimerId", event.get("TaskScheduledId"))
    task = {} if number is None else instance.tasks[number]
    options = task.get("retryOptions")
    if options and event["EventType"] == Kind.TASK_FAILED:
        pause = timedelta(milliseconds=options["firstRetryIntervalInMilliseconds"])
        due = (datetime.fromisoformat(event["Timestamp"]) + pause).isoformat()
        instance.tasks.append({"actionType": ActionType.CREATE_TIMER, "fireAt": due, "retryOf": task})
    elif failed := task.get("retryOf"):
        tries = failed.get("tries", 1)
        if tries < failed["retryOptions"]["maxNumberOfAttempts"]:
            instance.tasks.append({**failed, "tries": tries + 1})


def _add_tasks(instance: Instance, actions: list[Any]) -> None:
    """Add what the orchestrator asks for beyond its earlier tasks, and note which timers it cancels."""
    asked = [a for a in _leaves(actions) if a["actionType"] != ActionType.WAIT_FOR_EXTERNAL_EVENT]
    known = [task for task in instance.tasks if not {"retryOf", "tries"} & task.keys()]
    for task, action in zip_longest(known, asked[: len(known)], fillvalue=dict[str, Any]()):
        if [task.get(key) for key in WHAT] != [action.get(key) for key in WHAT]:
            raise HostError("it is not deterministic: its actions differ from its history")
        task["isCanceled"] = action.get("isCanceled", False)
    for action in asked[len(known) :]:
        if action["actionType"] not in SERVED:
            raise unsupported(ActionType(action["actionType"]).name.lower(), instance.name)
        instance.tasks.append(action)


def _leaves(actions: list[Any]) -> Iterator[dict[str, Any]]:
    """Single actions in their order, out of the lists and the when_all and when_any that hold them."""
    for action in actions:
        inner = action if isinstance(action, list) else action.get("compoundActions")
        yield from [action] if inner is None else _leaves(inner)


def _context(instance: Instance) -> str:
    """Write what the extension hands to an orchestrator: of the history, the events that the SDK reads."""
    history = []
    for event in instance.events[: instance.seen]:
        history += [_event(Kind.ORCHESTRATOR_STARTED, event["Timestamp"]), event]
    value = json.loads(instance.input)  # The SDK's client sends a JSON text of a JSON text.
    played = len(history) - 2
    context = {
        "history": [{**event, "IsPlayed": place < played} for place, event in enumerate(history)],
        "input": value if isinstance(value, str) else instance.input,
        "isReplaying": played > 0,
    }
    # Without `maximumShortTimerDuration`, as with the SQL backend, a timer of any length is one timer.
    return json.dumps(
        context | {"instanceId": instance.id, "parentInstanceId": None, "upperSchemaVersion": 2}
    )
