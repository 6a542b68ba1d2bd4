"""The AMQP side: links, credit, deliveries and their settlement.

proton runs one loop: it handles all events at hand, then comes to rest ("quiesced"), and only then reads
and writes sockets. So what a turn of the loop stores is committed at its rest, in one transaction, before
anything that acknowledges it can leave.
"""

from typing import Any
from urllib.parse import urlsplit

import proton
from proton import Delivery, Message, symbol

from local.service_bus.errors import RefusedError, UnsupportedError
from local.service_bus.messages import encode, parse
from local.service_bus.store import DEAD_LETTER_SUFFIX, QueueStore

_TICK_SECONDS = 0.1  # how late what is due by itself may come, such as a scheduled message
_SENDER_CREDIT = 1000


class Broker:
    """Handles the events of a proton container, beside proton's own EndpointStateHandler."""

    def __init__(self, store: QueueStore) -> None:
        self._store = store
        self._outgoing: list[Any] = []  # links to receivers of messages or responses

    def on_reactor_init(self, event: Any) -> None:
        """Start to tick."""
        event.container.schedule(_TICK_SECONDS, self)

    on_timer_task = on_reactor_init

    def on_reactor_quiesced(self, event: Any) -> None:
        """Do what is due, deliver, and commit what this turn brought."""
        self._store.advance()
        for link in [link for link in self._outgoing if link.node in self._store]:
            while link.credit > 0 and (row := self._store.lock_next(link.node)):
                link.delivery(row["lock_token"])
                link.stream(encode(row))
                link.advance()
            link.drained()  # gives back the credit of a receiver that drains, does nothing for others
        self._store.commit()

    def on_link_remote_open(self, event: Any) -> None:
        """Accept a link, or refuse it: by a link without ends that is closed with the reason."""
        link = event.link
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
        link.open()
        if link.is_sender:
            self._outgoing.append(link)
        else:
            link.flow(_SENDER_CREDIT)

    def on_link_remote_close(self, event: Any) -> None:
        """Forget a link. The locks of its receiver run out by themselves, as in Azure."""
        self._outgoing = [link for link in self._outgoing if link != event.link]

    def on_transport_closed(self, event: Any) -> None:
        """Forget the links of a connection that ended."""
        self._outgoing = [link for link in self._outgoing if link.connection != event.connection]

    def on_delivery(self, event: Any) -> None:
        """Take in a message, a request, or the settlement of a message that was delivered."""
        delivery, link = event.delivery, event.link
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

    def _check(self, link: Any) -> None:
        entity = link.node.removesuffix("/$management")
        if link.is_sender and link.remote_snd_settle_mode == proton.Link.SND_SETTLED:
            raise UnsupportedError("the receive mode receive-and-delete")
        if link.is_sender and link.remote_source.filter.next():
            raise UnsupportedError("sessions and other filters of a receiver")
        if entity != "$cbs" and entity not in self._store:
            raise RefusedError("amqp:not-found", f"The messaging entity '{entity}' could not be found.")
        if link.is_receiver and link.node.endswith(DEAD_LETTER_SUFFIX):
            raise RefusedError("amqp:not-allowed", "Messages cannot be sent to a dead-letter queue.")

    def _take_in(self, link: Any, size: int) -> None:
        encoded = link.recv(size) or b""
        link.advance()
        link.flow(1)
        if link.node in self._store:
            self._store.enqueue(link.node, parse(encoded))
            return
        request = Message()
        request.decode(encoded)
        response = self._respond(link.node, request)
        for reply in self._outgoing:
            if reply.session == link.session and reply.node == link.node:
                reply.send(response).settle()

    def _respond(self, node: str, request: Message) -> Message:
        if node == "$cbs":  # every token will do
            accepted = {"status-code": proton.int32(202), "status-description": "Accepted"}
            return Message(correlation_id=request.id, properties=accepted)
        body, status = None, {"statusCode": proton.int32(200), "statusDescription": "OK"}
        try:
            operation = (request.properties or {}).get("operation")
            if operation != "com.microsoft:renew-lock":
                raise UnsupportedError(f"the management operation {operation}")
            entity = node.removesuffix("/$management")
            lock_tokens = [token.bytes_le.decode("latin-1") for token in request.body["lock-tokens"]]
            ends = [proton.timestamp(self._store.renew(entity, lock_token)) for lock_token in lock_tokens]
            body = {"expirations": proton.Array(proton.UNDESCRIBED, proton.Data.TIMESTAMP, *ends)}
        except RefusedError as refused:
            status = {"statusCode": proton.int32(refused.status), "statusDescription": str(refused)}
            status["errorCondition"] = symbol(refused.condition)
        return Message(correlation_id=request.id, properties=status, body=body)

    def _settle(self, delivery: Any, entity: str) -> None:
        state, outcome = delivery.remote_state, delivery.remote
        match state:
            case Delivery.ACCEPTED:
                self._store.complete(entity, delivery.tag)
            case Delivery.RELEASED:
                self._store.give_back(entity, delivery.tag, failed=False)
            case Delivery.MODIFIED if outcome.undeliverable or outcome.annotations:
                raise UnsupportedError("deferring a message, or changing it when it is abandoned")
            case Delivery.MODIFIED:
                self._store.give_back(entity, delivery.tag, failed=True)
            case Delivery.REJECTED if not entity.endswith(DEAD_LETTER_SUFFIX):
                info = (outcome.condition and outcome.condition.info) or {}
                reason, description = info.get("DeadLetterReason"), info.get("DeadLetterErrorDescription")
                self._store.dead_letter(entity, delivery.tag, reason, description)
            case _:
                raise UnsupportedError(f"the outcome {state} for a message of {entity}")
