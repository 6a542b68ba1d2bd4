"""AMQP 1.0 messages as bytes: what a sender wrote reaches the receiver as it was written.

proton's own `Message` would decode and encode it anew, and lose what it has no room for, such as a body of
several data sections. So a message is cut into its sections here, and only what the broker says is new.
"""

import contextlib
import sqlite3
from operator import itemgetter
from typing import Any, NamedTuple

from proton import Data, Described, ProtonException, symbol, timestamp, uint, ulong

from local.service_bus.errors import MalformedMessageError

_HEADER, _DELIVERY_ANNOTATIONS, _ANNOTATIONS, _PROPERTIES, _APPLICATION_PROPERTIES, _DATA = range(0x70, 0x76)
_FOOTER = 0x78


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

    A batch has message format 0x80013700, which proton does not hand on. It shows all the same: every
    data section of a batch holds a whole encoded message.
    """
    bodies = [section for section in _split(encoded) if _DATA <= section.code < _FOOTER]
    if bodies and all(body.code == _DATA for body in bodies):
        with contextlib.suppress(MalformedMessageError):
            return [_parse_one(bytes(body.value.get_object())) for body in bodies]
    return [_parse_one(encoded)]


def encode(row: sqlite3.Row) -> bytes:
    """Return a locked message, a row of the store, as its receiver gets it."""
    sections = _split(row["content"])
    durable, priority, time_to_live = _header(sections)
    annotations = {
        **(_value(sections, _ANNOTATIONS) or {}),
        symbol("x-opt-sequence-number"): row["sequence_number"],
        symbol("x-opt-enqueued-time"): timestamp(row["enqueued_at"]),
        symbol("x-opt-locked-until"): timestamp(row["due_at"]),
    }
    new = {
        _HEADER: [durable, priority, time_to_live, None, uint(row["delivery_count"])],
        _ANNOTATIONS: annotations,
    }
    names = {
        "DeadLetterReason": "dead_letter_reason",
        "DeadLetterErrorDescription": "dead_letter_description",
    }
    reasons = {name: row[column] for name, column in names.items() if row[column] is not None}
    if reasons:
        new[_APPLICATION_PROPERTIES] = {**(_value(sections, _APPLICATION_PROPERTIES) or {}), **reasons}
    kept = [section[:2] for section in sections if section.code not in {*new, _DELIVERY_ANNOTATIONS}]
    written = [(code, _encoded(code, value)) for code, value in new.items()]
    return b"".join(encoded for _code, encoded in sorted(kept + written, key=itemgetter(0)))


def _parse_one(encoded: bytes) -> IncomingMessage:
    sections = _split(encoded)
    message_id = (_value(sections, _PROPERTIES) or [None])[0]
    return IncomingMessage(
        content=encoded,
        message_id=None if message_id is None else str(message_id),
        time_to_live=_header(sections)[2],
        scheduled_at=(_value(sections, _ANNOTATIONS) or {}).get("x-opt-scheduled-enqueue-time"),
    )


def _split(encoded: bytes) -> list[_Section]:
    sections: list[_Section] = []
    rest = memoryview(encoded)
    while rest:
        data = Data()
        try:
            size = data.decode(rest)
        except ProtonException as error:
            raise MalformedMessageError("the message is not encoded as AMQP 1.0") from error
        data.rewind()
        is_section = data.next() == Data.DESCRIBED and data.enter() and data.next() == Data.ULONG
        code = data.get_ulong() if is_section else 0
        if not _HEADER <= code <= _FOOTER:
            raise MalformedMessageError("the message has something other than AMQP 1.0 message sections")
        data.next()
        sections.append(_Section(code, bytes(rest[:size]), data))
        rest = rest[size:]
    if not sections:
        raise MalformedMessageError("the message is empty")
    return sections


def _value(sections: list[_Section], code: int) -> Any:
    return next((section.value.get_object() for section in sections if section.code == code), None)


def _header(sections: list[_Section]) -> list[Any]:
    """Return durable, priority and time to live in ms; None for what is not given."""
    return [*(_value(sections, _HEADER) or []), None, None, None][:3]


def _encoded(code: int, value: Any) -> bytes:
    data = Data()
    data.put_object(Described(ulong(code), value))
    encoded: bytes = data.encode()
    return encoded
