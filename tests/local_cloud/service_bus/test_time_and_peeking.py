"""Scheduled messages, expiry, duplicates, and looking without receiving."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState
from azure.servicebus.exceptions import MessageNotFoundError

from tests.conftest import wait_for
from tests.local_cloud.service_bus.conftest import SHORT, Queue

MILLISECOND = timedelta(milliseconds=1)


def test_a_scheduled_message_arrives_at_its_time(plain: Queue) -> None:
    at = datetime.now(UTC) + timedelta(seconds=2 + SHORT)
    by_operation, by_property = ServiceBusMessage("later"), ServiceBusMessage("later still")
    by_property.scheduled_enqueue_time_utc = at
    assert len(plain.sender.schedule_messages(by_operation, at)) == 1
    plain.send(by_property, ServiceBusMessage("now"))
    assert str(plain.take()) == "now"
    assert plain.is_empty()
    assert datetime.now(UTC) < at
    for expected in ("later", "later still"):
        message = plain.take()
        assert str(message) == expected
        assert message.enqueued_time_utc is not None
        assert message.enqueued_time_utc >= at - MILLISECOND  # sent in whole ms
    assert plain.is_empty()


def test_a_cancelled_message_does_not_arrive_and_its_neighbour_does(plain: Queue) -> None:
    at = datetime.now(UTC) + timedelta(seconds=2)
    messages = [ServiceBusMessage(text) for text in ("cancelled", "kept", "cancelled")]
    first, _kept, third = plain.sender.schedule_messages(messages, at)
    plain.sender.cancel_scheduled_messages([first, third])
    assert [str(message) for message in plain.peek()] == ["kept"]
    assert str(plain.take()) == "kept"
    assert plain.is_empty()


def test_what_is_not_scheduled_cannot_be_cancelled(plain: Queue) -> None:
    number = plain.sender.schedule_messages(
        ServiceBusMessage("once"), datetime.now(UTC) + timedelta(hours=1)
    )[0]
    plain.sender.cancel_scheduled_messages(number)
    with pytest.raises(MessageNotFoundError):
        plain.sender.cancel_scheduled_messages(number)
    plain.send(ServiceBusMessage("sent"))
    (sent,) = plain.peek()
    assert sent.sequence_number is not None
    with pytest.raises(MessageNotFoundError):
        plain.sender.cancel_scheduled_messages(sent.sequence_number)
    assert str(plain.take()) == "sent"


def send_and_outlive(queue: Queue, text: str) -> None:
    queue.close_receiver()
    queue.send(ServiceBusMessage(text, time_to_live=timedelta(seconds=1)))
    (message,) = queue.peek()
    assert str(message) == text
    assert message.expires_at_utc is not None
    end = message.expires_at_utc
    wait_for(lambda: datetime.now(UTC) > end, "the message's end", 30)


def test_an_expired_message_is_dead_lettered_where_the_queue_says_so(
    strict: Queue, strict_dead: Queue
) -> None:
    send_and_outlive(strict, "old")
    strict.send(ServiceBusMessage("young"))
    assert str(strict.take()) == "young"  # Azure moves what has expired when somebody receives
    expired = strict_dead.take()
    assert str(expired) == "old"
    assert expired.dead_letter_reason == "TTLExpiredException"
    assert strict.is_empty()


def test_an_expired_message_is_dropped_where_the_queue_says_nothing(plain: Queue, plain_dead: Queue) -> None:
    send_and_outlive(plain, "old")
    assert plain.is_empty()
    wait_for(lambda: plain.peek() == [], "the message's removal", 30)
    assert plain_dead.is_empty()


def test_a_message_lives_no_longer_than_its_queue_allows(plain: Queue) -> None:
    lives = (None, timedelta(minutes=1), timedelta(days=3))
    plain.send(*(ServiceBusMessage("", time_to_live=life) for life in lives))
    messages = [plain.take() for _ in lives]
    hour = timedelta(hours=1)
    assert [message.time_to_live for message in messages] == [hour, timedelta(minutes=1), hour]


def test_a_duplicate_is_dropped_within_the_window(unique: Queue) -> None:
    first, second = (f"{uuid.uuid4()}" for _ in range(2))
    unique.send(
        ServiceBusMessage("once", message_id=first),
        ServiceBusMessage("twice", message_id=first),
        ServiceBusMessage("other", message_id=second),
    )
    assert [str(unique.take()) for _ in range(2)] == ["once", "other"]
    again = [ServiceBusMessage("after it was completed", message_id=first), ServiceBusMessage("no id")]
    unique.sender.send_messages(again)
    assert str(unique.take()) == "no id"
    assert unique.is_empty()


def test_a_queue_without_detection_takes_an_id_twice(plain: Queue) -> None:
    plain.send(*(ServiceBusMessage(text, message_id="same") for text in ("once", "twice")))
    assert [str(plain.take()) for _ in range(2)] == ["once", "twice"]


def test_peeking_shows_messages_in_every_state_and_takes_none(plain: Queue) -> None:
    plain.send(ServiceBusMessage("locked", application_properties={"seen": True}))
    locked = plain.receive()
    plain.send(ServiceBusMessage("active"))
    at = datetime.now(UTC) + timedelta(hours=1)
    (number,) = plain.sender.schedule_messages(ServiceBusMessage("scheduled"), at)
    peeked = plain.peek()
    assert [str(message) for message in peeked] == ["locked", "active", "scheduled"]
    active, scheduled = ServiceBusMessageState.ACTIVE, ServiceBusMessageState.SCHEDULED
    assert [message.state for message in peeked] == [active, active, scheduled]
    assert peeked[0].sequence_number == locked.sequence_number
    assert peeked[0].application_properties == {b"seen": True}
    assert peeked[1].delivery_count == 0
    assert peeked[2].sequence_number == number
    with pytest.raises(ValueError, match="not supported for peeked messages"):
        plain.receiver.complete_message(peeked[1])
    plain.receiver.complete_message(locked)
    assert str(plain.take()) == "active"
    plain.sender.cancel_scheduled_messages(number)
    assert plain.peek() == []


def test_peeking_goes_on_from_a_sequence_number(plain: Queue) -> None:
    plain.send(*(ServiceBusMessage(f"{number}") for number in range(4)))
    numbers = [message.sequence_number for message in plain.peek()]
    assert [str(message) for message in plain.peek(2)] == ["0", "1"]
    for first, most, expected in ((1, 2, "12"), (2, 9, "23"), (3, 1, "3")):
        messages = plain.receiver.peek_messages(most, sequence_number=numbers[first])
        assert "".join(str(message) for message in messages) == expected
    assert plain.receiver.peek_messages(1, sequence_number=numbers[-1] + 1) == []


def test_dead_letters_can_be_peeked(plain: Queue, plain_dead: Queue) -> None:
    plain.send(ServiceBusMessage("bad"))
    plain.receiver.dead_letter_message(plain.receive(), reason="Why")
    (message,) = plain_dead.peek()
    assert (str(message), message.dead_letter_reason) == ("bad", "Why")
    assert plain.peek() == []
    assert str(plain_dead.take()) == "bad"
