"""The AMQP side: links, credit, deliveries and their settlement.

proton runs one loop: it handles all events at hand, then comes to rest ("quiesced"), and only then reads
and writes sockets. So what a turn of the loop stores is committed at its rest, in one transaction, before
anything that acknowledges it can leave.
"""

import math
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from proton import Condition, Delivery, Endpoint, Link, Message, Terminus, symbol

from local.service_bus.errors import RefusedError, UnsupportedError
from local.service_bus.management import respond
from local.service_bus.messages import encode, parse
from local.service_bus.store import DEAD_LETTER_SUFFIX, QueueStore

MAX_MESSAGE_BYTES = 256 * 1024  # the Standard tier's
_SENDER_CREDIT = 1000
_DISPOSITIONS = {
    Delivery.ACCEPTED: "completed",
    Delivery.RELEASED: "released",
    Delivery.MODIFIED: "abandoned",
    Delivery.REJECTED: "suspended",
}
_OPEN = Endpoint.LOCAL_ACTIVE | Endpoint.REMOTE_ACTIVE


class Broker:
    """Handles the events of a proton container, beside proton's own EndpointStateHandler."""

    def __init__(self, store: QueueStore, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._receivers: list[Any] = []  # links to receivers; who has waited longest comes first
        self._alarm: Any = None
        self._alarm_at = math.inf

    def on_reactor_quiesced(self, event: Any) -> None:
        """Deliver and commit what this turn brought; wake up again when the store has something due."""
        self._store.advance()
        self._deliver()
        self._store.commit()
        due = self._store.next_due()
        if due is not None and due < self._alarm_at:
            if self._alarm:
                self._alarm.cancel()
            self._alarm_at = due
            self._alarm = event.container.schedule((due - self._clock()) / 1000, self)

    def on_timer_task(self, event: Any) -> None:
        """Take note that the loop is awake: the rest follows when it comes to rest."""
        self._alarm, self._alarm_at = None, math.inf

    def on_link_remote_open(self, event: Any) -> None:
        """Accept a link, or refuse it: by a link without ends that is closed with the reason."""
        link = event.link
        end = link.remote_source if link.is_sender else link.remote_target
        link.node = urlsplit(end.address or "").path.strip("/").lower()
        try:
            self._check(link)
        except RefusedError as refused:
            link.condition = Condition(refused.condition, str(refused))
            link.source.type = link.target.type = Terminus.UNSPECIFIED
            link.open()
            link.close()
            return
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.snd_settle_mode = link.remote_snd_settle_mode
        link.rcv_settle_mode = link.remote_rcv_settle_mode
        link.max_message_size = MAX_MESSAGE_BYTES
        link.open()
        if link.is_receiver:
            link.flow(_SENDER_CREDIT)
        elif not _takes_requests(link.node):
            self._receivers.append(link)

    def on_link_remote_close(self, event: Any) -> None:
        """Forget a receiver. Its locks run out by themselves, as in Azure."""
        self._receivers = [link for link in self._receivers if link != event.link]

    def on_transport_closed(self, event: Any) -> None:
        """Forget the receivers of a connection that ended."""
        self._receivers = [link for link in self._receivers if link.connection != event.connection]

    def on_delivery(self, event: Any) -> None:
        """Take in a message, a request, or the settlement of a message that was delivered."""
        delivery, link = event.delivery, event.link
        if link.is_sender:
            if delivery.updated:
                self._settle(delivery, link.node)
        elif delivery.readable and not delivery.partial and not link.state & Endpoint.LOCAL_CLOSED:
            encoded = link.recv(delivery.pending)
            link.advance()
            link.flow(1)
            try:
                self._take_in(link, encoded)
                delivery.update(Delivery.ACCEPTED)
            except RefusedError as refused:
                _reject(delivery, refused)
            delivery.settle()

    def _check(self, link: Any) -> None:
        entity = link.node.removesuffix("/$management")
        if link.remote_target.type == Terminus.COORDINATOR:
            raise UnsupportedError("transactions")
        if link.is_sender and link.remote_snd_settle_mode == Link.SND_SETTLED:
            raise UnsupportedError("the receive mode receive-and-delete")
        if link.is_sender and link.remote_source.filter.next():
            raise UnsupportedError("sessions and other filters of a receiver")
        if entity != "$cbs" and entity not in self._store:
            raise RefusedError("amqp:not-found", f"The messaging entity '{entity}' could not be found.")
        if link.is_receiver and link.node.endswith(DEAD_LETTER_SUFFIX):
            raise RefusedError("amqp:not-allowed", "Messages cannot be sent to a dead-letter queue.")

    def _take_in(self, link: Any, encoded: bytes) -> None:
        if _takes_requests(link.node):
            self._answer(link, encoded)
        elif len(encoded) > MAX_MESSAGE_BYTES:
            problem = f"The message has {len(encoded)} bytes; {MAX_MESSAGE_BYTES} are allowed."
            raise RefusedError("amqp:link:message-size-exceeded", problem)
        else:
            for message in parse(encoded):
                self._store.enqueue(link.node, message)

    def _answer(self, requests: Any, encoded: bytes) -> None:
        request = Message()
        request.decode(encoded)
        link = requests.connection.link_head(_OPEN)
        while link and not (
            link.is_sender and link.session == requests.session and link.node == requests.node
        ):
            link = link.next(_OPEN)
        response = respond(self._store, requests.node, request)
        if link:  # else the client has left
            link.send(response).settle()

    def _deliver(self) -> None:
        waiting = list(self._receivers)
        while waiting:
            waiting = [link for link in waiting if link.credit > 0 and self._deliver_next(link)]
        for link in self._receivers:
            link.drained()  # gives back the credit of a receiver that drains, does nothing for others

    def _deliver_next(self, link: Any) -> bool:
        row = self._store.lock_next(link.node)
        if row is None:
            return False
        link.delivery(row["lock_token"])
        link.stream(encode(row))
        link.advance()
        self._receivers.remove(link)
        self._receivers.append(link)
        return True

    def _settle(self, delivery: Any, entity: str) -> None:
        state, outcome = delivery.remote_state, delivery.remote
        info = (outcome.condition and outcome.condition.info) or {}
        reason, description = info.get("DeadLetterReason"), info.get("DeadLetterErrorDescription")
        try:
            if state == Delivery.MODIFIED and (outcome.undeliverable or outcome.annotations):
                raise UnsupportedError("deferring a message, or changing it when it is abandoned")
            self._store.settle(entity, delivery.tag, str(_DISPOSITIONS.get(state)), reason, description)
            delivery.update(state)
        except RefusedError as refused:
            _reject(delivery, refused)
        delivery.settle()


def _takes_requests(node: str) -> bool:
    return node.rpartition("/")[2] in ("$cbs", "$management")


def _reject(delivery: Any, refused: RefusedError) -> None:
    # azure-servicebus reads three fields of an error, and proton leaves the third out when it is empty.
    info = {symbol("status"): refused.status}
    delivery.local.condition = Condition(refused.condition, str(refused), info)
    delivery.update(Delivery.REJECTED)
