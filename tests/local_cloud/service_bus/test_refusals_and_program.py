"""What the Service Bus stand-in refuses by name, and the program itself: what a kill leaves."""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
)
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusError
from proton import Link, Terminus
from proton.reactor import LinkOption
from proton.utils import BlockingConnection, LinkDetached

from local.process import Program, ProgramError, free_port
from tests.conftest import wait_for
from tests.local_cloud.service_bus.conftest import (
    QUEUES,
    REFUSED,
    SHORT,
    WAIT,
    Queue,
    connection_string,
    receive_one,
    start,
    write_config,
)

WHILE = timedelta(minutes=1)
pytestmark = pytest.mark.usefixtures("only_stand_in")


def use_a_session(client: ServiceBusClient) -> None:
    receive_one(client.get_queue_receiver("plain", session_id="s"))


def use_a_topic(client: ServiceBusClient) -> None:
    receive_one(client.get_subscription_receiver("topic", "subscription"))


def receive_and_delete(client: ServiceBusClient) -> None:
    receive_one(client.get_queue_receiver("plain", receive_mode="receiveanddelete"))


def receive_deferred(client: ServiceBusClient) -> None:
    with client.get_queue_receiver("plain") as receiver:
        receiver.receive_deferred_messages([1])


@pytest.fixture(scope="module")
def refusals(client: ServiceBusClient) -> dict[Callable[[ServiceBusClient], None], BaseException | None]:
    """What came of each attempt, made side by side: to open a link takes the client a second."""
    attempts = (use_a_session, use_a_topic, receive_and_delete, receive_deferred)
    with ThreadPoolExecutor(len(attempts)) as pool:
        futures = {attempt: pool.submit(attempt, client) for attempt in attempts}
    return {attempt: future.exception() for attempt, future in futures.items()}


