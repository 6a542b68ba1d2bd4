"""AMQP 1.0 messages as bytes: what a sender wrote reaches the receiver as it was written.

proton's own `Message` decodes and encodes all of it, and loses what it has no room for, such as a body of
several data sections. So a message is cut into its sections here, and only what the broker says is new.
"""

import contextlib
import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

from proton import Data, Described, ProtonException, int32, symbol, timestamp, uint, ulong

from local.service_bus.errors import RefusedError

MAX_MESSAGE_BYTES = 256 * 1024  # the Standard tier's
_HEADER, _DELIVERY_ANNOTATIONS, _ANNOTATIONS, _PROPERTIES, _APPLICATION_PROPERTIES, _DATA = range(0x70, 0x76)
_FOOTER = 0x78
_STATES = {"active": int32(0), "locked": int32(0), "scheduled": int32(2)}  # as Azure numbers them
_MOST_MILLISECONDS = 2**32 - 1  # of a time to live on the wire


class IncomingMessage(NamedTuple):
    """A message as sent; `time_to_live` in ms, `scheduled_at` in ms since 1970."""

    content: bytes
    message_id: str | None = None
    time_to_live: int | None = None
    scheduled_at: int | None = None


class _Section(NamedTuple):
    code: int
    encoded: bytes
    value: Data  # decoded, its cursor at the section's value


def parse(encoded: bytes) -> list[IncomingMessage]:
    """Return the messages of one transfer: the one that it is, or those of a batch.

    A batch has a message format of its own, which proton does not hand on. It shows all the same: after
    annotations and properties come only data sections, each of them a whole message, and the id is the
    first one's, if there is any.
    """
    if len(encoded) > MAX_MESSAGE_BYTES:
        problem = f"{len(encoded)} bytes are more than the {MAX_MESSAGE_BYTES} of a message or batch."
        raise RefusedError("amqp:link:message-size-exceeded", problem)
    sections, _rest = _split(encoded)
    whole = _parse_one(sections)
    bodies = [section.value for section in sections if section.code == _DATA]
    if bodies and all(section.code in (_ANNOTATIONS, _PROPERTIES, _DATA) for section in sections):
        with contextlib.suppress(RefusedError):
            messages = [_parse_one(_split(bytes(body.get_object()))[0]) for body in bodies]
            if whole.message_id in (None, messages[0].message_id):
                return messages
    return [whole]


def encode(row: sqlite3.Row) -> bytes:
    """Return a message, a row of the store, as its receiver gets it."""
    sections, rest = _split(row["content"], before=_PROPERTIES)
    durable, priority = [*(_value(sections, _HEADER) or []), None, None][:2]
    time_to_live = row["time_to_live"] and uint(min(row["time_to_live"], _MOST_MILLISECONDS))
    annotations = {
        **(_value(sections, _ANNOTATIONS) or {}),
        symbol("x-opt-sequence-number"): row["sequence_number"],
        symbol("x-opt-enqueued-time"): timestamp(row["enqueued_at"]),
        symbol("x-opt-message-state"): _STATES[row["state"]],
    }
    if row["state"] == "locked":
        annotations[symbol("x-opt-locked-until")] = timestamp(row["due_at"])
    header = [durable, priority, time_to_live, None, uint(row["delivery_count"])]
    return _encode_sections({_HEADER: header, _ANNOTATIONS: annotations}) + rest


def with_properties(encoded: bytes, properties: Mapping[str, Any]) -> bytes:
    """Return a message with application properties added or changed."""
    if not properties:
        return encoded
    sections, rest = _split(encoded, before=_DATA)
    merged = {**(_value(sections, _APPLICATION_PROPERTIES) or {}), **properties}
    kept = [section.encoded for section in sections if section.code != _APPLICATION_PROPERTIES]
    return b"".join([*kept, _encode_sections({_APPLICATION_PROPERTIES: merged}), rest])


def _parse_one(sections: list[_Section]) -> IncomingMessage:
    message_id = (_value(sections, _PROPERTIES) or [None])[0]
    # azure-servicebus puts the delivery annotations last; nobody behind this broker may read them.
    kept = [section.encoded for section in sections if section.code != _DELIVERY_ANNOTATIONS]
    return IncomingMessage(
        content=b"".join(kept),
        message_id=None if message_id is None else str(message_id),
        time_to_live=[*(_value(sections, _HEADER) or []), None, None, None][2],
        scheduled_at=(_value(sections, _ANNOTATIONS) or {}).get("x-opt-scheduled-enqueue-time"),
    )


def _split(encoded: bytes, before: int = _FOOTER + 1) -> tuple[list[_Section], bytes]:
    """Return the sections up to a kind of section, and the bytes of the rest."""
    sections: list[_Section] = []
    rest = memoryview(encoded)
    while rest:
        data = Data()
        try:
            size = data.decode(rest)
        except ProtonException as error:
            raise RefusedError("amqp:decode-error", "The message is not encoded as AMQP 1.0.") from error
        data.rewind()
        is_section = data.next() == Data.DESCRIBED and data.enter() and data.next() == Data.ULONG
        code = data.get_ulong() if is_section else 0
        if not _HEADER <= code <= _FOOTER:
            raise RefusedError("amqp:decode-error", "The message has something other than AMQP's sections.")
        if code >= before:
            break
        data.next()
        sections.append(_Section(code, bytes(rest[:size]), data))
        rest = rest[size:]
    if not (sections or rest):
        raise RefusedError("amqp:decode-error", "The message is empty.")
    return sections, bytes(rest)


def _value(sections: list[_Section], code: int) -> Any:
    return next((section.value.get_object() for section in sections if section.code == code), None)


def _encode_sections(values: Mapping[int, Any]) -> bytes:
    data = Data()
    for code, value in values.items():
        data.put_object(Described(ulong(code), value))
    encoded: bytes = data.encode()
    return encoded
