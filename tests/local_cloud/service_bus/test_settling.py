"""Locks and how they end: completion, abandoning, dead-lettering, renewal, expiry."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from azure.servicebus import AutoLockRenewer, ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.exceptions import MessageAlreadySettled, MessageLockLostError

from tests.local_cloud.service_bus.conftest import WAIT, Queue

DYING_CLIENT = """
import os, sys
from azure.servicebus import ServiceBusClient
client = ServiceBusClient.from_connection_string(sys.argv[1])
receiver = client.get_queue_receiver("strict", prefetch_count=10)
print(receiver.receive_messages(1)[0], flush=True)
os._exit(9)
"""


def test_a_completed_message_is_gone_and_cannot_be_settled_again(plain: Queue) -> None:
    plain.send(ServiceBusMessage("done"))
    message = plain.take()
    with pytest.raises(MessageAlreadySettled):
        plain.receiver.abandon_message(message)
    assert plain.is_empty()
    assert plain.peek() == []


def test_a_locked_message_is_not_delivered_again(plain: Queue) -> None:
    plain.send(ServiceBusMessage("held"))
    message = plain.receive()
    assert plain.is_empty()
    plain.receiver.complete_message(message)


def test_an_abandoned_message_comes_back_with_a_higher_delivery_count(plain: Queue) -> None:
    plain.send(ServiceBusMessage("again"))
    first = plain.receive()
    lock_token = first.lock_token
    plain.receiver.abandon_message(first)
    second = plain.receive()
    assert second.sequence_number == first.sequence_number
    assert second.lock_token != lock_token
    assert second.delivery_count == 1
    plain.receiver.complete_message(second)


def test_properties_that_are_changed_when_a_message_is_abandoned_stay_changed(plain: Queue) -> None:
    plain.send(ServiceBusMessage("again", application_properties={"kept": 1, "tried": 0}))
    message = plain.receive()
    # abandon_message of azure-servicebus has no such argument (Azure's other clients have): its link has.
    changes = {"tried": 1, "why": "ä"}
    plain.receiver._handler.settle_messages(
        message._delivery_id,
        message._delivery_tag,
        "modified",
        delivery_failed=True,
        message_annotations=changes,
        await_outcome=True,
    )
    again = plain.take()
    assert again.application_properties == {b"kept": 1, b"tried": 1, b"why": "ä".encode()}
    assert (str(again), again.delivery_count) == ("again", 1)


def test_a_dead_lettered_message_keeps_reason_and_description(plain: Queue, plain_dead: Queue) -> None:
    plain.send(ServiceBusMessage("bad", application_properties={"kept": 1}))
    bad = plain.receive()
    plain.receiver.dead_letter_message(bad, reason="NotAudio", error_description="It is a picture.")
    assert plain.is_empty()
    message = plain_dead.receive()
    assert message.dead_letter_reason == "NotAudio"
    assert message.dead_letter_error_description == "It is a picture."
    assert message.sequence_number == bad.sequence_number
    assert message.application_properties is not None
    assert message.application_properties[b"kept"] == 1
    plain_dead.receiver.complete_message(message)
    assert plain_dead.is_empty()


def test_a_message_may_be_dead_lettered_without_a_reason(plain: Queue, plain_dead: Queue) -> None:
    plain.send(ServiceBusMessage("bad"))
    plain.receiver.dead_letter_message(plain.receive())
    message = plain_dead.take()
    assert (str(message), message.dead_letter_reason) == ("bad", None)


def test_too_many_failed_deliveries_dead_letter_a_message(strict: Queue, strict_dead: Queue) -> None:
    strict.send(ServiceBusMessage("hopeless"))
    for failed in range(2):
        message = strict.receive()
        assert message.delivery_count == failed
        assert strict_dead.is_empty()
        strict.receiver.abandon_message(message)
    assert strict.is_empty()
    for _ in range(3):  # there is no maximum in a dead-letter queue
        message = strict_dead.receive()
        assert message.dead_letter_reason == "MaxDeliveryCountExceeded"
        described = "Message could not be consumed after 2 delivery attempts."
        assert message.dead_letter_error_description == described
        strict_dead.receiver.abandon_message(message)
    strict_dead.take()


@pytest.mark.parametrize("settlement", ["completed", "abandoned", "suspended"])
def test_a_message_can_be_settled_without_the_link_that_brought_it(
    plain: Queue, plain_dead: Queue, settlement: str
) -> None:
    plain.send(ServiceBusMessage("held"))
    message = plain.receive()
    # What the client does by itself when the link is gone.
    details = {"deadletter-reason": "Why", "deadletter-description": "What exactly"}
    settle = plain.receiver._settle_message_via_mgmt_link
    settle(settlement, [message.lock_token], details if settlement == "suspended" else None)
    with pytest.raises(MessageLockLostError):
        settle(settlement, [message.lock_token], None)
    if settlement == "abandoned":
        assert plain.take().delivery_count == 1
    if settlement == "suspended":
        dead = plain_dead.take()
        assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("Why", "What exactly")
    assert plain.is_empty()


def test_a_lock_is_renewed_for_another_duration(strict: Queue) -> None:
    strict.send(ServiceBusMessage("long work"))
    message = strict.receive()
    first_end = message.locked_until_utc
    time.sleep(0.5)  # so that the new end differs
    new_end = strict.receiver.renew_message_lock(message)
    assert first_end is not None
    assert new_end > first_end
    assert message.locked_until_utc == new_end
    strict.receiver.complete_message(message)


@dataclass
class Lapsed:
    """What came of messages whose locks ended, but for one that was renewed."""

    early: list[ServiceBusReceivedMessage]  # received before any lock ended
    held: ServiceBusReceivedMessage
    again: ServiceBusReceivedMessage  # the one that was held, delivered anew
    orphan: ServiceBusReceivedMessage  # one that a dead client held, delivered anew
    renewed: ServiceBusReceivedMessage


@pytest.fixture(scope="module")
def lapsed(named: Callable[[str], Queue], service: str) -> Iterator[Lapsed]:
    strict = named("strict")
    strict.close_receiver()
    strict.send(ServiceBusMessage("orphan"))
    command = [sys.executable, "-c", DYING_CLIENT, service]
    died = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=30)
    assert (died.returncode, died.stdout) == (9, "orphan\n")
    strict.send(ServiceBusMessage("renewed"), ServiceBusMessage("held"))
    with AutoLockRenewer() as renewer:
        renewed = strict.receive()
        renewer.register(strict.receiver, renewed)
        held = strict.receive()
        early = strict.receiver.receive_messages(1, max_wait_time=1)
        # The orphan's lock may end while this still looks: then it is no message that came too early.
        early = [message for message in early if str(message) == "held"]
        back: dict[str, ServiceBusReceivedMessage] = {}
        end = time.monotonic() + WAIT
        while set(back) != {"held", "orphan"} and time.monotonic() < end:
            back |= {
                str(message): message for message in strict.receiver.receive_messages(3, max_wait_time=1)
            }
        assert renewed.auto_renew_error is None
        strict.receiver.complete_message(renewed)
    yield Lapsed(early, held, back["held"], back["orphan"], renewed)
    for message in back.values():
        with contextlib.suppress(MessageLockLostError):
            strict.receiver.complete_message(message)


def test_a_lock_that_has_not_ended_keeps_its_message(lapsed: Lapsed) -> None:
    assert lapsed.early == []


def test_when_a_lock_ends_the_message_comes_back(lapsed: Lapsed) -> None:
    assert (lapsed.again.sequence_number, lapsed.again.delivery_count) == (lapsed.held.sequence_number, 1)
    assert lapsed.held.locked_until_utc is not None
    assert lapsed.again.locked_until_utc is not None
    assert lapsed.again.locked_until_utc > lapsed.held.locked_until_utc


def test_what_a_dead_client_held_comes_back_when_its_lock_ends(lapsed: Lapsed) -> None:
    assert lapsed.orphan.delivery_count == 1


def test_an_automatically_renewed_lock_is_kept(lapsed: Lapsed) -> None:
    assert lapsed.renewed.delivery_count == 0
    assert lapsed.renewed._settled


def test_whose_lock_has_ended_can_neither_renew_nor_settle(lapsed: Lapsed) -> None:
    receiver = lapsed.held._receiver
    with pytest.raises(MessageLockLostError):
        receiver.renew_message_lock(lapsed.held)
    lapsed.held._expiry = lapsed.again.locked_until_utc  # else the client refuses by itself and does not ask
    with pytest.raises(MessageLockLostError, match="message-lock-lost"):
        receiver.complete_message(lapsed.held)
