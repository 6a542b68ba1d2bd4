"""What the Service Bus stand-in does with messages, by the real SDK."""

import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import (
    AutoLockRenewer,
    ServiceBusMessage,
)
from azure.servicebus.aio import ServiceBusClient as AsyncServiceBusClient
from azure.servicebus.exceptions import (
    MessageLockLostError,
    ServiceBusError,
)

from tests.local_cloud.service_bus.conftest import REFUSED, WAIT, Bus, connection_string, receive_one


def test_a_message_arrives_as_it_was_sent(bus: Bus) -> None:
    before = datetime.now(UTC)
    sent = ServiceBusMessage(
        b'{"jobId": 1}',
        message_id="job:1",
        subject="job",
        correlation_id="c",
        content_type="application/json",
        application_properties={"attempt": 1, "exact": True, "ratio": 0.5, "word": "ä"},
    )
    bus.send("plain", sent)
    message = receive_one(bus.receiver("plain"))
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
    bus.receiver("plain").complete_message(message)
    assert bus.is_empty("plain")


def test_a_waiting_receiver_gets_a_message_at_once(bus: Bus) -> None:
    bus.send("plain", ServiceBusMessage("warm up"))
    bus.take("plain")
    with ThreadPoolExecutor(1) as pool:
        arrival = pool.submit(lambda: (bus.take("plain"), time.perf_counter()))
        time.sleep(0.2)  # so that it waits already; nothing tells from outside when it does
        sent = time.perf_counter()
        bus.send("plain", ServiceBusMessage("now"))
        _message, arrived = arrival.result(WAIT)
    assert arrived - sent < 0.5


def test_an_abandoned_message_comes_back_with_a_higher_delivery_count(bus: Bus) -> None:
    bus.send("plain", ServiceBusMessage("again"))
    first = receive_one(bus.receiver("plain"))
    bus.receiver("plain").abandon_message(first)
    second = bus.take("plain")
    assert second.sequence_number == first.sequence_number
    assert second.delivery_count == 1


def test_a_closing_receiver_gives_back_what_it_had_fetched_ahead(bus: Bus) -> None:
    bus.send("plain", *(ServiceBusMessage(f"{number}") for number in range(3)))
    with bus.client.get_queue_receiver("plain", prefetch_count=10) as ahead:
        ahead.complete_message(receive_one(ahead))
    for number in (1, 2):
        message = bus.take("plain")
        assert (str(message), message.delivery_count) == (f"{number}", 0)


def test_a_dead_lettered_message_keeps_reason_and_description(bus: Bus) -> None:
    bus.send("plain", ServiceBusMessage("bad", application_properties={"kept": 1}))
    bad = receive_one(bus.receiver("plain"))
    bus.receiver("plain").dead_letter_message(bad, reason="NotAudio", error_description="It is a picture.")
    assert bus.is_empty("plain")
    message = receive_one(bus.receiver("plain", dead_letters=True))
    assert message.dead_letter_reason == "NotAudio"
    assert message.dead_letter_error_description == "It is a picture."
    assert message.application_properties is not None
    assert message.application_properties[b"kept"] == 1
    with pytest.raises(
        ServiceBusError, match=f"{REFUSED}the outcome .* for a message of plain/.deadletterqueue"
    ):
        bus.receiver("plain", dead_letters=True).dead_letter_message(message)


def test_too_many_failed_deliveries_dead_letter_a_message(bus: Bus) -> None:
    bus.send("twice", ServiceBusMessage("hopeless"))
    for _ in range(2):
        bus.receiver("twice").abandon_message(receive_one(bus.receiver("twice")))
    assert bus.is_empty("twice")
    message = receive_one(bus.receiver("twice", dead_letters=True))
    assert message.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert message.delivery_count == 2
    bus.receiver("twice", dead_letters=True).abandon_message(message)
    assert bus.take("twice", dead_letters=True).delivery_count == 3  # no maximum there


