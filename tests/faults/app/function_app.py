"""A function app that writes down what it ran, and in which life of its host."""

import datetime
import json
import os
import pathlib

import azure.durable_functions as df
import azure.functions as func
import azurefunctions.extensions.bindings.blob as blob

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
RUNS = pathlib.Path(os.environ["RUNS"])


def record(kind: str, name: str) -> None:
    with RUNS.open("a") as runs:
        runs.write(json.dumps([kind, name, os.getpid()]) + "\n")


@app.route(route="start/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    await client.start_new("steps", req.route_params["id"], req.route_params["id"])
    return func.HttpResponse(status_code=202)


@app.route(route="status/{id}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def status(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    found = await client.get_status(req.route_params["id"])
    return func.HttpResponse(json.dumps(found.to_json()), mimetype="application/json")


@app.orchestration_trigger(context_name="context")
def steps(context: df.DurableOrchestrationContext):
    name = context.get_input()
    first = yield context.call_activity("step", f"{name}.1")
    yield context.create_timer(context.current_utc_datetime + datetime.timedelta(seconds=0.2))
    second = yield context.call_activity("step", f"{name}.2")
    return [first, second]


@app.activity_trigger(input_name="name")
def step(name: str) -> str:
    record("step", name)
    return name


@app.blob_trigger(arg_name="client", path="uploads/{name}", connection="STORAGE")
def on_upload(client: blob.BlobClient) -> None:
    record("blob", client.blob_name)


@app.service_bus_queue_trigger(arg_name="message", queue_name="triggering", connection="SERVICEBUS")
def on_message(message: func.ServiceBusMessage) -> None:
    record("message", message.message_id)
