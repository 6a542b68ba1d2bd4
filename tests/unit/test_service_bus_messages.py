import pytest
from proton import Message, timestamp

from local.service_bus.errors import UnsupportedError
from local.service_bus.messages import parse


def encoded(body: bytes, **fields: object) -> bytes:
    message = Message(body=body, **fields)
    message.inferred = True  # a body of bytes becomes a data section
    return bytes(message.encode())


def batch(*contents: bytes) -> bytes:
    return b"".join(b"\x00\x53\x75\xb0" + len(content).to_bytes(4, "big") + content for content in contents)


def test_a_message_is_kept_as_it_is() -> None:
    content = encoded(b"body", id="m1", annotations={"x-opt-scheduled-enqueue-time": timestamp(5)})
    assert parse(content) == (content, "m1", 5)


@pytest.mark.parametrize(
    "content",
    [
        batch(encoded(b"one")),
        batch(encoded(b"one"), encoded(b"two")),
        batch(b"one", b"two"),
        batch(b"footed") + b"\x00\x53\x78\xc1\x01\x00",
        b"\x00\x53\x77\xa0\x03\x00\x53\x75",
        b"",
        b"hello",
        b"\x45",
        b"\x00\x53\x75\xa0\xff",
        b"\x00\x53\x24\x45",
    ],
)
def test_what_is_not_one_message_with_a_body_of_bytes_is_refused(content: bytes) -> None:
    with pytest.raises(UnsupportedError):
        parse(content)


def test_no_cut_of_a_message_passes_for_a_message() -> None:
    content = encoded(b"body", id="m1")
    for size in range(len(content)):
        with pytest.raises(UnsupportedError):
            parse(content[:size])


def test_a_time_to_live_of_its_own_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="time to live"):
        parse(encoded(b"body", ttl=30))