def test_when_a_lock_ends_the_message_comes_back_and_its_holder_is_refused(bus: Bus) -> None:
    bus.send("brief", ServiceBusMessage("slow"))
    held = receive_one(bus.receiver("brief"))
    assert bus.is_empty("brief")
    again = receive_one(bus.receiver("brief"))
    assert again.locked_until_utc is not None
    assert (again.sequence_number, again.delivery_count) == (held.sequence_number, 1)
    with pytest.raises(MessageLockLostError):
        bus.receiver("brief").renew_message_lock(held)
    held._expiry = again.locked_until_utc  # else the client refuses by itself and does not ask the broker
    with pytest.raises(MessageLockLostError, match="message-lock-lost"):
        bus.receiver("brief").complete_message(held)
    bus.receiver("brief").complete_message(again)
    assert bus.is_empty("brief")


DYING_CLIENT = """
import os, sys
from azure.servicebus import ServiceBusClient
receiver = ServiceBusClient.from_connection_string(sys.argv[1]).get_queue_receiver("dying", prefetch_count=10)
print(receiver.receive_messages(1)[0], flush=True)
os._exit(9)
"""


def test_what_a_dead_client_held_comes_back_when_its_lock_ends(bus: Bus, port: int) -> None:
    bus.send("dying", ServiceBusMessage("held"))
    command = [sys.executable, "-c", DYING_CLIENT, connection_string(port)]
    died = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=30)
    assert (died.returncode, died.stdout) == (9, "held\n")
    with bus.client.get_queue_receiver("dying") as receiver:
        message = receive_one(receiver)
        receiver.complete_message(message)
    assert (str(message), message.delivery_count) == ("held", 1)


def test_an_automatically_renewed_lock_is_kept(bus: Bus) -> None:
    bus.send("renewed", ServiceBusMessage("long work"))
    with AutoLockRenewer() as renewer:
        message = receive_one(bus.receiver("renewed"))
        renewer.register(bus.receiver("renewed"), message)
        longer_than_the_lock = 5.0
        assert bus.receiver("renewed").receive_messages(1, max_wait_time=longer_than_the_lock) == []
        assert message.auto_renew_error is None
        bus.receiver("renewed").complete_message(message)


def test_a_duplicate_is_dropped(bus: Bus) -> None:
    once, twice = (ServiceBusMessage(text, message_id="job:1") for text in ("once", "twice"))
    bus.send("unique", once, twice, ServiceBusMessage("other", message_id="job:2"))
    assert [str(bus.take("unique")) for _ in range(2)] == ["once", "other"]
    bus.send("unique", ServiceBusMessage("after it was completed", message_id="job:1"))
    assert bus.is_empty("unique")


def test_a_scheduled_message_arrives_at_its_time(bus: Bus) -> None:
    at = datetime.now(UTC) + timedelta(seconds=1)
    for text in ("later", "later still"):
        bus.send("plain", ServiceBusMessage(text, scheduled_enqueue_time_utc=at))
    bus.send("plain", ServiceBusMessage("now"))
    assert str(bus.take("plain")) == "now"
    assert datetime.now(UTC) < at
    for expected in ("later", "later still"):
        message = bus.take("plain")
        assert str(message) == expected
        assert message.enqueued_time_utc is not None
        assert message.enqueued_time_utc >= at - timedelta(milliseconds=1)  # sent in whole ms
    assert bus.is_empty("plain")


def test_an_expired_message_is_dead_lettered_or_dropped(bus: Bus) -> None:
    for queue in ("expiring", "forgetful"):
        bus.send(queue, ServiceBusMessage("old"))
    assert bus.take("expiring", dead_letters=True).dead_letter_reason == "TTLExpiredException"
    assert bus.is_empty("forgetful")
    assert bus.is_empty("forgetful", dead_letters=True)


async def test_the_asynchronous_client_pings_sends_and_receives(port: int) -> None:
    async with AsyncServiceBusClient.from_connection_string(connection_string(port)) as client:
        async with client.get_queue_sender("asynchronous") as sender:
            await sender.create_message_batch()
            for text in ("one", "two"):
                await sender.send_messages(ServiceBusMessage(text))
        got = []
        async with client.get_queue_receiver("asynchronous", prefetch_count=10) as receiver:
            async for message in receiver:
                await receiver.renew_message_lock(message)
                await receiver.complete_message(message)
                got.append(str(message))
                if len(got) == 2:
                    break
    assert got == ["one", "two"]
