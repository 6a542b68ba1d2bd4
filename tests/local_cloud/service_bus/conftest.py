"""The Service Bus stand-in, by the real azure-servicebus client over a socket."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiver,
    ServiceBusSender,
    ServiceBusSubQueue,
)

from local.process import Program, free_port

QUEUES: dict[str, dict[str, object]] = {
    "plain": {},
    "twice": {"MaxDeliveryCount": 2},
    "brief": {"LockDuration": "PT1S"},
    # The SDK renews every half second: a shorter lock would test the machine's load.
    "renewed": {"LockDuration": "PT4S"},
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
