from typing import Any

import pytest
from proton import Message, symbol, timestamp

from local.service_bus.errors import RefusedError
from local.service_bus.messages import MAX_MESSAGE_BYTES, encode, parse, with_properties

ROW = {
    "sequence_number": 7,
    "enqueued_at": 1_000,
    "due_at": 2_000,
    "state": "locked",
    "time_to_live": None,
    "delivery_count": 0,
}


def encoded(body: Any, *, inferred: bool = True, **fields: object) -> bytes:
    message = Message(body=body, **fields)
    message.inferred = inferred  # a body of bytes becomes a data section
    return bytes(message.encode())


def data_sections(*contents: bytes) -> bytes:
    return b"".join(b"\x00\x53\x75\xb0" + len(content).to_bytes(4, "big") + content for content in contents)


def envelope(message_id: str, *contents: bytes) -> bytes:
    properties = (
        encoded(b"", id=message_id).removeprefix(b"\x00\x53\x70\x45").removesuffix(b"\x00\x53\x75\xa0\x00")
    )
    return properties + data_sections(*contents)


def delivered(content: bytes, **changes: object) -> Message:
    message = Message()
    message.decode(encode({**ROW, **changes, "content": content}))  # a row is read by its names
    return message


def test_a_message_is_kept_as_it_is() -> None:
    annotations = {symbol("x-opt-scheduled-enqueue-time"): timestamp(5)}
    content = encoded(b"body", id="m1", ttl=30, annotations=annotations)
    assert parse(content) == [(content, "m1", 30_000, 5)]


@pytest.mark.parametrize("body", [{"key": [1, 2]}, ["one"], "text", None, b"value"])
def test_a_body_of_any_kind_is_kept(body: object) -> None:
    content = encoded(body, inferred=False)
    (message,) = parse(content)
    assert delivered(message.content).body == body


def test_a_batch_is_taken_apart() -> None:
    contents = [encoded(b"one", id="1"), encoded(b"two", id="2")]
    taken_apart = [(contents[0], "1", None, None), (contents[1], "2", None, None)]
    assert parse(data_sections(*contents)) == taken_apart
    assert parse(envelope("1", *contents)) == taken_apart


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x00\x53\x75", b"{}", b"\x40", b"\x00\x53\x24\x45"])
def test_a_body_that_is_no_message_makes_no_batch(body: bytes) -> None:
    content = data_sections(encoded(b"first is one"), body)
    assert [message.content for message in parse(content)] == [content]


def test_a_message_whose_body_is_a_message_makes_no_batch() -> None:
    for content in (
        envelope("outer", encoded(b"forwarded", id="inner")),
        encoded(encoded(b"forwarded", id="inner"), properties={"forwarded": True}),
    ):
        assert [message.content for message in parse(content)] == [content]


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00\x53\x75\xa0\xff", b"\x45", b"\x00\x53\x24\x45"])
def test_bytes_that_are_no_message_are_refused(content: bytes) -> None:
    with pytest.raises(RefusedError):
        parse(content)


def test_a_section_that_is_cut_off_is_refused() -> None:
    content = data_sections(b"body")
    for size in range(len(content)):
        with pytest.raises(RefusedError):
            parse(content[:size])


def test_the_broker_adds_what_only_it_knows() -> None:
    content = encoded(b"body", durable=True, priority=7, annotations={symbol("kept"): 1})
    message = delivered(content, delivery_count=3, time_to_live=9_000)
    assert (message.durable, message.priority, message.delivery_count, message.ttl) == (True, 7, 3, 9)
    assert message.annotations == {
        "kept": 1,
        "x-opt-sequence-number": 7,
        "x-opt-enqueued-time": 1_000,
        "x-opt-locked-until": 2_000,
        "x-opt-message-state": 0,
    }
    assert message.body == b"body"


def test_only_a_locked_message_says_until_when() -> None:
    annotations = delivered(encoded(b"body"), state="scheduled").annotations
    assert annotations["x-opt-message-state"] == 2
    assert "x-opt-locked-until" not in annotations


def test_delivery_annotations_end_at_the_broker() -> None:
    delivery_annotations = b"\x00\x53\x71\xc1\x07\x02\xa3\x01a\xa1\x01b"
    (message,) = parse(encoded(b"body") + delivery_annotations)
    assert message.content == encoded(b"body")


def test_properties_are_added_and_changed_and_the_rest_is_kept() -> None:
    content = encoded(b"body", id="m1", properties={"kept": 1, "changed": 1}, annotations={symbol("a"): 1})
    message = Message()
    message.decode(with_properties(content, {"changed": 2, "new": "ä"}))
    assert message.properties == {"kept": 1, "changed": 2, "new": "ä"}
    assert (message.id, message.body, message.annotations) == ("m1", b"body", {"a": 1})
    assert with_properties(content, {}) == content


def test_a_size_up_to_the_limit_is_taken() -> None:
    body = b"x" * (MAX_MESSAGE_BYTES - len(encoded(b"x" * 1000)) + 1000)
    assert [len(message.content) for message in parse(encoded(body))] == [MAX_MESSAGE_BYTES]
    with pytest.raises(RefusedError, match="262145 bytes are more than the 262144"):
        parse(encoded(body + b"x"))
