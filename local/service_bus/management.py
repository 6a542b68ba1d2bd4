"""Requests to `$cbs` and to an entity's `$management` node, and what is answered."""

from collections.abc import Mapping
from typing import Any

from proton import UNDESCRIBED, Array, Data, Message, int32, symbol, timestamp

from local.service_bus.errors import RefusedError, UnsupportedError
from local.service_bus.messages import parse
from local.service_bus.store import QueueStore


def respond(store: QueueStore, node: str, request: Message) -> Message:
    """Carry out a request and return the response. At `$cbs` every token will do."""
    if node == "$cbs":
        accepted = {"status-code": int32(202), "status-description": "Accepted"}
        return Message(correlation_id=request.id, properties=accepted)
    body, status = None, {"statusCode": int32(200), "statusDescription": "OK"}
    try:
        operation = (request.properties or {}).get("operation")
        body = _carry_out(operation, store, node.removesuffix("/$management"), request.body)
    except RefusedError as refused:
        status = {"statusCode": int32(refused.status), "statusDescription": str(refused)}
        status["errorCondition"] = symbol(refused.condition)
    return Message(correlation_id=request.id, properties=status, body=body)


def _carry_out(operation: str | None, store: QueueStore, entity: str, body: Mapping[str, Any]) -> Any:
    lock_tokens = [token.bytes_le.decode("latin-1") for token in body.get("lock-tokens", [])]
    match operation:
        case "com.microsoft:renew-lock":
            ends = [timestamp(store.renew(entity, lock_token)) for lock_token in lock_tokens]
            return {"expirations": Array(UNDESCRIBED, Data.TIMESTAMP, *ends)}
        case "com.microsoft:schedule-message":
            messages = [message for entry in body["messages"] for message in parse(entry["message"])]
            numbers = [store.enqueue(entity, message) for message in messages]
            return {"sequence-numbers": Array(UNDESCRIBED, Data.LONG, *numbers)}
        case "com.microsoft:update-disposition":
            # How a client settles when the link that brought the message is gone.
            reason, description = body.get("deadletter-reason"), body.get("deadletter-description")
            for lock_token in lock_tokens:
                store.settle(entity, lock_token, body["disposition-status"], reason, description)
            return None
    raise UnsupportedError(f"the management operation {operation}")
