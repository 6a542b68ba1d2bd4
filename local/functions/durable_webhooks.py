"""The Durable Functions extension's HTTP API, as far as the SDK's client needs it here."""

import json
import uuid

from aiohttp import web

from local.functions.durable import InstanceExistsError, OrchestrationError, Orchestrations
from local.functions.durable_store import DurableStore, Instance

PATH = "/runtime/webhooks/durabletask"


def client_binding(origin: str, hub: str) -> str:
    """JSON text that a durable client input binding hands to a function."""
    binding = {
        "taskHubName": hub,
        "creationUrls": {},
        "managementUrls": _management_urls(origin, "INSTANCEID"),
        "baseUrl": f"{origin}{PATH}",
        "rpcBaseUrl": f"{origin}{PATH}/",
    }
    return json.dumps(binding)


def _management_urls(origin: str, instance_id: str) -> dict[str, str]:
    url = f"{origin}{PATH}/instances/{instance_id}"
    terminate = f"{url}/terminate?reason={{text}}"
    return {
        "id": instance_id,
        "statusQueryGetUri": url,
        "terminatePostUri": terminate,
        "purgeHistoryDeleteUri": url,
    }


def add_durable_webhooks(
    server: web.Application, orchestrations: Orchestrations, store: DurableStore
) -> None:
    """Serve start, status, terminate and purge; refuse by name what else is asked for."""

    def instance_of(request: web.Request) -> Instance:
        instance = store.get(request.match_info["instance"])
        if instance is None:
            raise web.HTTPNotFound(text="")
        return instance

    async def start(request: web.Request) -> web.Response:
        instance_id = request.match_info.get("instance") or uuid.uuid4().hex
        body = await request.text() or "null"
        try:
            json.loads(body)
            orchestrations.start(instance_id, request.match_info["name"], body)
        except InstanceExistsError as error:
            return web.json_response({"Message": str(error)}, status=409)
        except (OrchestrationError, ValueError) as error:
            return web.json_response({"Message": str(error), "ExceptionMessage": str(error)}, status=400)
        return web.json_response(_management_urls(str(request.url.origin()), instance_id), status=202)

    async def status(request: web.Request) -> web.Response:
        if request.query.get("showHistory", "").lower() == "true":
            return await refuse(request)
        instance = instance_of(request)
        answer = {
            "name": instance.name,
            "instanceId": instance.id,
            "runtimeStatus": instance.status,
            "input": json.loads(instance.input),
            "customStatus": instance.custom_status,
            "output": instance.output,
            "createdTime": instance.created,
            "lastUpdatedTime": instance.updated,
        }
        return web.json_response(answer, status=200 if instance.is_finished else 202)

    async def terminate(request: web.Request) -> web.Response:
        instance = instance_of(request)
        if instance.is_finished:
            return web.Response(status=410)
        orchestrations.terminate(instance, request.query.get("reason", ""))
        return web.Response(status=202)

    async def purge(request: web.Request) -> web.Response:
        instance = instance_of(request)
        if not instance.is_finished:
            return web.json_response(f"{instance.id} can't be purged: it is {instance.status}", status=412)
        store.delete(instance.id)
        return web.json_response({"instancesDeleted": 1})

    async def refuse(request: web.Request) -> web.Response:
        message = f"not supported by the local Functions host: {request.method} {request.path_qs}"
        return web.json_response({"Message": message}, status=501)

    server.router.add_post(PATH + "/orchestrators/{name}", start)
    server.router.add_post(PATH + "/orchestrators/{name}/{instance}", start)
    server.router.add_get(PATH + "/instances/{instance}", status, allow_head=False)
    server.router.add_post(PATH + "/instances/{instance}/terminate", terminate)
    server.router.add_delete(PATH + "/instances/{instance}", purge)
    server.router.add_route("*", PATH + "/{rest:.*}", refuse)
