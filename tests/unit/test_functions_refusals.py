"""What the local Functions host does not serve is refused by name when it starts."""

import asyncio
from pathlib import Path

import azure.functions as func
import pytest
from azurefunctions.extensions.bindings.blob import BlobClient

from local.functions.app import App, HostError, described
from local.functions.blob_trigger import BlobTrigger
from local.functions.service_bus_trigger import ServiceBusTrigger

ANONYMOUS = func.AuthLevel.ANONYMOUS
UPLOADS = {"arg_name": "b", "path": "c/{name}", "connection": "S"}
QUEUE = {"arg_name": "m", "queue_name": "q", "connection": "S"}
LISTENERS = {"blobTrigger": BlobTrigger, "serviceBusTrigger": ServiceBusTrigger}


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


def text(app: func.FunctionApp) -> None:
    @app.blob_trigger(**UPLOADS)
    def on_it(b: str): ...


def pattern(app: func.FunctionApp) -> None:
    @app.blob_trigger(**{**UPLOADS, "path": "c/{name.wav"})
    def on_it(b: BlobClient): ...


def topic(app: func.FunctionApp) -> None:
    @app.service_bus_topic_trigger(arg_name="m", topic_name="t", subscription_name="s", connection="S")
    def on_it(m: func.ServiceBusMessage): ...


def sessions(app: func.FunctionApp) -> None:
    @app.service_bus_queue_trigger(**QUEUE, is_sessions_enabled=True)
    def on_it(m: func.ServiceBusMessage): ...


def batch(app: func.FunctionApp) -> None:
    @app.service_bus_queue_trigger(**QUEUE, cardinality=func.Cardinality.MANY)
    def on_it(m: list[func.ServiceBusMessage]): ...


def message_text(app: func.FunctionApp) -> None:
    @app.service_bus_queue_trigger(**QUEUE)
    def on_it(m: str): ...


def sub_queue(app: func.FunctionApp) -> None:
    @app.service_bus_queue_trigger(**{**QUEUE, "queue_name": "q/$Transfer"})
    def on_it(m: func.ServiceBusMessage): ...


def queue(app: func.FunctionApp) -> None:
    @app.service_bus_queue_trigger(**QUEUE)
    def on_it(m: func.ServiceBusMessage): ...


def uploads(app: func.FunctionApp) -> None:
    @app.blob_trigger(**UPLOADS)
    def on_it(b: func.InputStream): ...


def named_by_a_setting(app: func.FunctionApp) -> None:
    @app.service_bus_queue_trigger(**{**QUEUE, "queue_name": "%QUEUE_NAME%"})
    def on_it(m: func.ServiceBusMessage): ...


async def prepare(define) -> object:
    """Do with the function what the host does before it serves."""
    app = func.FunctionApp()
    define(app)
    (function,) = [described(function) for function in app.get_functions()]
    async with asyncio.TaskGroup() as tasks:
        return LISTENERS[function.trigger["type"]](App([function], "{}", tasks), function)


@pytest.mark.parametrize(
    ("define", "what"),
    [
        (output, "queue"),
        (parameter, "parameter context, which no binding fills"),
        (retry, "retry policy"),
        (text, "blob as str"),
        (pattern, "blob path c/{name.wav"),
        (topic, "a topic of Service Bus"),
        (sessions, "sessions of Service Bus"),
        (batch, "batches of messages"),
        (message_text, "a message but as ServiceBusMessage"),
        (sub_queue, "a sub-queue but that of dead letters"),
    ],
)
async def test_refused_by_name(define, what: str, monkeypatch) -> None:
    monkeypatch.setenv("S", "Endpoint=sb://x")
    with pytest.raises((HostError, ExceptionGroup)) as refusal:
        await prepare(define)
    error = refusal.value.exceptions[0] if isinstance(refusal.value, ExceptionGroup) else refusal.value
    assert str(error) == f"not supported by the local Functions host: {what} (function on_it)"


@pytest.mark.parametrize(
    ("define", "env", "what"),
    [
        (queue, {}, "the setting S is missing"),
        (uploads, {}, "the setting S is missing"),
        (uploads, {"S": "UseDevelopmentStorage=true"}, "the setting AzureWebJobsStorage is missing"),
        (named_by_a_setting, {"S": "Endpoint=sb://x"}, "the setting QUEUE_NAME is missing"),
        (queue, {"S__fullyQualifiedNamespace": "x"}, "connection S__fullyQualifiedNamespace"),
        (uploads, {"S__blobServiceUri": "x"}, "connection S__blobServiceUri"),
    ],
)
async def test_a_connection_that_can_not_be_used_is_named(define, env, what, monkeypatch) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((HostError, ExceptionGroup)) as refusal:
        await prepare(define)
    error = refusal.value.exceptions[0] if isinstance(refusal.value, ExceptionGroup) else refusal.value
    assert what in str(error)
    assert "(function on_it)" in str(error)


async def test_what_is_served_is_not_refused(monkeypatch, tmp_path: Path) -> None:
    for name in ("S", "AzureWebJobsStorage", "QUEUE_NAME"):
        monkeypatch.setenv(name, "q")
    for define in (queue, uploads, named_by_a_setting):
        assert await prepare(define)
