"""A function app of every kind of function that the local host serves."""

import datetime
import json
import logging
import os
import pathlib
import threading
import time

import azure.durable_functions as df
import azure.functions as func
import azurefunctions.extensions.bindings.blob as blob

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
bp = df.Blueprint()
RUNS = pathlib.Path(os.environ["RUNS"])


def record(**run: object) -> None:
    """Add a line to the file by which the tests see what ran."""
    with RUNS.open("a") as runs:
        runs.write(json.dumps(run) + "\n")


def described(req: func.HttpRequest, function: str) -> func.HttpResponse:
    answer = {
        "function": function,
        "method": req.method,
        "url": req.url,
        "route": dict(req.route_params),
        "query": dict(req.params),
        "header": req.headers.get("X-Sample"),
        "body": req.get_body().decode("latin-1"),
    }
    return func.HttpResponse(json.dumps(answer), mimetype="application/json")


@app.route(route="stems/{id}", methods=["GET", "DELETE"])
async def a_stem(req: func.HttpRequest) -> func.HttpResponse:
    return described(req, "a_stem")


@app.route(route="stems/stats", methods=["GET"])
async def stats(req: func.HttpRequest) -> func.HttpResponse:
    return described(req, "stats")


@app.route(route="stems", methods=["POST"])
async def create_stem(req: func.HttpRequest) -> func.HttpResponse:
    return described(req, "create_stem")


@app.route()
def thread(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(threading.current_thread().name)


@app.route()
async def failing(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("a fault of the app")


@app.route()
async def wrong_type(req: func.HttpRequest) -> func.HttpResponse:
    return 42


@app.route()
async def teapot(req: func.HttpRequest) -> func.HttpResponse:
    headers = {"X-Answer": "yes", "Set-Cookie": "tea=oolong; Path=/; HttpOnly"}
    return func.HttpResponse(b"\x00\xff", status_code=418, headers=headers, mimetype="audio/wav")


@app.route(methods=["POST"])
async def size(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(str(len(req.get_body())))


@app.route()
async def settings(req: func.HttpRequest) -> func.HttpResponse:
    logging.getLogger("sample").info("a line of the app's own log")
    return func.HttpResponse(f"{os.environ['FROM_SETTINGS']} {os.environ['FROM_BOTH']}")


@app.route()
def slow(req: func.HttpRequest) -> func.HttpResponse:
    record(function="slow")
    while not RUNS.with_name("slow may end").exists():
        time.sleep(0.05)
    return func.HttpResponse("done")


@app.blob_trigger(
    arg_name="client", path="uploads/{name}", connection="STORAGE", source=func.BlobSource.EVENT_GRID
)
def on_upload(client: blob.BlobClient) -> None:
    record(function="on_upload", name=client.blob_name)
    if "bad" in client.blob_name:
        raise ValueError("a blob that fails")
    content = client.download_blob().readall().decode()
    record(function="on_upload done", name=client.blob_name, content=content)


@app.route(route="orchestrations/{name}/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    value = req.get_json()
    try:
        started = await client.start_new(req.route_params["name"], req.route_params["id"], value)
    except Exception as error:  # noqa: BLE001 (the SDK raises nothing narrower)
        return func.HttpResponse(str(error), status_code=409)
    return client.create_check_status_response(req, started)


@app.route(route="orchestrations/{id}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def orchestration(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    status = await client.get_status(req.route_params["id"])
    if not status:
        return func.HttpResponse(status_code=404)
    return func.HttpResponse(json.dumps(status.to_json()), mimetype="application/json")


@app.route(route="orchestrations/{id}/{action}", methods=["PUT"])
@app.durable_client_input(client_name="client")
async def act(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = req.route_params["id"]
    actions = {
        "terminate": lambda: client.terminate(instance_id, "no longer wanted"),
        "raise": lambda: client.raise_event(instance_id, "go"),
        "purge": lambda: client.purge_instance_history(instance_id),
        "history": lambda: client.get_status(instance_id, show_history=True),
        "all": client.get_status_all,
        "start without an id": lambda: client.start_new("later"),
    }
    try:
        await actions[req.route_params["action"]]()
    except Exception as error:  # noqa: BLE001 (the SDK raises nothing narrower)
        return func.HttpResponse(str(error), status_code=409)
    return func.HttpResponse()


@bp.orchestration_trigger(context_name="context")
def later(context: df.DurableOrchestrationContext):
    wanted = context.get_input()
    yield context.create_timer(context.current_utc_datetime + datetime.timedelta(seconds=wanted["seconds"]))
    return (yield context.call_activity("work", wanted["name"]))


@bp.activity_trigger(input_name="name")
def work(name: str) -> dict[str, str]:
    record(function="work", name=name)
    while name.startswith("gated") and not RUNS.with_name("gate").exists():
        time.sleep(0.05)
    return {"worked on": name}


app.register_functions(bp)
