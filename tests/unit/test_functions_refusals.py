"""What the local Functions host does not serve is refused by name when it starts."""

import asyncio

import azure.functions as func
import pytest
from azurefunctions.extensions.bindings.blob import BlobClient as Blob

from local.functions.app import App, HostError, described
from local.functions.blob_trigger import BlobTrigger
from local.functions.http_trigger import route_of
from local.functions.store import Store

ANONYMOUS = func.AuthLevel.ANONYMOUS
UPLOADS = {"arg_name": "b", "path": "c/{name}", "connection": "S"}


def route(app: func.FunctionApp, template: str | None) -> None:
    @app.route(route=template, auth_level=ANONYMOUS)
    def on_it(req: func.HttpRequest): ...


def timer(app: func.FunctionApp) -> None:
    @app.timer_trigger(schedule="0 * * * * *", arg_name="t")
    def on_it(t: func.TimerRequest): ...


def service_bus(app: func.FunctionApp) -> None:
    @app.service_bus_queue_trigger(arg_name="m", queue_name="q", connection="S")
    def on_it(m: func.ServiceBusMessage): ...


def output(app: func.FunctionApp) -> None:
    @app.route(auth_level=ANONYMOUS)
    @app.queue_output(arg_name="o", queue_name="q", connection="S")
    def on_it(req: func.HttpRequest, o: func.Out[str]): ...


def parameter(app: func.FunctionApp) -> None:
    @app.route(auth_level=ANONYMOUS)
    def on_it(req: func.HttpRequest, context: func.Context): ...


def retry(app: func.FunctionApp) -> None:
    @app.retry(strategy="fixed_delay", max_retry_count="3", delay_interval="1")
    @app.route(auth_level=ANONYMOUS)
    def on_it(req: func.HttpRequest): ...


def key(app: func.FunctionApp) -> None:
    @app.route(auth_level=func.AuthLevel.FUNCTION)
    def on_it(req: func.HttpRequest): ...


def stream(app: func.FunctionApp) -> None:
    @app.blob_trigger(**UPLOADS)
    def on_it(b: func.InputStream): ...


def pattern(app: func.FunctionApp) -> None:
    @app.blob_trigger(**{**UPLOADS, "path": "c/{name}.wav"})
    def on_it(b: Blob): ...


def setting_in_path(app: func.FunctionApp) -> None:
    @app.blob_trigger(**{**UPLOADS, "path": "%C%/{name}"})
    def on_it(b: Blob): ...


def connection(app: func.FunctionApp) -> None:
    @app.blob_trigger(**UPLOADS)
    def on_it(b: Blob): ...


def prepare(app: func.FunctionApp, tasks: asyncio.TaskGroup, store: Store) -> None:
    """Do with each function what the host does before it serves."""
    functions = [described(function) for function in app.get_functions()]
    for function in functions:
        if function.trigger["type"] == "httpTrigger":
            route_of(function, "api")
        elif function.trigger["type"] == "blobTrigger":
            BlobTrigger(App(functions, "{}", tasks), store, function)


@pytest.mark.parametrize(
    ("define", "what"),
    [
        (timer, "timerTrigger"),
        (service_bus, "serviceBusTrigger"),
        (output, "queue"),
        (parameter, "parameter context, which no binding fills"),
        (retry, "retry policy"),
        (key, "authLevel function"),
        (stream, "blob as InputStream"),
        (pattern, "blob path c/{name}.wav"),
        (setting_in_path, "blob path %C%/{name}"),
        *(
            (template, f"route segment {template}")
            for template in ("{x:int}", "{x?}", "{*x}", "a{x}", "{x}.{y}", "{x=1}")
        ),
    ],
)
async def test_refused_by_name(define, what: str, tmp_path) -> None:
    app = func.FunctionApp()
    route(app, define) if isinstance(define, str) else define(app)
    async with asyncio.TaskGroup() as tasks:
        with pytest.raises(HostError) as refusal:
            prepare(app, tasks, Store(tmp_path))
    assert str(refusal.value) == f"not supported by the local Functions host: {what} (function on_it)"


async def test_a_connection_without_its_setting_is_named(tmp_path) -> None:
    app = func.FunctionApp()
    connection(app)
    async with asyncio.TaskGroup() as tasks:
        with pytest.raises(HostError, match=r"the setting S is missing \(function on_it\)"):
            prepare(app, tasks, Store(tmp_path))