@pytest.mark.parametrize(
    ("attempt", "named"),
    [
        (use_a_session, "sessions"),
        (use_a_topic, "topics and their subscriptions"),
        (receive_and_delete, "the receive mode receive-and-delete"),
        (receive_deferred, "the management operation com.microsoft:receive-by-sequence-number"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    refusals: dict[Callable[[ServiceBusClient], None], BaseException | None],
    attempt: Callable[[ServiceBusClient], None],
    named: str,
) -> None:
    assert isinstance(refusals[attempt], ServiceBusError)
    assert REFUSED + named in str(refusals[attempt])


class Coordinator(LinkOption):
    """Makes a link one that controls transactions: azure-servicebus has none, other clients do."""

    def apply(self, link: Link) -> None:
        link.target.type = Terminus.COORDINATOR


def test_transactions_are_refused_by_name(service: str) -> None:
    connection = BlockingConnection(service.partition("sb://")[2].partition(";")[0], timeout=WAIT)
    with pytest.raises(LinkDetached, match=f"{REFUSED}transactions"):
        connection.create_sender(None, options=Coordinator())
    connection.close()


@pytest.mark.parametrize("without_link", [False, True])
def test_deferring_is_refused_and_leaves_the_message_locked(plain: Queue, without_link: bool) -> None:
    plain.send(ServiceBusMessage("not now"))
    message = plain.receive()
    with pytest.raises(ServiceBusError, match=f"{REFUSED}the disposition defered for a message of plain"):
        if without_link:
            plain.receiver._settle_message_via_mgmt_link("defered", [message.lock_token])
        else:
            plain.receiver.defer_message(message)
    plain.receiver._settle_message_via_mgmt_link("completed", [message.lock_token])


def test_a_dead_letter_cannot_be_dead_lettered(plain: Queue, plain_dead: Queue) -> None:
    plain.send(ServiceBusMessage("bad"))
    plain.receiver.dead_letter_message(plain.receive())
    message = plain_dead.receive()
    with pytest.raises(ServiceBusError, match=f"{REFUSED}the disposition suspended for a message of plain/"):
        plain_dead.receiver.dead_letter_message(message)
    plain_dead.receiver._settle_message_via_mgmt_link("completed", [message.lock_token])


class Killed:
    """A stand-in that a test kills and starts again, and a client of it."""

    def __init__(self, folder: Path, properties: dict[str, object]) -> None:
        self._port, self._data = free_port(), folder / "data"
        self._config = write_config(folder, properties)
        self.program: Program
        self.start()
        to_it = connection_string(self._port)
        self.client = ServiceBusClient.from_connection_string(to_it, retry_backoff_factor=0.1)
        self.sender = ServiceBusClient.from_connection_string(to_it, retry_total=0).get_queue_sender("q")
        self.receiver = self.client.get_queue_receiver("q")

    def start(self) -> None:
        self.program = start(self._port, self._config, self._data).wait_ready()

    def restart(self) -> None:
        self.program.kill()
        self.start()

    def send(self, *texts: str) -> None:
        for text in texts:
            self.sender.send_messages(ServiceBusMessage(text))

    def receive_anew(self) -> list[str]:
        """Receive all that is there through a new connection."""
        arrived: list[str] = []
        with self.client.get_queue_receiver("q") as receiver:
            while messages := receiver.receive_messages(500, max_wait_time=1):
                arrived += map(str, messages)
        return arrived


@pytest.fixture
def killed(tmp_path: Path, request: pytest.FixtureRequest):
    killed = Killed(tmp_path, getattr(request, "param", {}))
    yield killed
    killed.sender.close()
    killed.client.close()
    killed.program.stop()


@pytest.mark.parametrize("killed", [{"LockDuration": "PT5M"}], indirect=True)
def test_a_kill_in_mid_stream_loses_no_message_and_no_lock(killed: Killed) -> None:
    killed.send("settled", "held")
    killed.receiver.complete_message(receive_one(killed.receiver))
    assert str(receive_one(killed.receiver)) == "held"
    acknowledged: list[str] = []

    def kill_amid() -> None:
        wait_for(lambda: len(acknowledged) > 10, "some messages")
        killed.program.kill()

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill_amid)
        with contextlib.suppress(ServiceBusError):
            for number in range(100_000):
                killed.send(f"{number}")
                acknowledged.append(f"{number}")
        killing.result()
    killed.restart()
    arrived = killed.receive_anew()
    assert arrived[: len(acknowledged)] == acknowledged
    # Beyond those there may be one whose acknowledgement the kill cut off.
    assert len(arrived) <= len(acknowledged) + 1


def test_messages_that_were_received_before_a_restart_can_be_settled_after_it(killed: Killed) -> None:
    killed.send("completed", "abandoned", "dead-lettered")
    completed, abandoned, dead_lettered = (receive_one(killed.receiver) for _ in range(3))
    killed.restart()
    killed.receiver.complete_message(completed)
    killed.receiver.abandon_message(abandoned)
    killed.receiver.dead_letter_message(dead_lettered)
    with killed.client.get_queue_receiver("q", sub_queue="deadletter") as dead:
        assert str(receive_one(dead)) == "dead-lettered"
    again = receive_one(killed.receiver)
    assert (str(again), again.delivery_count) == ("abandoned", 1)
    assert killed.receiver.receive_messages(1, max_wait_time=SHORT) == []


@pytest.mark.parametrize("killed", [{"LockDuration": "PT1S"}], indirect=True)
def test_a_lock_ends_while_nobody_is_there(killed: Killed) -> None:
    killed.send("held")
    message = receive_one(killed.receiver)
    scheduled = ServiceBusMessage(
        "scheduled", scheduled_enqueue_time_utc=datetime.now(UTC) + timedelta(seconds=1)
    )
    killed.sender.send_messages(scheduled)
    killed.restart()
    with killed.client.get_queue_receiver("q") as receiver:
        found = {}
        for _ in range(2):
            arrived = receive_one(receiver)
            receiver.complete_message(arrived)
            found[str(arrived)] = arrived.delivery_count
        assert found == {"held": 1, "scheduled": 0}
        message._expiry = datetime.now(UTC) + WHILE  # else the client refuses by itself and does not ask
        with pytest.raises(MessageLockLostError):
            killed.receiver.complete_message(message)


def test_a_configuration_beyond_the_stand_in_is_refused_at_start(tmp_path: Path) -> None:
    program = start(free_port(), write_config(tmp_path, {"RequiresSession": True}), tmp_path / "data")
    with pytest.raises(ProgramError, match=r"exit status 1\..*\n.*RequiresSession = True is not supported"):
        program.wait_ready()
    assert len(program.tail) == 1


def test_a_taken_port_or_folder_is_said_in_one_sentence(tmp_path: Path) -> None:
    port = free_port()
    first = start(port, QUEUES, tmp_path / "data").wait_ready()
    refused = {
        f"port {port}, .*in use": start(port, QUEUES, tmp_path / "other"),
        "database is locked": start(free_port(), QUEUES, tmp_path / "data"),
    }
    for problem, program in refused.items():
        with pytest.raises(ProgramError, match=rf"exit status 1\..*\n.*{problem}"):
            program.wait_ready()
        assert len(program.tail) == 1
    first.stop()
