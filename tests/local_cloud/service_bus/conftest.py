"""A Service Bus through the real azure-servicebus client: the stand-in, or the one that is given.

CONFORMANCE_SERVICE_BUS is the connection string of Microsoft's emulator or of a namespace with the queues of
queues.json. Then what can only be tried on the stand-in is skipped. The emulator takes 10 connections at a
time, and each sender and receiver has one: so all tests share those that they need.
"""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusMessageState,
    ServiceBusReceivedMessage,
    ServiceBusReceiver,
    ServiceBusSender,
)

from local.process import Program, free_port

QUEUES = Path(__file__).parent / "queues.json"
EXTERNAL = os.environ.get("CONFORMANCE_SERVICE_BUS")
WAIT = 60.0
SHORT = 0.15 if EXTERNAL is None else 1.0  # how long an empty queue is listened to
REFUSED = "not supported by the local Service Bus stand-in: "


def write_config(folder: Path, properties: dict[str, object]) -> Path:
    queues = [{"Name": "q", "Properties": properties}]
    path = folder / "config.json"
    path.write_text(json.dumps({"UserConfig": {"Namespaces": [{"Name": "ns", "Queues": queues}]}}))
    return path


def start(port: int, config: Path, data: Path) -> Program:
    arguments = ("--port", str(port), "--config", str(config), "--data", str(data))
    return Program.module("service-bus", "local.service_bus", *arguments)


def connection_string(port: int) -> str:
    keys = "SharedAccessKeyName=any;SharedAccessKey=any="
    return f"Endpoint=sb://127.0.0.1:{port};{keys};UseDevelopmentEmulator=true;"


def receive_one(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    (message,) = receiver.receive_messages(1, max_wait_time=WAIT)
    return message


class Queue:
    """A queue or its dead-letter queue, through one sender and one receiver that are opened when needed."""

    def __init__(self, client: ServiceBusClient, name: str, **options: object) -> None:
        self._client, self._name, self._options = client, name, options
        self._sender: ServiceBusSender | None = None
        self._receiver: ServiceBusReceiver | None = None

    @property
    def sender(self) -> ServiceBusSender:
        if self._sender is None:
            self._sender = self._client.get_queue_sender(self._name).__enter__()
        return self._sender

    @property
    def receiver(self) -> ServiceBusReceiver:
        if self._receiver is None:
            self._receiver = self._client.get_queue_receiver(self._name, **self._options).__enter__()
        return self._receiver

    def close_receiver(self) -> None:
        """Let another receiver have the messages: one that waited in vain once still has credit for one."""
        self.receiver.close()
        self._receiver = None

    def close(self) -> None:
        for opened in (self._sender, self._receiver):
            if opened is not None:
                opened.close()

    def send(self, *messages: ServiceBusMessage) -> None:
        for message in messages:
            self.sender.send_messages(message)

    def receive(self) -> ServiceBusReceivedMessage:
        return receive_one(self.receiver)

    def take(self) -> ServiceBusReceivedMessage:
        message = self.receive()
        self.receiver.complete_message(message)
        return message

    def is_empty(self) -> bool:
        return self.receiver.receive_messages(1, max_wait_time=SHORT) == []

    def peek(self, most: int = 100) -> list[ServiceBusReceivedMessage]:
        return self.receiver.peek_messages(most, sequence_number=1)

    def drain(self) -> None:
        """Remove what a test has left behind; wait for what is still locked."""
        while left := self.peek():
            scheduled = [m.sequence_number for m in left if m.state == ServiceBusMessageState.SCHEDULED]
            if scheduled:
                self.sender.cancel_scheduled_messages(scheduled)
            for message in self.receiver.receive_messages(100, max_wait_time=1):
                self.receiver.complete_message(message)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of the Service Bus under test."""
    if EXTERNAL is not None:
        yield EXTERNAL
        return
    port = free_port()
    program = start(port, QUEUES, tmp_path_factory.mktemp("service_bus")).wait_ready()
    yield connection_string(port)
    program.stop()


@pytest.fixture(scope="session")
def client(service: str) -> Iterator[ServiceBusClient]:
    retries = {} if EXTERNAL else {"retry_total": 0}
    with ServiceBusClient.from_connection_string(service, **retries) as client:
        yield client


@pytest.fixture(scope="session")
def named(client: ServiceBusClient) -> Iterator[Callable[[str], Queue]]:
    queues: dict[str, Queue] = {}

    def find(name: str) -> Queue:
        if name not in queues:
            queue, _slash, sub_queue = name.partition("/")
            queues[name] = Queue(client, queue, **({"sub_queue": sub_queue} if sub_queue else {}))
        queues[name].drain()
        return queues[name]

    yield find
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(Queue.close, queues.values()))


@pytest.fixture
def plain(named: Callable[[str], Queue]) -> Queue:
    """Opened both ways already, which takes a second: for tests that count on times."""
    queue = named("plain")
    assert queue.sender and queue.receiver
    return queue


@pytest.fixture
def plain_dead(named: Callable[[str], Queue]) -> Queue:
    return named("plain/deadletter")


@pytest.fixture
def strict(named: Callable[[str], Queue]) -> Queue:
    return named("strict")


@pytest.fixture
def strict_dead(named: Callable[[str], Queue]) -> Queue:
    return named("strict/deadletter")


@pytest.fixture
def unique(named: Callable[[str], Queue]) -> Queue:
    return named("unique")


@pytest.fixture
def only_stand_in() -> None:
    """Skip what can only be tried on the stand-in."""
    if EXTERNAL is not None:
        pytest.skip("not for an external Service Bus")
