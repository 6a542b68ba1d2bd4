"""The user's function app: its settings, its functions, and how one of them is called."""

import asyncio
import importlib
import inspect
import json
import logging
import os
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from azure.functions import FunctionRegister
from azure.functions.meta import Datum, get_binding_registry

logger = logging.getLogger("local.functions")
Result = TypeVar("Result")
CONVERTERS: Any = get_binding_registry()  # type: ignore[no-untyped-call]
TRIGGERS = ("http", "blob", "timer", "serviceBus", "orchestration", "activity")
SERVED = ("durableClient", *(f"{kind}Trigger" for kind in TRIGGERS))


class HostError(Exception):
    """What is asked for can't be served. The message is one sentence."""


class InvocationError(Exception):
    """A user function raised. The traceback is in the log already."""


def unsupported(what: str, function: str) -> HostError:
    """Name what this host does not serve, and the function that asks for it."""
    return HostError(f"not supported by the local Functions host: {what} (function {function})")


@dataclass(frozen=True)
class Function:
    """A function of the app. `trigger` is its binding as function.json would have it, `%NAME%` resolved."""

    name: str
    call: Callable[..., Any]
    trigger: dict[str, Any]
    clients: list[str]  # parameters that want a durable client

    @property
    def wanted(self) -> Any:
        """The type that the trigger's parameter asks for, None where it does not say."""
        return get_type_hints(self.call).get(self.trigger["name"])


def setting(name: str, function: str) -> str:
    """Return a setting that a function can't be served without, such as a connection string."""
    if name in os.environ:
        return os.environ[name]
    if parted := next((other for other in os.environ if other.startswith(f"{name}__")), None):
        raise unsupported(f"connection {parted}, an identity instead of a connection string", function)
    raise HostError(f"the setting {name} is missing (function {function})")


def read_json(path: Path) -> Any:
    """Content of host.json or local.settings.json; empty where there is no such file."""
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def load_functions(directory: Path) -> list[Function]:
    """Import `function_app.py` as the Python worker does: from its own folder, with its settings."""
    if not (directory / "function_app.py").is_file():
        raise HostError(f"there is no function_app.py in {directory}")
    for name, value in read_json(directory / "local.settings.json").get("Values", {}).items():
        os.environ.setdefault(name, value)
    sys.path.insert(0, str(directory))
    os.chdir(directory)
    module = importlib.import_module("function_app")
    apps = [value for value in vars(module).values() if isinstance(value, FunctionRegister)]
    if len(apps) != 1:
        raise HostError(f"function_app.py must hold one FunctionApp, and holds {len(apps)}")
    return [described(function) for function in apps[0].get_functions()]


def described(function: Any) -> Function:
    """Describe a function of the SDK, once it is clear that all its bindings are served."""
    name, call = function.get_function_name(), function.get_user_function()
    if function.get_setting("retry_policy"):
        raise unsupported("retry policy", name)
    bindings = [binding.get_dict_repr() for binding in function.get_bindings()]
    for binding in bindings:
        if binding["type"] not in SERVED and binding["name"] != "$return":
            raise unsupported(binding["type"], name)
    clients = [binding["name"] for binding in bindings if binding["type"] == "durableClient"]
    trigger = function.get_trigger().get_dict_repr()
    for key, value in trigger.items():
        if isinstance(value, str) and key != "route":
            trigger[key] = re.sub("%([^%]+)%", lambda found: setting(found[1], name), value)
    if trigger["type"] == "orchestrationTrigger":
        trigger["name"] = "context"  # The SDK wraps an orchestrator in a function of this one parameter.
    if unfilled := set(inspect.signature(call).parameters) - {trigger["name"], *clients}:
        raise unsupported(f"parameter {min(unfilled)}, which no binding fills", name)
    return Function(name, call, trigger, clients)


def decode(binding: str, value: Any, kind: str, metadata: dict[str, Datum] | None = None) -> Any:
    """Make a function's argument with the SDK's own converter."""
    return CONVERTERS.get(binding).decode(Datum(value, kind), trigger_metadata=metadata)


class App:
    """The app's functions. All that the host does runs in `tasks`, until `stopping` is set."""

    def __init__(self, functions: Sequence[Function], client_binding: str, tasks: asyncio.TaskGroup) -> None:
        self._functions, self._client_binding = functions, client_binding
        self.tasks, self.stopping = tasks, asyncio.Event()

    def functions_of(self, trigger_type: str) -> list[Function]:
        """Functions with this type of trigger."""
        return [function for function in self._functions if function.trigger["type"] == trigger_type]

    async def invoke(self, function: Function, value: Any, output: str | None = None) -> Any:
        """Call a user function, a sync one in a thread; return its result as the `output` binding's datum."""
        arguments = {function.trigger["name"]: value}
        arguments |= dict.fromkeys(function.clients, self._client_binding)
        try:
            if inspect.iscoroutinefunction(function.call):
                result = await function.call(**arguments)
            else:
                result = await asyncio.to_thread(function.call, **arguments)
            datum = CONVERTERS.get(output).encode(result, expected_type=None) if output else None
        except (Exception, SystemExit) as error:
            logger.exception("Executed %s (Failed)", function.name)
            raise InvocationError(f"{type(error).__name__}: {error}") from error
        logger.info("Executed %s (Succeeded)", function.name)
        return datum

    async def unless_stopping(self, work: Awaitable[Result]) -> Result | None:
        """Return what `work` returns; None, and `work` is cancelled, once the host is to end."""
        working, stop = asyncio.ensure_future(work), asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            stop.cancel()
            working.cancel()
            await asyncio.wait({working, stop})  # so that nothing is closed under it

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than until the host is to end."""
        await self.unless_stopping(asyncio.sleep(seconds))
