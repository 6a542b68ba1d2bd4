"""The Durable Functions extension's HTTP API, as far as the SDK's client uses it."""

import json
import uuid

from aiohttp import web
from azure.durable_functions.models.history.HistoryEventType import HistoryEventType as Kind

from local.functions.app import logger
from local.functions.durable import Orchestrations
from local.functions.store import Instance, Store

PATH = "/runtime/webhooks/durabletask/"
WAYS = {
    "statusQueryGetUri": "",
    "sendEventPostUri": "/raiseEvent/{eventName}",
    "terminatePostUri": "/terminate?reason={text}",
    "purgeHistoryDeleteUri": "",
}


def client_binding(origin: str) -> str:
    """JSON text that a durable client input binding hands to a function."""
    urls = {name: f"{origin}{PATH}instances/INSTANCEID{way}" for name, way in WAYS.items()}
    binding = {"taskHubName": "local", "creationUrls": {}, "managementUrls": {"id": "INSTANCEID", **urls}}
    return json.dumps({**binding, "rpcBaseUrl": origin + PATH})


class DurableApi:
    """Serves start, status, events, termination and purge; refuses by name what else is asked for."""

    def __init__(self, orchestrations: Orchestrations, store: Store) -> None:
        self._orchestrations, self._store = orchestrations, store

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request below `PATH`."""
        asked = [request.method, *request.path.removeprefix(PATH).split("/")]
        match asked if set(request.query) <= {"reason"} else []:
            case ["POST", "orchestrators", name]:
                return self._start(name, uuid.uuid4().hex, await request.text())
            case ["POST", "orchestrators", name, instance_id]:
                return self._start(name, instance_id, await request.text())
            case [_, "instances", instance_id, *_] if instance_id:
                if not (instance := self._orchestrations.find(instance_id)):
                    return web.Response(status=404)
                match asked[0], asked[3:]:
                    case "GET", []:
                        return _status(instance)
                    case "DELETE", []:
                        return self._purge(instance)
                    case "POST", ["terminate"]:
                        reason = request.query.get("reason", "")
                        return self._tell(instance, Kind.EXECUTION_TERMINATED, Reason=reason)
                    case "POST", ["raiseEvent", name]:
                        return self._tell(instance, Kind.EVENT_RAISED, Name=name, Input=await request.text())
        message = f"not supported by the local Functions host: {request.method} {request.path_qs}"
        logger.error(message)
        return web.json_response({"Message": message}, status=501)

    def _start(self, name: str, instance_id: str, body: str) -> web.Response:
        if name not in self._orchestrations.orchestrators:
            message = f"The function '{name}' doesn't exist, or is not an orchestrator function."
            return web.json_response({"ExceptionMessage": message}, status=400)
        existing = self._orchestrations.find(instance_id)
        if existing and not existing.is_finished:
            message = f"An Orchestration instance with the status {existing.status} already exists."
            return web.json_response({"Message": message}, status=409)
        self._orchestrations.start(name, instance_id, body or "null")
        return web.json_response({"id": instance_id}, status=202)

    def _tell(self, instance: Instance, kind: Kind, **fields: str) -> web.Response:
        self._orchestrations.receive(instance, kind, **fields)
        return web.Response(status=410 if instance.is_finished else 202)

    def _purge(self, instance: Instance) -> web.Response:
        if not instance.is_finished:
            return web.json_response(f"{instance.id} can't be purged: it is {instance.status}", status=412)
        self._store.delete(instance.id)
        return web.json_response({"instancesDeleted": 1})


def _status(instance: Instance) -> web.Response:
    answer = {"name": instance.name, "instanceId": instance.id, "runtimeStatus": instance.status}
    answer |= {
        "input": json.loads(instance.input),
        "output": instance.output,
        "customStatus": instance.custom_status,
    }
    updated = instance.history[-1]["Timestamp"] if instance.history else instance.created
    answer |= {"createdTime": instance.created, "lastUpdatedTime": updated}
    return web.json_response(answer, status=200 if instance.is_finished else 202)
