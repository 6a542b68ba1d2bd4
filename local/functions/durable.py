"""Durable orchestrations: an orchestrator is replayed over its history until it is done.

A step is saved before the next is taken, so after a kill the same history leads to the same end. The SDK
gives out a task when it is yielded: without `task_all` and `task_any` one is under way at a time.
"""

import json
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from azure.durable_functions.models.actions.ActionType import ActionType
from azure.durable_functions.models.history.HistoryEventType import HistoryEventType
from azure.functions.durable_functions import ActivityTriggerConverter
from azure.functions.meta import Datum

from local.functions.app import App, HostError, InvocationError, logger, unsupported
from local.functions.store import UNFINISHED, Instance, Store

PATH = "/runtime/webhooks/durabletask/"


def client_binding(origin: str) -> str:
    """JSON text that a durable client input binding hands to a function."""
    management = {"id": "INSTANCEID", "statusQueryGetUri": f"{origin}{PATH}instances/INSTANCEID"}
    binding = {"taskHubName": "local", "creationUrls": {}, "managementUrls": management}
    return json.dumps({**binding, "rpcBaseUrl": origin + PATH})


class Orchestrations:
    """Runs the app's orchestrators and activities."""

    def __init__(self, app: App, store: Store) -> None:
        self._app, self._store = app, store
        orchestrators, activities = map(app.functions_of, ("orchestrationTrigger", "activityTrigger"))
        self._orchestrators = {f.trigger.get("orchestration") or f.name: f for f in orchestrators}
        self._activities = {f.trigger.get("activity") or f.name: f for f in activities}

    def resume(self) -> None:
        """Go on with every unfinished instance, after a restart."""
        for instance in self._store.instances.values():
            self._app.tasks.create_task(self._run(instance))

    async def handle(self, request: web.Request) -> web.Response:
        """Serve start and status of the extension's HTTP API; refuse by name what else is asked for."""
        path = request.path.removeprefix(PATH).split("/")
        match request.method, path, request.query_string:
            case "POST", ["orchestrators", name, instance_id], "":
                return self.start(name, instance_id, await request.text())
            case "GET", ["instances", instance_id], "" if instance_id:
                return self._status(instance_id)
        message = f"not supported by the local Functions host: {request.method} {request.path_qs}"
        logger.error(message)
        return web.json_response({"Message": message}, status=501)

    def start(self, name: str, instance_id: str, body: str) -> web.Response:
        """Begin an instance of the orchestrator `name`; a finished one of the same id is replaced."""
        if name not in self._orchestrators:
            message = f"The function '{name}' doesn't exist, or is not an orchestrator function."
            return web.json_response({"ExceptionMessage": message}, status=400)
        existing = self._store.instances.get(instance_id)
        if existing and existing.status in UNFINISHED:
            message = f"An Orchestration instance with the status {existing.status} already exists."
            return web.json_response({"Message": message}, status=409)
        value = json.loads(body) if body else "null"  # The SDK's client sends a JSON text of a JSON text.
        instance = Instance(instance_id, name, value, created=datetime.now(UTC).isoformat())
        self._store.save(instance)
        self._app.tasks.create_task(self._run(instance))
        return web.json_response({"id": instance_id}, status=202)

    def _status(self, instance_id: str) -> web.Response:
        instance = self._store.instances.get(instance_id)
        if instance is None:
            return web.Response(status=404)
        times = [instance.created, *(outcome["Timestamp"] for outcome in instance.outcomes)]
        answer = {"name": instance.name, "instanceId": instance.id, "runtimeStatus": instance.status}
        answer |= {"createdTime": times[0], "lastUpdatedTime": times[-1]}
        answer |= {"input": instance.input, "output": instance.output}
        return web.json_response(answer, status=202 if instance.status in UNFINISHED else 200)

    async def _run(self, instance: Instance) -> None:
        """Replay, do what the orchestrator asks for, and so on until it is finished."""
        while instance.status in UNFINISHED and not self._app.stopping.is_set():
            if len(instance.actions) == len(instance.outcomes):
                await self._replay(instance)
            elif outcome := await self._outcome(instance.actions[-1]):
                number = len(instance.outcomes)  # The SDK numbers its tasks in the order of the actions.
                instance.outcomes.append(outcome | {"TaskScheduledId": number, "TimerId": number})
            self._store.save(instance)

    async def _replay(self, instance: Instance) -> None:
        """Run the orchestrator over its history, and note what it decides."""
        try:
            if instance.name not in self._orchestrators:
                raise HostError("it is no longer part of the app")
            function = self._orchestrators[instance.name]
            state = json.loads(await self._app.invoke(function, _context(instance)))
            actions = [action for group in state["actions"] for action in group]
            for action in actions:
                if action["actionType"] not in (ActionType.CREATE_TIMER, ActionType.CALL_ACTIVITY):
                    parts = [action, *action.get("compoundActions", [])]
                    names = [ActionType(part["actionType"]).name.lower() for part in parts]
                    raise unsupported(", ".join(names), instance.name)
            if "customStatus" in state:
                raise unsupported("custom status", instance.name)
            if actions[: len(instance.actions)] != instance.actions:
                raise HostError("it is not deterministic: its actions differ from its history")
            instance.status = "Completed" if state["isDone"] else "Running"
            if instance.status == "Running" and len(actions) == len(instance.actions):
                raise HostError("it waits for nothing")
            instance.actions, instance.output = actions, state.get("output")
        except (InvocationError, HostError) as error:
            message = str(error).split("\n\n$OutOfProcData$:")[0]
            instance.status = "Failed"
            instance.output = f"Orchestrator function '{instance.name}' failed: {message}"
            logger.error("Instance %s: %s", instance.id, instance.output)

    async def _outcome(self, action: dict[str, Any]) -> dict[str, Any] | None:
        """Return the event of an action's end; None of a timer that is not due yet."""
        if action["actionType"] == ActionType.CREATE_TIMER:
            left = (datetime.fromisoformat(action["fireAt"]) - datetime.now(UTC)).total_seconds()
            if left > 0:
                await self._app.pause(min(left, 30))  # The laptop may be suspended meanwhile.
                return None
            return _event(HistoryEventType.TIMER_FIRED)
        name = action["functionName"]
        try:
            if name not in self._activities:
                raise InvocationError("it doesn't exist, or is not an activity function")
            value = ActivityTriggerConverter.decode(Datum(action["input"], "json"), trigger_metadata=None)
            result = await self._app.invoke(self._activities[name], value)
            text = str(ActivityTriggerConverter.encode(result, expected_type=None).value)
        except (InvocationError, TypeError) as error:
            reason = f"Activity function '{name}' failed: {error}"
            return _event(HistoryEventType.TASK_FAILED, Reason=reason, Details="")
        return _event(HistoryEventType.TASK_COMPLETED, Result=text)


def _context(instance: Instance) -> str:
    """Write what the extension hands to an orchestrator: of the history, the events that the SDK reads."""
    started = _event(HistoryEventType.EXECUTION_STARTED, Timestamp=instance.created, Version="")
    history = []
    for event in [started, *instance.outcomes]:
        history += [_event(HistoryEventType.ORCHESTRATOR_STARTED, Timestamp=event["Timestamp"]), event]
    # Without `maximumShortTimerDuration`, as with the SQL backend, a timer of any length is one timer.
    context = {
        "history": [{**event, "IsPlayed": place < len(history) - 2} for place, event in enumerate(history)],
        "input": instance.input,
        "instanceId": instance.id,
        "isReplaying": bool(instance.outcomes),
        "parentInstanceId": None,
        "upperSchemaVersion": 2,
    }
    return json.dumps(context)


def _event(kind: HistoryEventType, **fields: str) -> dict[str, Any]:
    return {"EventType": int(kind), "EventId": -1, "Timestamp": datetime.now(UTC).isoformat(), **fields}
