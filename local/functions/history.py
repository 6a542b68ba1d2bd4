"""What an orchestration has scheduled, in the order in which the SDK numbers its tasks."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from azure.durable_functions.models.actions.ActionType import ActionType
from azure.durable_functions.models.history.HistoryEventType import HistoryEventType as Kind

from local.functions.app import HostError, unsupported
from local.functions.store import Event, Instance


def open_events(instance: Instance) -> list[Event]:
    """Return the timers and activities that neither ended nor were cancelled."""
    happened = [*instance.history, *instance.inbox]
    ended = {event.get("TimerId", event.get("TaskScheduledId")) for event in happened}
    scheduled = _scheduled(instance.history)
    return [event for event in scheduled if event["EventId"] not in ended and not event["IsCancelled"]]


def add_retry(history: list[Event]) -> None:
    """Schedule what the newest event asks for where an activity has retry options.

    The SDK only waits for these tasks. As in the extension a timer follows each failure, the last one too.
    """
    event = history[-1]
    number = event.get("TimerId", event.get("TaskScheduledId"))
    retry = next((cause["Retry"] for cause in _scheduled(history) if cause["EventId"] == number), None)
    if retry and event["EventType"] == Kind.TASK_FAILED:
        due = datetime.fromisoformat(event["Timestamp"]) + timedelta(milliseconds=retry["Pause"])
        _add(history, Kind.TIMER_CREATED, FireAt=due.isoformat(), Retry=retry, IsRetry=True)
    elif retry and event["EventType"] == Kind.TIMER_FIRED and retry["Left"]:
        again = {**retry, "Left": retry["Left"] - 1}
        _add(
            history, Kind.TASK_SCHEDULED, Name=retry["Name"], Input=retry["Input"], Retry=again, IsRetry=True
        )


def add_decisions(instance: Instance, actions: list[Any]) -> None:
    """Schedule the actions that the orchestrator takes beyond those of its history, and cancel timers."""
    history = instance.history
    known = [event for event in _scheduled(history) if not event["IsRetry"]]
    asked = [
        action for action in _leaves(actions) if action["actionType"] != ActionType.WAIT_FOR_EXTERNAL_EVENT
    ]
    for event, action in zip(known, asked, strict=False):
        event["IsCancelled"] = action.get("isCanceled", False)
    names = [action.get("functionName") for action in asked[: len(known)]]
    if names != [event.get("Name") for event in known]:
        raise HostError("it is not deterministic: its actions differ from its history")
    for action in asked[len(known) :]:
        match action:
            case {"actionType": ActionType.CREATE_TIMER, "fireAt": due, "isCanceled": is_cancelled}:
                _add(history, Kind.TIMER_CREATED, FireAt=due, IsCancelled=is_cancelled)
            case {"actionType": ActionType.CALL_ACTIVITY, "functionName": name, "input": value}:
                _add(history, Kind.TASK_SCHEDULED, Name=name, Input=value)
            case {"actionType": ActionType.CALL_ACTIVITY_WITH_RETRY, "functionName": name, "input": value}:
                options = action["retryOptions"]
                retry = {"Name": name, "Input": value, "Left": options["maxNumberOfAttempts"] - 1}
                retry["Pause"] = options["firstRetryIntervalInMilliseconds"]
                _add(history, Kind.TASK_SCHEDULED, Name=name, Input=value, Retry=retry)
            case _:
                raise unsupported(ActionType(action["actionType"]).name.lower(), instance.name)


def _add(history: list[Event], kind: Kind, **fields: Any) -> None:
    """The SDK numbers its tasks one after the other, and these numbers are the events' ids."""
    event = {
        "EventType": int(kind),
        "EventId": len(_scheduled(history)),
        "Timestamp": history[-1]["Timestamp"],
    }
    history.append({**event, "IsCancelled": False, "IsRetry": False, "Retry": None, **fields})


def _scheduled(history: list[Event]) -> list[Event]:
    return [event for event in history if event["EventType"] in (Kind.TASK_SCHEDULED, Kind.TIMER_CREATED)]


def _leaves(actions: list[Any]) -> Iterator[dict[str, Any]]:
    """Single actions in their order, out of the lists and the when_all and when_any that hold them."""
    for action in actions:
        inner = action if isinstance(action, list) else action.get("compoundActions")
        if inner is None:
            yield action
        else:
            yield from _leaves(inner)
