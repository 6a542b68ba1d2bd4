"""Requests to `$cbs` and to an entity's `$management` node, and what is answered."""

from collections.abc import Mapping
from typing import Any

from proton import UNDESCRIBED, Array, Data, Message, int32, symbol, timestamp

from local.service_bus.errors import RefusedError, UnsupportedError
from local.service_bus.messages import encode, parse
from local.service_bus.store import QueueStore, dead_letter_reason

MANAGEMENT_SUFFIX = "/$management"
TOKEN_NODE = "$cbs"  # noqa: S105 - where clients send their tokens


def respond(store: QueueStore, node: str, encoded: bytes) -> Message:
    """Carry out a request and return the response. At `$cbs` every token will do."""
    request = Message()
    request.decode(encoded)
    if node == TOKEN_NODE:
        accepted = {"status-code": int32(202), "status-description": "Accepted"}
        return Message(correlation_id=request.id, properties=accepted)
    status: dict[str, Any]
    try:
        operation = (request.properties or {}).get("operation")
        body = _carry_out(operation, store, node.removesuffix(MANAGEMENT_SUFFIX), request.body)
        status = {"statusCode": int32(204 if body == {"messages": []} else 200), "statusDescription": "OK"}
    except RefusedError as refused:
        body = None
        status = {"statusCode": int32(refused.status), "statusDescription": str(refused)}
        status["errorCondition"] = symbol(refused.condition)
    return Message(correlation_id=request.id, properties=status, body=body)


def _carry_out(operation: str | None, store: QueueStore, entity: str, body: Mapping[str, Any]) -> Any:
    match operation:
        case "com.microsoft:renew-lock":
            ends = [timestamp(store.renew(entity, lock_token)) for lock_token in _lock_tokens(body)]
            return {"expirations": Array(UNDESCRIBED, Data.TIMESTAMP, *ends)}
        case "com.microsoft:update-disposition":
            # How a client settles when the link that brought the message is gone.
            changes = dict(body.get("properties-to-modify") or {})
            changes |= dead_letter_reason(body.get("deadletter-reason"), body.get("deadletter-description"))
            for lock_token in _lock_tokens(body):
                store.settle(entity, lock_token, body["disposition-status"], changes)
            return None
        case "com.microsoft:schedule-message":
            messages = [message for entry in body["messages"] for message in parse(bytes(entry["message"]))]
            numbers = [store.enqueue(entity, message) for message in messages]
            return {"sequence-numbers": Array(UNDESCRIBED, Data.LONG, *numbers)}
        case "com.microsoft:cancel-scheduled-message":
            store.cancel(entity, body["sequence-numbers"].elements)
            return None
        case "com.microsoft:peek-message":
            rows = store.peek(entity, body["from-sequence-number"], body["message-count"])
            return {"messages": [{"message": encode(row)} for row in rows]}
    raise UnsupportedError(f"the management operation {operation}")


def _lock_tokens(body: Mapping[str, Any]) -> list[str]:
    return [token.bytes_le.decode("latin-1") for token in body["lock-tokens"].elements]
