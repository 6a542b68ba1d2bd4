"""Clients that go on whatever is killed beneath them, and remember what was acknowledged to them."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
from azure.core.exceptions import AzureError
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import ServiceBusError
from azure.storage.blob import BlobServiceClient

from local.cosmos.auth import EMULATOR_KEY
from tests.conftest import wait_for
from tests.faults.stand_ins import QUEUES, StandIns

PAUSE_SECONDS = 0.02


class Load:
    """One client at work, from `go` until `stopped`; a number that it took is unknown until acknowledged."""

    def __init__(self, stand_ins: StandIns) -> None:
        self.stand_ins = stand_ins
        self.attempted: list[int] = []
        self.acknowledged: list[int] = []

    def go(self, stopped: threading.Event) -> None:
        for number in itertools.count():
            if stopped.wait(PAUSE_SECONDS):
                return
            self.attempted.append(number)
            try:
                self.write(number)
            except (AzureError, httpx.TransportError):
                continue
            self.acknowledged.append(number)

    def write(self, number: int) -> None:
        raise NotImplementedError

    def faults(self) -> dict[str, int]:
        """Count what was lost and what came more often than promised, once the load has stopped."""
        raise NotImplementedError


class Items(Load):
    """Creates items of a partition, and overwrites one that counts them."""

    def __init__(self, stand_ins: StandIns) -> None:
        super().__init__(stand_ins)
        client = CosmosClient(
            stand_ins.cosmos_endpoint, EMULATOR_KEY, retry_total=0, connection_timeout=2, read_timeout=5
        )
        database = client.create_database("kills")
        self._container: ContainerProxy = database.create_container("items", PartitionKey("/pk"))

    def write(self, number: int) -> None:
        self._container.create_item({"id": str(number), "pk": "p", "number": number})
        self._container.upsert_item({"id": "counter", "pk": "p", "number": number})

    def faults(self) -> dict[str, int]:
        rows = list(self._container.query_items("SELECT * FROM c", partition_key="p"))
        found = {row["id"]: row["number"] for row in rows}
        counter = found.pop("counter")
        return {
            "items lost": len({str(number) for number in self.acknowledged} - found.keys()),
            "items changed": sum(str(number) != name for name, number in found.items()),
            "items of nobody": len(found.keys() - {str(number) for number in self.attempted}),
            "items twice": len(rows) - 1 - len(found),
            "writes undone": int(not self.acknowledged[-1] <= counter <= self.attempted[-1]),
        }


class Messages(Load):
    """Sends to both queues and receives from one; a send without an answer is repeated with the same id."""

    def __init__(self, stand_ins: StandIns) -> None:
        super().__init__(stand_ins)
        self._completed: set[str] = set()
        self._sequence_numbers: dict[str, set[int]] = {}
        self._after_completion: Counter[str] = Counter()

    def go(self, stopped: threading.Event) -> None:
        everything = threading.Event()
        with ThreadPoolExecutor(1) as receiving:
            receiver = receiving.submit(self._connected, everything, self._receive)
            self._connected(stopped, self._send)
            wait_for(
                lambda: receiver.done() or {str(n) for n in self.acknowledged} <= self._completed,
                "every acknowledged message",
            )
            everything.set()
            receiver.result()

    def _connected(
        self, stopped: threading.Event, work: Callable[[ServiceBusClient, threading.Event], None]
    ) -> None:
        """Work with one client until it fails, then with the next."""
        while not stopped.is_set():
            try:
                with ServiceBusClient.from_connection_string(
                    self.stand_ins.service_bus, retry_total=0
                ) as client:
                    work(client, stopped)
            except ServiceBusError:
                stopped.wait(PAUSE_SECONDS)

    def _send(self, client: ServiceBusClient, stopped: threading.Event) -> None:
        senders: list[ServiceBusSender] = [client.get_queue_sender(queue) for queue in QUEUES]
        while not stopped.wait(PAUSE_SECONDS):
            number = len(self.acknowledged)
            self.attempted.append(number)
            for sender in senders:
                sender.send_messages(ServiceBusMessage(str(number), message_id=str(number)))
            self.acknowledged.append(number)

    def _receive(self, client: ServiceBusClient, stopped: threading.Event) -> None:
        receiver: ServiceBusReceiver
        with client.get_queue_receiver(QUEUES[0]) as receiver:  # opens with more time than a receive has
            while not stopped.is_set():
                for message in receiver.receive_messages(10, max_wait_time=0.5):
                    name = str(message.message_id)
                    self._sequence_numbers.setdefault(name, set()).add(message.sequence_number or 0)
                    self._after_completion[name] += name in self._completed
                    receiver.complete_message(message)
                    self._completed.add(name)

    def faults(self) -> dict[str, int]:
        triggered = {name for kind, name, _ in self.stand_ins.runs() if kind == "message"}
        wanted = {str(number) for number in self.acknowledged}
        return {
            "messages lost": len(wanted - self._completed),
            "messages never triggered": len(wanted - triggered),
            "messages stored twice": sum(len(numbers) > 1 for numbers in self._sequence_numbers.values()),
            "messages after completion": self._after_completion.total(),
        }


class Orchestrations(Load):
    """Starts orchestrations by HTTP."""

    def __init__(self, stand_ins: StandIns) -> None:
        super().__init__(stand_ins)
        self._http = httpx.Client(base_url=stand_ins.api, timeout=60)

    def write(self, number: int) -> None:
        answer = self._http.post(f"/start/{number}")
        assert answer.status_code == 202, answer.text

    def faults(self) -> dict[str, int]:
        statuses = {
            number: self._http.get(f"/status/{number}").raise_for_status().json()
            for number in self.acknowledged
        }
        steps = [(name, pid) for kind, name, pid in self.stand_ins.runs() if kind == "step"]
        return {
            "orchestrations lost": sum(not _is_done(number, status) for number, status in statuses.items()),
            "steps twice in one life": len(steps) - len(set(steps)),
        }

    def is_quiet(self) -> bool:
        """Whether the last one that was started has ended."""
        number = self.acknowledged[-1]
        return _is_done(number, self._http.get(f"/status/{number}").raise_for_status().json())


def _is_done(number: int, status: dict[str, object]) -> bool:
    return status["runtimeStatus"] == "Completed" and status["output"] == [f"{number}.1", f"{number}.2"]


class Blobs(Load):
    """Uploads blobs to the container that the app watches."""

    def __init__(self, stand_ins: StandIns) -> None:
        super().__init__(stand_ins)
        service = BlobServiceClient.from_connection_string(stand_ins.storage)
        self._container = service.create_container("uploads")

    def write(self, number: int) -> None:
        self._container.upload_blob(str(number), b"")

    def seen(self) -> list[tuple[str, int]]:
        return [(name, pid) for kind, name, pid in self.stand_ins.runs() if kind == "blob"]

    def faults(self) -> dict[str, int]:
        seen = self.seen()
        names = {name for name, _ in seen}
        return {
            "blobs lost": len({str(number) for number in self.acknowledged} - names),
            "blobs twice in one life": len(seen) - len(set(seen)),
        }
