"""The user's function app: its settings, its functions, and how one of them is called."""

import asyncio
import importlib
import inspect
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from azure.functions import FunctionRegister

logger = logging.getLogger("local.functions")
Result = TypeVar("Result")

TRIGGERS = ("httpTrigger", "blobTrigger", "orchestrationTrigger", "activityTrigger")


class HostError(Exception):
    """The app can't be served. The message is one sentence for whoever started the host."""


class InvocationError(Exception):
    """A user function raised. The traceback is in the log already."""


def unsupported(what: str, function: str) -> HostError:
    """Name what this host does not serve, and the function that asks for it."""
    return HostError(f"not supported by the local Functions host: {what} (function {function})")


@dataclass(frozen=True)
class Function:
    """A function of the app. `trigger` is its binding as function.json would have it."""

    name: str
    call: Callable[..., Any]
    trigger: dict[str, Any]
    client_parameters: tuple[str, ...]
    hints: dict[str, Any]


def read_json(path: Path) -> dict[str, Any]:
    """Content of host.json or local.settings.json; empty where there is no such file."""
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    except ValueError as error:
        raise HostError(f"{path} is not JSON: {error}") from error
    return content


def load_functions(directory: Path) -> list[Function]:
    """Import `function_app.py` as the Python worker does: from its own folder, with its settings.

    Raises
    ------
    HostError
        Where the app does not import, or asks for something that is not supported here.
    """
    if not (directory / "function_app.py").is_file():
        raise HostError(f"there is no function_app.py in {directory}")
    for name, value in read_json(directory / "local.settings.json").get("Values", {}).items():
        os.environ.setdefault(name, value)
    sys.path.insert(0, str(directory))
    os.chdir(directory)
    try:
        module = importlib.import_module("function_app")
        apps = {id(value): value for value in vars(module).values() if isinstance(value, FunctionRegister)}
        if len(apps) != 1:
            raise HostError(f"function_app.py must hold one FunctionApp, and holds {len(apps)}")
        return [described(function) for app in apps.values() for function in app.get_functions()]
    except HostError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{frame.filename}:{frame.lineno}" for frame in frames if str(directory) in frame.filename]
        what = f"{type(error).__name__}: {error} ({where[-1] if where else 'in the SDK'})"
        raise HostError(f"function_app.py does not load: {what}") from error


def described(function: Any) -> Function:
    """Describe a function of the SDK, once it is clear that all its bindings are served."""
    name, call = function.get_function_name(), function.get_user_function()
    bindings = [binding.get_dict_repr() for binding in function.get_bindings()]
    trigger = function.get_trigger().get_dict_repr()
    clients = tuple(binding["name"] for binding in bindings if binding["type"] == "durableClient")
    for binding in bindings:
        if binding["type"] not in (*TRIGGERS, "durableClient") and binding["name"] != "$return":
            raise unsupported(binding["type"], name)
    if function.get_setting("retry_policy"):
        raise unsupported("retry policy", name)
    if trigger["type"] == "orchestrationTrigger":
        trigger["name"] = "context"  # The SDK wraps an orchestrator in a function of this one parameter.
    for parameter in inspect.signature(call).parameters:
        if parameter not in (trigger["name"], *clients):
            raise unsupported(f"parameter {parameter}, which no binding fills", name)
    return Function(name, call, trigger, clients, get_type_hints(call))


class App:
    """The app's functions, and everything that runs now.

    Create it within the event loop. `client_binding` is the JSON text that a durable client input
    binding hands to a function. `stopping` is set once the host is to end: what runs goes on,
    nothing new starts; `stopped` is a task that ends then. `failed`: by a fault of the host itself.
    """

    def __init__(self, functions: Sequence[Function], client_binding: str) -> None:
        self._functions = functions
        self._client_binding = client_binding
        self.stopping = asyncio.Event()
        self.stopped = asyncio.create_task(self.stopping.wait())
        self.failed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def functions_of(self, trigger_type: str) -> list[Function]:
        """Functions with this type of trigger."""
        return [function for function in self._functions if function.trigger["type"] == trigger_type]

    async def invoke(self, function: Function, value: Any, encode: Callable[[Any], Result]) -> Result:
        """Call a user function: an async one on the host's event loop, a sync one in a thread.

        Raises
        ------
        InvocationError
            Where the function raised, or returned what `encode` refuses.
        """
        arguments = {function.trigger["name"]: value}
        arguments |= dict.fromkeys(function.client_parameters, self._client_binding)
        started = time.monotonic()
        try:
            if inspect.iscoroutinefunction(function.call):
                result = encode(await function.call(**arguments))
            else:
                result = encode(await asyncio.to_thread(function.call, **arguments))
        except Exception as error:
            logger.exception("Executed %s (Failed, %.0f ms)", function.name, _since(started))
            raise InvocationError(f"{type(error).__name__}: {error}") from error
        logger.info("Executed %s (Succeeded, %.0f ms)", function.name, _since(started))
        return result

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run `work` beside the rest. If it raises, the host ends: a dead trigger must not go unseen."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.critical("The host fails", exc_info=error)
            self.failed = True
            self.stopping.set()

    async def settle(self, grace_seconds: float) -> None:
        """Let what runs now come to its end, in the given time."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)


def _since(started: float) -> float:
    return 1000 * (time.monotonic() - started)
