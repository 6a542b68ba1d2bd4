"""A function app of every kind of trigger that the local host serves."""

import asyncio
import json
import logging
import os
import threading

import azure.durable_functions as df
import azure.functions as func
import azurefunctions.extensions.bindings.blob as blob
import orchestrations
import runs

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(orchestrations.bp)
PRINCIPAL = "X-MS-CLIENT-PRINCIPAL"


def described(req: func.HttpRequest, function: str) -> func.HttpResponse:
    headers = {name: req.headers.get(name) for name in ("X-Sample", PRINCIPAL, f"{PRINCIPAL}-NAME")}
    answer = {
        "function": function,
        "method": req.method,
        "url": req.url,
        "route": dict(req.route_params),
        "query": dict(req.params),
        "headers": headers,
        "body": req.get_body().decode("latin-1"),
    }
    return func.HttpResponse(json.dumps(answer), mimetype="application/json")


@app.route(route="runs", methods=["GET"])
async def ran(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(runs.recorded()), mimetype="application/json")


@app.route(route="runs", methods=["DELETE"])
async def forget_runs(req: func.HttpRequest) -> func.HttpResponse:
    runs.forget()
    return func.HttpResponse(status_code=204)


@app.route(route="gates/{gate}", methods=["POST"])
async def open_gate(req: func.HttpRequest) -> func.HttpResponse:
    (runs.FOLDER / req.route_params["gate"]).touch()
    return func.HttpResponse(status_code=204)


@app.route()
async def nothing(req: func.HttpRequest) -> None: ...


@app.route(route="stems/{id}", methods=["GET", "DELETE"])
async def a_stem(req: func.HttpRequest) -> func.HttpResponse:
    return described(req, "a_stem")


@app.route(route="stems/stats", methods=["GET"])
async def stats(req: func.HttpRequest) -> func.HttpResponse:
    return described(req, "stats")


@app.route(route="stems", methods=["POST"])
async def create_stem(req: func.HttpRequest) -> func.HttpResponse:
    return described(req, "create_stem")


@app.route(route="jobs/{id:guid}/parts/{number:int}")
async def part(req: func.HttpRequest) -> func.HttpResponse:
    return described(req, "part")


@app.route(route="files/{*path}")
async def files(req: func.HttpRequest) -> func.HttpResponse:
    return described(req, "files")


@app.route(route="pages/{name?}")
def pages(req: func.HttpRequest) -> func.HttpResponse:
    return described(req, "pages")


@app.route(auth_level=func.AuthLevel.FUNCTION)
async def keyed(req: func.HttpRequest) -> func.HttpResponse:
    return described(req, "keyed")


@app.route(auth_level=func.AuthLevel.ADMIN)
async def master(req: func.HttpRequest) -> func.HttpResponse:
    return described(req, "master")


@app.route()
def thread(req: func.HttpRequest) -> str:
    return threading.current_thread().name


@app.route()
async def failing(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("a fault of the app")


@app.route()
def leaving(req: func.HttpRequest) -> func.HttpResponse:
    raise SystemExit(3)


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
async def settings(req: func.HttpRequest) -> str:
    logging.getLogger("sample").info("a line of the app's own log")
    return f"{os.environ['FROM_SETTINGS']} {os.environ['FROM_BOTH']}"


@app.route(route="slow/{gate}")
def slow(req: func.HttpRequest) -> str:
    gate = req.route_params["gate"]
    runs.record(function="slow", name=gate)
    runs.wait_for(gate)
    return "done"


@app.blob_trigger(
    arg_name="client", path="%WATCHED%/{name}", connection="STORAGE", source=func.BlobSource.EVENT_GRID
)
def on_upload(client: blob.BlobClient) -> None:
    runs.record(function="on_upload", name=client.blob_name)
    if "bad" in client.blob_name:
        raise ValueError("a blob that fails")
    content = client.download_blob().readall().decode()
    runs.record(function="on_upload done", name=client.blob_name, content=content)


@app.blob_trigger(arg_name="stream", path="streams/{folder}/{name}.txt", connection="STORAGE")
async def on_stream(stream: func.InputStream) -> None:
    content = stream.read().decode()
    runs.record(function="on_stream", name=stream.name, length=stream.length, content=content)


@app.timer_trigger(arg_name="timer", schedule="%BEAT%")
def beat(timer: func.TimerRequest) -> None:
    runs.record(function="beat", past_due=timer.past_due)
    runs.wait_for("beat may end")


@app.timer_trigger(arg_name="timer", schedule="0 0 3 1 jan *", run_on_startup=True)
async def new_year(timer: func.TimerRequest) -> None:
    status = timer.schedule_status
    runs.record(function="new_year", past_due=timer.past_due, next=status and status["Next"])


@app.service_bus_queue_trigger(arg_name="message", queue_name="%QUEUE%", connection="BUS")
async def on_message(message: func.ServiceBusMessage) -> None:
    text = message.get_body().decode()
    runs.record(function="on_message", name=text, delivery=message.delivery_count)
    if "bad" in text or ("once" in text and message.delivery_count == 1):
        raise ValueError("a message that fails")
    if "gated" in text:
        await asyncio.to_thread(runs.wait_for, " ".join(text.split()[:2]))
    told = {"id": message.message_id, "properties": message.application_properties}
    runs.record(function="on_message done", name=text, subject=message.subject, **told)


@app.service_bus_queue_trigger(arg_name="message", queue_name="%QUEUE%/$DeadLetterQueue", connection="BUS")
def on_dead_letter(message: func.ServiceBusMessage) -> None:
    reason = message.dead_letter_reason
    runs.record(function="on_dead_letter", name=message.get_body().decode(), reason=reason)


@app.route(route="orchestrations/{name}/{id?}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    value = req.get_json()
    try:
        started = await client.start_new(req.route_params["name"], req.route_params.get("id"), value)
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
        "decide": lambda: client.raise_event(instance_id, "decided", {"by": "me"}),
        "purge": lambda: client.purge_instance_history(instance_id),
        "history": lambda: client.get_status(instance_id, show_history=True),
        "all": client.get_status_all,
        "rewind": lambda: client.rewind(instance_id, "again"),
        "suspend": lambda: client.suspend(instance_id, "a pause"),
    }
    try:
        answer = await actions[req.route_params["action"]]()
    except Exception as error:  # noqa: BLE001 (the SDK raises nothing narrower)
        return func.HttpResponse(str(error), status_code=409)
    return func.HttpResponse(str(getattr(answer, "instances_deleted", answer)))
