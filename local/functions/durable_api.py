"""The Durable Functions extension's HTTP API, as far as the SDK's client uses it."""

import json
import uuid

from aiohttp import web
from azure.durable_functions.models.history.HistoryEventType import HistoryEventType as Kind

from local.functions.app import logger
from local.functions.durable import Instance, Orchestrations

PATH = "/runtime/webhooks/durabletask/"


def client_binding(origin: str) -> str:
    """JSON text that a durable client input binding hands to a function."""
    url = f"{origin}{PATH}instances/INSTANCEID"
    urls = {"id": "INSTANCEID", "statusQueryGetUri": url, "purgeHistoryDeleteUri": url}
    urls |= {"sendEventPostUri": url + "/raiseEvent/{eventName}"}
    urls |= {"terminatePostUri": url + "/terminate?reason={text}"}
    binding = {"taskHubName": "local", "creationUrls": {}, "managementUrls": urls}
    return json.dumps({**binding, "rpcBaseUrl": origin + PATH})


class DurableApi:
    """Serves start, status, events, termination and purge; refuses by name what else is asked for."""

    def __init__(self, orchestrations: Orchestrations) -> None:
        self._orchestrations, self._instances = orchestrations, orchestrations.instances

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request below `PATH`."""
        what, name, *rest = [*request.path.removeprefix(PATH).split("/"), ""]
        instance = self._instances.get(name) if what == "instances" else None
        match set(request.query) <= {"reason"} and request.method, what, rest:
            case "POST", "orchestrators", [instance_id, *_]:
                return self._start(name, instance_id or uuid.uuid4().hex, await request.text())
            case _, "instances", _ if name and instance is None:
                return web.Response(status=404)
            case "GET", "instances", [""] if instance:
                return _status(instance)
            case "DELETE", "instances", [""] if instance and instance.is_finished:
                self._orchestrations.purge(instance)
                return web.json_response({"instancesDeleted": 1})
            case "DELETE", "instances", [""] if instance:
                return web.json_response(f"It can't be purged: it is {instance.status}", status=412)
            case "POST", "instances", ["terminate", ""] if instance:
                return self._tell(instance, Kind.EXECUTION_TERMINATED, Reason=request.query.get("reason"))
            case "POST", "instances", ["raiseEvent", event, ""] if instance:
                return self._tell(instance, Kind.EVENT_RAISED, Name=event, Input=await request.text())
        message = f"not supported by the local Functions host: {request.method} {request.path_qs}"
        logger.error(message)
        return web.json_response({"Message": message}, status=501)

    def _start(self, name: str, instance_id: str, body: str) -> web.Response:
        if name not in self._orchestrations.orchestrators:
            message = f"The function '{name}' doesn't exist, or is not an orchestrator function."
            return web.json_response({"ExceptionMessage": message}, status=400)
        existing = self._instances.get(instance_id)
        if existing and not existing.is_finished:
            message = f"An Orchestration instance with the status {existing.status} already exists."
            return web.json_response({"Message": message}, status=409)
        self._orchestrations.start(name, instance_id, body or "null")
        return web.json_response({"id": instance_id}, status=202)

    def _tell(self, instance: Instance, kind: Kind, **fields: str | None) -> web.Response:
        self._orchestrations.receive(instance, kind, **fields)
        return web.Response(status=410 if instance.is_finished else 202)


def _status(instance: Instance) -> web.Response:
    answer = {"name": instance.name, "instanceId": instance.id, "runtimeStatus": instance.status}
    answer |= {"customStatus": instance.custom_status, "input": json.loads(instance.input)}
    answer |= {"output": instance.output, "createdTime": instance.events[0]["Timestamp"]}
    answer |= {"lastUpdatedTime": instance.events[max(instance.seen - 1, 0)]["Timestamp"]}
    return web.json_response(answer, status=200 if instance.is_finished else 202)
