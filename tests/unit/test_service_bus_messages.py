import pytest
from proton import Message

from local.service_bus.errors import MalformedMessageError
from local.service_bus.messages import parse


def encoded(body: bytes, **fields: object) -> bytes:
    message = Message(body=body, **fields)
    message.inferred = True  # a body of bytes becomes a data section
    return bytes(message.encode())


def batch(*contents: bytes) -> bytes:
    return b"".join(b"\x00\x53\x75\xb0" + len(content).to_bytes(4, "big") + content for content in contents)


def test_a_message_is_kept_as_it_is() -> None:
    content = encoded(b"body", id="m1", ttl=30)
    (message,) = parse(content)
    assert message == (content, "m1", 30_000, None)


def test_a_batch_is_taken_apart() -> None:
    contents = [encoded(b"one", id="1"), encoded(b"two", id="2")]
    assert [(message.content, message.message_id) for message in parse(batch(*contents))] == [
        (contents[0], "1"),
        (contents[1], "2"),
    ]


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x00\x53\x75", b"{}", b"\x40", b"\x00\x53\x24\x45"])
def test_a_body_that_is_no_message_makes_no_batch(body: bytes) -> None:
    content = batch(encoded(b"first is one"), body)
    assert [message.content for message in parse(content)] == [content]


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00\x53\x75\xa0\xff", b"\x45", b"\x00\x53\x24\x45"])
def test_bytes_that_are_no_message_are_refused(content: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        parse(content)
