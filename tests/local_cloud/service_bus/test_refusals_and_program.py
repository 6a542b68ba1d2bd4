"""What the Service Bus stand-in refuses, and the program itself."""

import contextlib
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.servicebus import (
    ServiceBusMessage,
)
from azure.servicebus.amqp import AmqpAnnotatedMessage
from azure.servicebus.exceptions import (
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from local.process import ProgramError, free_port
from tests.local_cloud.service_bus.conftest import QUEUES, REFUSED, Bus, receive_one, start, write_config


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
