"""AMQP 1.0 messages as bytes: what the broker reads when one is sent, and adds when it is delivered."""

import sqlite3
from typing import NamedTuple

from proton import Data, Described, Message, ProtonException, symbol, timestamp, ubyte, uint, ulong

from local.service_bus.errors import UnsupportedError

_EMPTY_HEADER = b"\x00\x53\x70\x45"
_DATA_DESCRIPTOR = b"\x00\x53\x75"


class IncomingMessage(NamedTuple):
    """A message as sent; `scheduled_at` in ms since 1970."""

    content: bytes
    message_id: str | None = None
    scheduled_at: int | None = None


def parse(encoded: bytes) -> IncomingMessage:
    """Return the one message of a transfer, or refuse a body that proton's `Message` does not keep whole.

    proton reads the last of several data sections, and hides the message format that marks a batch. But the
    data sections of a batch hold encoded messages: even a batch of one has two descriptors of such a section.
    """
    message = Message()
    try:
        message.decode(encoded)
    except (ProtonException, ValueError) as error:
        raise UnsupportedError(f"a message that proton cannot decode ({error})") from error
    is_bytes = message.inferred and isinstance(message.body, memoryview)
    if not is_bytes or encoded.count(_DATA_DESCRIPTOR) != 1 or not encoded.endswith(message.body):
        raise UnsupportedError("batches, footers, and bodies other than a single one of bytes")
    if message.ttl:
        raise UnsupportedError("a time to live of a single message, apart from its queue's")
    message_id = None if message.id is None else str(message.id)
    scheduled_at = (message.annotations or {}).get("x-opt-scheduled-enqueue-time")
    return IncomingMessage(encoded, message_id, scheduled_at)


def encode(row: sqlite3.Row) -> bytes:
    """Return a locked message, a row of the store, as its receiver gets it."""
    message = Message()
    message.decode(row["content"])
    message.annotations = {
        **(message.annotations or {}),
        symbol("x-opt-sequence-number"): row["sequence_number"],
        symbol("x-opt-enqueued-time"): timestamp(row["enqueued_at"]),
        symbol("x-opt-locked-until"): timestamp(row["locked_until"]),
    }
    reasons = {
        "DeadLetterReason": row["dead_letter_reason"],
        "DeadLetterErrorDescription": row["dead_letter_description"],
    }
    if any(reasons.values()):
        message.properties = {**(message.properties or {}), **reasons}
    # proton leaves out a delivery count of 0, for which the client shows None: so the header is made here.
    header = [message.durable, ubyte(message.priority), None, None, uint(row["delivery_count"])]
    section = Data()
    section.put_object(Described(ulong(0x70), header))
    message.durable, message.priority = False, 4
    return bytes(section.encode() + message.encode().removeprefix(_EMPTY_HEADER))
