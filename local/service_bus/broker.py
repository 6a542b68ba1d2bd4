"""The AMQP side: links, credit, deliveries and their settlement.

proton is the protocol engine between bytes and events, asyncio brings the bytes. What one round of reads
brings is handled in one turn: stored, delivered to whom it is due, committed in one transaction, and only
then is anything sent that acknowledges it.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import proton
from proton import Delivery, Event, symbol

from local.service_bus.errors import RefusedError, UnsupportedError
from local.service_bus.management import MANAGEMENT_SUFFIX, TOKEN_NODE, respond
from local.service_bus.messages import MAX_MESSAGE_BYTES, encode, parse
from local.service_bus.store import DEAD_LETTER_SUFFIX, QueueStore

_SENDER_CREDIT = 1000
_DISPOSITIONS = {
    Delivery.ACCEPTED: "completed",
    Delivery.RELEASED: "released",
    Delivery.MODIFIED: "abandoned",
    Delivery.REJECTED: "suspended",
}
_LONGEST_SLEEP = 10_000  # ms; for clients that want heartbeats, and after a laptop's sleep


class Broker:
    """Joins the connections of all clients: what one sends is due to another, now or at its time."""

    def __init__(self, store: QueueStore) -> None:
        self.store = store
        self.connections: list[ClientConnection] = []
        self.receivers: list[Any] = []  # links to those who receive messages
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        self._comes = False

    def wake(self) -> None:
        """Have a turn after all that can be read now: one for all connections, with one commit."""
        if not self._comes:
            self._comes = True
            asyncio.get_running_loop().call_soon(self.turn)

    def turn(self) -> None:
        """Do what is due, deliver, commit and send; wake up again when something is due."""
        self._comes = False
        now = self.store.clock()
        if self.store.due_at <= now:
            self.store.advance()
        for link in self.receivers:
            while link.credit > 0 and (row := self.store.lock_next(link.node)):
                link.delivery(row["lock_token"])
                link.stream(encode(row))
                link.advance()
            link.drained()  # gives back the credit of a receiver that drains, does nothing for others
        self.receivers.sort(key=lambda link: link.credit == 0)  # who still waits comes before who was served
        self.store.commit()
        for connection in self.connections:
            connection.flush()
        alarm_at = min(self.store.due_at, now + _LONGEST_SLEEP)
        if alarm_at < self._alarm_at:
            if self._alarm:
                self._alarm.cancel()
            self._alarm = asyncio.get_running_loop().call_later((alarm_at - now) / 1000, self._wake)
            self._alarm_at = alarm_at

    def _wake(self) -> None:
        self._alarm_at = math.inf
        self.turn()


class ClientConnection(asyncio.Protocol):
    """One client's connection: handles what proton makes of its bytes."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._store = broker.store
        self._socket: asyncio.Transport
        self._engine = proton.Transport(proton.Transport.SERVER)
        self._connection = proton.Connection()
        self._connection.container = "local-service-bus"
        self._events = proton.Collector()
        self._connection.collect(self._events)
        self._engine.bind(self._connection)
        self._responses: list[Any] = []  # links on which the client reads responses to its requests
        self._handlers: dict[Any, Callable[[Any], None]] = {
            Event.CONNECTION_REMOTE_OPEN: lambda event: event.context.open(),
            Event.SESSION_REMOTE_OPEN: lambda event: event.context.open(),
            Event.LINK_REMOTE_OPEN: lambda event: self._open_link(event.context),
            Event.LINK_REMOTE_CLOSE: lambda event: self._close(event.context),
            Event.LINK_REMOTE_DETACH: lambda event: self._close(event.context),
            Event.SESSION_REMOTE_CLOSE: lambda event: self._close(event.context),
            Event.CONNECTION_REMOTE_CLOSE: lambda event: self._close(event.context),
            Event.DELIVERY: lambda event: self._handle(event.context),
        }

    def connection_made(self, transport: Any) -> None:
        """Take part in the broker's turns."""
        self._socket = transport
        self._broker.connections.append(self)

    def data_received(self, data: bytes) -> None:
        """Handle what came in one turn of the broker."""
        rest = memoryview(data)
        while rest and (capacity := self._engine.capacity()) > 0:
            self._engine.push(bytes(rest[:capacity]))
            rest = rest[capacity:]
            while event := self._events.peek():
                if handler := self._handlers.get(event.type):
                    handler(event)
                self._events.pop()
        self._broker.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client. The locks that it holds run out by themselves, as in Azure."""
        self._broker.connections.remove(self)
        self._close(self._connection)
        self._engine.unbind()

    def flush(self) -> None:
        """Send what is to be sent."""
        self._engine.tick(asyncio.get_running_loop().time())
        while (size := self._engine.pending()) > 0:
            self._socket.write(self._engine.peek(size))
            self._engine.pop(size)
        if size < 0:
            self._socket.close()

    def _open_link(self, link: Any) -> None:
        """Accept a link, or refuse it: by a link without ends that is closed with the reason."""
        end = link.remote_source if link.is_sender else link.remote_target
        link.node = urlsplit(end.address or "").path.strip("/").lower()
        try:
            self._check(link)
        except RefusedError as refused:
            link.condition = proton.Condition(refused.condition, str(refused))
            link.source.type = link.target.type = proton.Terminus.UNSPECIFIED
            link.open()
            link.close()
            return
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.rcv_settle_mode = link.remote_rcv_settle_mode
        link.max_message_size = MAX_MESSAGE_BYTES
        link.open()
        if link.is_receiver:
            link.flow(_SENDER_CREDIT)
        elif _takes_requests(link.node):
            self._responses.append(link)
        else:
            self._broker.receivers.append(link)

    def _check(self, link: Any) -> None:
        entity = link.node.removesuffix(MANAGEMENT_SUFFIX)
        if link.remote_target.type == proton.Terminus.COORDINATOR:
            raise UnsupportedError("transactions")
        if "/subscriptions/" in link.node:
            raise UnsupportedError("topics and their subscriptions")
        if link.is_sender and link.remote_snd_settle_mode == proton.Link.SND_SETTLED:
            raise UnsupportedError("the receive mode receive-and-delete")
        if link.is_sender and link.remote_source.filter.next():
            raise UnsupportedError("sessions and other filters of a receiver")
        if entity != TOKEN_NODE and entity not in self._store:
            raise RefusedError("amqp:not-found", f"The messaging entity '{entity}' could not be found.")
        if link.is_receiver and link.node.endswith(DEAD_LETTER_SUFFIX):
            raise RefusedError("amqp:not-allowed", "Messages cannot be sent to a dead-letter queue.")

    def _close(self, endpoint: Any) -> None:
        endpoint.close()
        for links in (self._responses, self._broker.receivers):
            links[:] = [link for link in links if endpoint not in (link, link.session, link.connection)]

    def _handle(self, delivery: Any) -> None:
        """Take in a message, a request, or the settlement of a message that was delivered."""
        link = delivery.link
        if delivery.partial or not (delivery.updated if link.is_sender else delivery.readable):
            return
        try:
            if link.is_sender:
                self._settle(delivery, link.node)
                delivery.update(delivery.remote_state)
            else:
                self._take_in(link, delivery.pending)
                delivery.update(Delivery.ACCEPTED)
        except RefusedError as refused:
            # azure-servicebus reads three fields of an error; proton leaves the third out when it is empty.
            info = {symbol("status"): refused.status}
            delivery.local.condition = proton.Condition(refused.condition, str(refused), info)
            delivery.update(Delivery.REJECTED)
        delivery.settle()

    def _take_in(self, link: Any, size: int) -> None:
        encoded = link.recv(size) or b""
        link.advance()
        link.flow(1)
        if not _takes_requests(link.node):
            for message in parse(encoded):
                self._store.enqueue(link.node, message)
            return
        response = respond(self._store, link.node, encoded)
        for reply in self._responses:
            if reply.session == link.session and reply.node == link.node:
                reply.send(response).settle()

    def _settle(self, delivery: Any, entity: str) -> None:
        outcome = delivery.remote
        disposition = "defered" if outcome.undeliverable else _DISPOSITIONS.get(delivery.remote_state, "")
        changes = outcome.annotations or (outcome.condition and outcome.condition.info) or {}
        named = {str(name): value for name, value in changes.items() if value is not None}
        self._store.settle(entity, delivery.tag, disposition, named)


def _takes_requests(node: str) -> bool:
    return node == TOKEN_NODE or node.endswith(MANAGEMENT_SUFFIX)
