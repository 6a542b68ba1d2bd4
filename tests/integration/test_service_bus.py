"""The Service Bus stand-in, by the real azure-servicebus client over a socket."""

import contextlib
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.servicebus import (
    AutoLockRenewer,
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiver,
    ServiceBusSender,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient as AsyncServiceBusClient
from azure.servicebus.amqp import AmqpAnnotatedMessage
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from local.process import Program, ProgramError, free_port

QUEUES: dict[str, dict[str, object]] = {
    "plain": {},
    "twice": {"MaxDeliveryCount": 2},
    "brief": {"LockDuration": "PT1S"},
    "unique": {"RequiresDuplicateDetection": True},
    "expiring": {"DefaultMessageTimeToLive": "PT0.2S", "DeadLetteringOnMessageExpiration": True},
    "forgetful": {"DefaultMessageTimeToLive": "PT0.2S"},
    "deferring": {},
}
# Without a receiver that is open all the time, which would be given their messages or is of no use.
APART: dict[str, dict[str, object]] = {"dying": {"LockDuration": "PT1S"}, "asynchronous": {}, "refused": {}}
WAIT = 10.0
REFUSED = "not supported by the local Service Bus stand-in: "


def write_config(folder: Path, queues: dict[str, dict[str, object]]) -> Path:
    listed = [{"Name": name, "Properties": properties} for name, properties in queues.items()]
    content = {"UserConfig": {"Namespaces": [{"Name": "ns", "Queues": listed}]}}
    path = folder / "config.json"
    path.write_text(json.dumps(content))
    return path


def start(port: int, config: Path, data: Path) -> Program:
    arguments = ("--port", str(port), "--config", str(config), "--data", str(data))
    return Program.module("service-bus", "local.service_bus", *arguments)


def connection_string(port: int) -> str:
    keys = "SharedAccessKeyName=any;SharedAccessKey=any="
    return f"Endpoint=sb://127.0.0.1:{port};{keys};UseDevelopmentEmulator=true;"


class Bus:
    """A client with a sender and a receiver for each queue, all open: to open one takes it a second."""

    def __init__(
        self,
        port: int,
        *queues: str,
        only_send: tuple[str, ...] = (),
        dead_letters: tuple[str, ...] = (),
        **options: object,
    ) -> None:
        self.client = ServiceBusClient.from_connection_string(connection_string(port), **options)
        dead = ServiceBusSubQueue.DEAD_LETTER
        self._handlers = {
            **{("send", queue): self.client.get_queue_sender(queue) for queue in queues + only_send},
            **{("receive", queue): self.client.get_queue_receiver(queue) for queue in queues},
            **{("dead", name): self.client.get_queue_receiver(name, sub_queue=dead) for name in dead_letters},
        }
        self._for_all(lambda handler: handler.__enter__())

    def sender(self, queue: str) -> ServiceBusSender:
        return self._handlers["send", queue]

    def receiver(self, queue: str, *, dead_letters: bool = False) -> ServiceBusReceiver:
        return self._handlers["dead" if dead_letters else "receive", queue]

    def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        for message in messages:
            self.sender(queue).send_messages(message)

    def take(self, queue: str, *, dead_letters: bool = False) -> ServiceBusReceivedMessage:
        receiver = self.receiver(queue, dead_letters=dead_letters)
        message = receive_one(receiver)
        receiver.complete_message(message)
        return message

    def is_empty(self, queue: str, *, dead_letters: bool = False) -> bool:
        receiver = self.receiver(queue, dead_letters=dead_letters)
        return receiver.receive_messages(1, max_wait_time=0.2) == []

    def close(self) -> None:
        self._for_all(lambda handler: handler.close())
        self.client.close()

    def _for_all(self, act: Callable[[ServiceBusSender | ServiceBusReceiver], object]) -> None:
        with ThreadPoolExecutor(len(self._handlers)) as pool:
            list(pool.map(act, self._handlers.values()))


def receive_one(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    (message,) = receiver.receive_messages(1, max_wait_time=WAIT)
    return message


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("service_bus")
    number = free_port()
    program = start(number, write_config(folder, QUEUES | APART), folder / "data").wait_ready()
    yield number
    program.stop()


@pytest.fixture(scope="module")
def bus(port: int) -> Iterator[Bus]:
    bus = Bus(port, *QUEUES, only_send=("dying",), dead_letters=("plain", "twice", "expiring", "forgetful"))
    yield bus
    bus.close()


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
    bus.send("brief", ServiceBusMessage("long work"))
    with AutoLockRenewer() as renewer:
        message = receive_one(bus.receiver("brief"))
        renewer.register(bus.receiver("brief"), message)
        longer_than_the_lock = 1.5
        assert bus.receiver("brief").receive_messages(1, max_wait_time=longer_than_the_lock) == []
        assert message.auto_renew_error is None
        bus.receiver("brief").complete_message(message)


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


def send_to_unknown(bus: Bus) -> None:
    with bus.client.get_queue_sender("no-queue") as sender:
        sender.send_messages(ServiceBusMessage("lost"))


def receive_from_unknown(bus: Bus) -> None:
    with bus.client.get_queue_receiver("no-queue") as receiver:
        receive_one(receiver)


def use_a_session(bus: Bus) -> None:
    receive_one(bus.client.get_queue_receiver("refused", session_id="s"))


def receive_and_delete(bus: Bus) -> None:
    receive_one(bus.client.get_queue_receiver("refused", receive_mode="receiveanddelete"))


def peek(bus: Bus) -> None:
    with bus.client.get_queue_receiver("refused") as receiver:
        receiver.peek_messages()


def receive_deferred(bus: Bus) -> None:
    with bus.client.get_queue_receiver("refused") as receiver:
        receiver.receive_deferred_messages([1])


def schedule(bus: Bus) -> None:
    with bus.client.get_queue_sender("refused") as sender:
        sender.schedule_messages(ServiceBusMessage("later"), datetime.now(UTC))


def cancel_scheduled(bus: Bus) -> None:
    with bus.client.get_queue_sender("refused") as sender:
        sender.cancel_scheduled_messages(1)


def send(bus: Bus, what: object) -> None:
    with bus.client.get_queue_sender("refused") as sender:
        sender.send_messages(what)


def send_a_list(bus: Bus) -> None:
    send(bus, [ServiceBusMessage("a"), ServiceBusMessage("b")])


def send_a_batch_of_one(bus: Bus) -> None:
    send(bus, [ServiceBusMessage("a")])


def send_two_bodies(bus: Bus) -> None:
    send(bus, AmqpAnnotatedMessage(data_body=[b"a", b"b"]))


def send_no_body(bus: Bus) -> None:
    send(bus, AmqpAnnotatedMessage(data_body=[]))


def send_a_value(bus: Bus) -> None:
    send(bus, AmqpAnnotatedMessage(value_body="a"))


def send_a_footer(bus: Bus) -> None:
    send(bus, AmqpAnnotatedMessage(data_body=[b"a"], footer={"a": 1}))


def settle_without_a_link(bus: Bus) -> None:
    with bus.client.get_queue_receiver("refused") as receiver:
        # What the client does by itself when the link that brought the message is gone.
        receiver._settle_message_via_mgmt_link("completed", [uuid.uuid4()])


def defer(bus: Bus) -> None:
    bus.send("deferring", ServiceBusMessage("not now"))
    bus.receiver("deferring").defer_message(receive_one(bus.receiver("deferring")))


def send_with_a_time_to_live(bus: Bus) -> None:
    send(bus, ServiceBusMessage("a", time_to_live=timedelta(hours=1)))


BODIES = (send_a_list, send_a_batch_of_one, send_two_bodies, send_no_body, send_a_value, send_a_footer)


@pytest.fixture(scope="module")
def refusals(bus: Bus) -> dict[Callable[[Bus], None], BaseException | None]:
    """What came of each attempt, made side by side: to open a link takes the client a second."""
    attempts = [send_to_unknown, receive_from_unknown, use_a_session, receive_and_delete]
    attempts += [peek, receive_deferred, schedule, cancel_scheduled, defer]
    attempts += [settle_without_a_link, send_with_a_time_to_live, *BODIES]
    with ThreadPoolExecutor(len(attempts)) as pool:
        futures = {attempt: pool.submit(attempt, bus) for attempt in attempts}
    return {attempt: future.exception() for attempt, future in futures.items()}


@pytest.mark.parametrize("attempt", [send_to_unknown, receive_from_unknown])
def test_an_unknown_queue_is_not_found(
    refusals: dict[Callable[[Bus], None], BaseException | None], attempt: Callable[[Bus], None]
) -> None:
    assert isinstance(refusals[attempt], MessagingEntityNotFoundError)
    assert "no-queue" in str(refusals[attempt])


@pytest.mark.parametrize(
    ("attempt", "named"),
    [
        (use_a_session, "sessions"),
        (receive_and_delete, "the receive mode receive-and-delete"),
        (peek, "the management operation com.microsoft:peek-message"),
        (receive_deferred, "the management operation com.microsoft:receive-by-sequence-number"),
        (schedule, "the management operation com.microsoft:schedule-message"),
        (cancel_scheduled, "the management operation com.microsoft:cancel-scheduled-message"),
        (settle_without_a_link, "the management operation com.microsoft:update-disposition"),
        (defer, "deferring"),
        (send_with_a_time_to_live, "a time to live of a single message"),
        *(
            (send_body, "batches, footers, and bodies other than a single one of bytes")
            for send_body in BODIES
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    refusals: dict[Callable[[Bus], None], BaseException | None], attempt: Callable[[Bus], None], named: str
) -> None:
    assert isinstance(refusals[attempt], ServiceBusError)
    assert REFUSED + named in str(refusals[attempt])


def test_a_kill_in_mid_stream_loses_no_message_and_no_lock(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"durable": {}})
    port = free_port()
    program = start(port, config, tmp_path / "data").wait_ready()
    acknowledged: list[str] = []
    try:
        bus = Bus(port, "durable", retry_total=0)
        bus.send("durable", ServiceBusMessage("settled"), ServiceBusMessage("held"))
        bus.take("durable")
        receive_one(bus.receiver("durable"))
        threading.Timer(0.3, program.kill).start()
        with contextlib.suppress(ServiceBusError):
            for number in range(100_000):
                bus.send("durable", ServiceBusMessage(f"{number}"))
                acknowledged.append(f"{number}")
        program.stop()
        program = start(port, config, tmp_path / "data").wait_ready()
        after = Bus(port, "durable")
        arrived: list[str] = []
        while messages := after.receiver("durable").receive_messages(500, max_wait_time=0.5):
            arrived += [str(message) for message in messages]
        after.close()
    finally:
        program.stop()
    assert len(acknowledged) > 10
    assert arrived[: len(acknowledged)] == acknowledged
    # Beyond those there may be one whose acknowledgement the kill cut off.
    assert len(arrived) <= len(acknowledged) + 1


def test_a_configuration_beyond_the_stand_in_is_refused_at_start(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"q": {"RequiresSession": True}})
    program = start(free_port(), config, tmp_path / "data")
    with pytest.raises(ProgramError, match=r"exit status 1\..*\n.*RequiresSession = True is not supported"):
        program.wait_ready()
    assert len(program.tail) == 1


def test_a_taken_port_or_folder_is_said_in_one_sentence(port: int, tmp_path: Path) -> None:
    config = write_config(tmp_path, QUEUES)
    first = start(free_port(), config, tmp_path / "data").wait_ready()
    refused = {
        f"port {port}, .*in use": start(port, config, tmp_path / "other"),
        "database is locked": start(free_port(), config, tmp_path / "data"),
    }
    for problem, program in refused.items():
        with pytest.raises(ProgramError, match=rf"exit status 1\..*\n.*{problem}"):
            program.wait_ready()
        assert len(program.tail) == 1
    first.stop()
