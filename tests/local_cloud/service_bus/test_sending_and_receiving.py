"""Messages go through a queue as they were sent: singly, in batches, sync and async."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient as AsyncServiceBusClient
from azure.servicebus.amqp import AmqpAnnotatedMessage
from azure.servicebus.exceptions import MessageSizeExceededError, MessagingEntityNotFoundError

from tests.local_cloud.service_bus.conftest import WAIT, Queue

LIMIT = 256 * 1024


def test_a_message_arrives_as_it_was_sent(plain: Queue) -> None:
    before = datetime.now(UTC)
    sent = ServiceBusMessage(
        b'{"jobId": 1}',
        message_id="job:1",
        subject="job",
        correlation_id="c",
        content_type="application/json",
        application_properties={"attempt": 1, "exact": True, "ratio": 0.5, "word": "ä"},
    )
    plain.send(sent)
    message = plain.receive()
    assert b"".join(message.body) == b'{"jobId": 1}'
    assert (message.message_id, message.subject, message.correlation_id) == ("job:1", "job", "c")
    assert message.content_type == "application/json"
    properties = {b"attempt": 1, b"exact": True, b"ratio": 0.5, b"word": "ä".encode()}
    assert message.application_properties == properties
    assert message.delivery_count == 0
    assert isinstance(message.lock_token, uuid.UUID)
    assert message.enqueued_time_utc is not None
    assert message.locked_until_utc is not None
    assert abs(message.enqueued_time_utc - before) < timedelta(seconds=WAIT)
    lock_duration = message.locked_until_utc - message.enqueued_time_utc
    assert timedelta(minutes=1) <= lock_duration < timedelta(minutes=1, seconds=WAIT)
    plain.receiver.complete_message(message)
    assert plain.is_empty()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data_body": [b"a", b"b"]}, [b"a", b"b"]),
        ({"data_body": b""}, [b""]),
        ({"value_body": {"key": [1, "two", 3.0]}}, {"key": [1, "two", 3.0]}),
        ({"sequence_body": [[1, 2], ["three"]]}, [[1, 2], ["three"]]),
    ],
)
def test_a_body_of_any_kind_arrives(plain: Queue, body: dict[str, object], expected: object) -> None:
    plain.send(AmqpAnnotatedMessage(**body, annotations={"x-opt-partition-key": "p"}, footer={"end": 1}))
    message = plain.take()
    raw = message.raw_amqp_message
    assert f"{raw.body_type.value}_body" in body
    received = raw.body if "value_body" in body else list(raw.body)
    assert (received if "data_body" in body else as_text(received)) == expected
    assert message.partition_key == "p"
    assert raw.footer == {b"end": 1}


def as_text(value: object) -> object:
    """Undo that the client leaves texts of a received body as bytes."""
    match value:
        case bytes():
            return value.decode()
        case dict():
            return {as_text(key): as_text(item) for key, item in value.items()}
        case list():
            return [as_text(item) for item in value]
    return value


def test_messages_arrive_in_the_order_of_sending(plain: Queue) -> None:
    plain.send(*(ServiceBusMessage(f"{number}") for number in range(3)))
    messages = [plain.take() for _ in range(3)]
    assert [str(message) for message in messages] == ["0", "1", "2"]
    numbers = [message.sequence_number for message in messages]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("count", [1, 100])
def test_the_messages_of_a_list_arrive_one_by_one(plain: Queue, count: int) -> None:
    bodies = [f"{number} " + "x" * 3 * number for number in range(count)]  # short and long forms of AMQP
    plain.sender.send_messages([ServiceBusMessage(body, message_id=body[:5]) for body in bodies])
    messages = [plain.take() for _ in range(count)]
    assert [str(message) for message in messages] == bodies
    assert [message.message_id for message in messages] == [body[:5] for body in bodies]
    assert plain.is_empty()


def test_a_batch_takes_as_much_as_the_service_and_not_more(plain: Queue) -> None:
    batch = plain.sender.create_message_batch()
    assert batch.max_size_in_bytes == LIMIT
    body = b"x" * 60_000
    with pytest.raises(MessageSizeExceededError):
        for _ in range(5):
            batch.add_message(ServiceBusMessage(body))
    assert len(batch) == 4
    plain.sender.send_messages(batch)
    assert [len(str(plain.take())) for _ in range(4)] == [60_000] * 4
    with pytest.raises(MessageSizeExceededError):
        plain.sender.send_messages([ServiceBusMessage(body)] * 5)
    assert plain.is_empty()


def test_a_message_up_to_the_limit_arrives_and_a_longer_one_is_refused(plain: Queue) -> None:
    plain.send(ServiceBusMessage(b"x" * (LIMIT - 1024)))
    assert len(str(plain.take())) == LIMIT - 1024
    with pytest.raises(MessageSizeExceededError):
        plain.send(ServiceBusMessage(b"x" * (LIMIT + 1)))
    plain.send(ServiceBusMessage("the sender goes on"))
    assert str(plain.take()) == "the sender goes on"


def test_a_waiting_receiver_gets_a_message_at_once(plain: Queue) -> None:
    plain.send(ServiceBusMessage("warm up"))
    plain.take()
    with ThreadPoolExecutor(1) as pool:
        arrival = pool.submit(lambda: (plain.take(), time.perf_counter()))
        time.sleep(0.2)  # so that it waits already; nothing tells from outside when it does
        sent = time.perf_counter()
        plain.send(ServiceBusMessage("now"))
        _message, arrived = arrival.result(WAIT)
    assert arrived - sent < 5, "it did not wait for the end of a turn"


def test_a_receiver_gets_no_more_than_it_asks_for(plain: Queue) -> None:
    plain.send(*(ServiceBusMessage(f"{number}") for number in range(3)))
    two = plain.receiver.receive_messages(2, max_wait_time=WAIT)
    assert [str(message) for message in two] == ["0", "1"]
    for message in two:
        plain.receiver.complete_message(message)
    assert str(plain.take()) == "2"


def test_a_closing_receiver_gives_back_what_it_had_fetched_ahead(
    plain: Queue, client: ServiceBusClient
) -> None:
    plain.send(*(ServiceBusMessage(f"{number}") for number in range(3)))
    with client.get_queue_receiver("plain", prefetch_count=10) as ahead:
        (first,) = ahead.receive_messages(1, max_wait_time=WAIT)
        ahead.complete_message(first)
        assert plain.is_empty()  # the others are locked for the one that fetches ahead
    for number in (1, 2):
        message = plain.take()
        assert (str(message), message.delivery_count) == (f"{number}", 0)


@pytest.mark.parametrize("direction", ["send", "receive"])
def test_an_unknown_queue_is_not_found(client: ServiceBusClient, direction: str) -> None:
    with pytest.raises(MessagingEntityNotFoundError, match="no-queue"):
        if direction == "send":
            with client.get_queue_sender("no-queue") as sender:
                sender.send_messages(ServiceBusMessage("lost"))
        else:
            with client.get_queue_receiver("no-queue") as receiver:
                receiver.receive_messages(1, max_wait_time=WAIT)


async def test_the_asynchronous_client_sends_and_receives(service: str, plain: Queue) -> None:
    async with AsyncServiceBusClient.from_connection_string(service) as client:
        async with client.get_queue_sender("plain") as sender:
            batch = await sender.create_message_batch()
            batch.add_message(ServiceBusMessage("one"))
            await sender.send_messages(batch)
            await sender.send_messages([ServiceBusMessage("two"), ServiceBusMessage("three")])
        got = []
        async with client.get_queue_receiver("plain", prefetch_count=10) as receiver:
            async for message in receiver:
                await receiver.renew_message_lock(message)
                await receiver.complete_message(message)
                got.append(str(message))
                if len(got) == 3:
                    break
    assert got == ["one", "two", "three"]
    assert plain.is_empty()
