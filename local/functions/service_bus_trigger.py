"""Service Bus queue triggers: a message is completed once its function returns, abandoned if it raises."""

import asyncio
import json
from typing import Any

from azure.functions import Cardinality, ServiceBusMessage
from azure.functions.meta import Datum
from azure.servicebus import ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError

from local.functions.app import App, Function, InvocationError, decode, logger, setting, unsupported

CONCURRENT_MESSAGES = 16
RENEWAL_SECONDS = 300  # As in the real host, a lock is renewed for five minutes at most.
PAUSE_SECONDS = 1.0  # before a queue that can't be reached is tried again
DEAD_LETTERS = "/$deadletterqueue"
TOLD = """
    message_id content_type correlation_id subject to reply_to partition_key lock_token sequence_number
    enqueued_sequence_number enqueued_time_utc expires_at_utc dead_letter_reason dead_letter_error_description
    dead_letter_source"""
"""What is told of a message, in the words of azure-servicebus; the host's are the same in PascalCase."""


class ServiceBusTrigger:
    """The trigger of one function, whose parameter is a `ServiceBusMessage`."""

    def __init__(self, app: App, function: Function) -> None:
        self._app, self._function, trigger = app, function, function.trigger
        name = trigger.get("queueName", "").lower()
        self._queue = name.removesuffix(DEAD_LETTERS)
        self._sub_queue = ServiceBusSubQueue.DEAD_LETTER if name.endswith(DEAD_LETTERS) else None
        for what, is_asked in (
            ("a topic of Service Bus", not name),
            ("a sub-queue but that of dead letters", "/$" in self._queue),
            ("sessions of Service Bus", trigger.get("isSessionsEnabled")),
            ("batches of messages", trigger.get("cardinality") == Cardinality.MANY),
            ("a message but as ServiceBusMessage", function.wanted not in (None, ServiceBusMessage)),
        ):
            if is_asked:
                raise unsupported(what, function.name)
        self._connection = setting(trigger["connection"], function.name)

    async def run(self) -> None:
        """Receive until the host ends; a queue that can't be reached is tried again and again."""
        while not self._app.stopping.is_set():
            try:
                async with (
                    # No retries of the SDK: the next turn is one.
                    ServiceBusClient.from_connection_string(self._connection, retry_total=0) as client,
                    client.get_queue_receiver(self._queue, sub_queue=self._sub_queue) as receiver,
                    AutoLockRenewer(max_lock_renewal_duration=RENEWAL_SECONDS) as renewer,
                ):
                    await self._receive(receiver, renewer)
            except ServiceBusError as error:
                logger.warning("The queue %s can't be read: %s", self._queue, error)
                await self._app.pause(PAUSE_SECONDS)

    async def _receive(self, receiver: ServiceBusReceiver, renewer: AutoLockRenewer) -> None:
        running: set[asyncio.Task[None]] = set()
        try:
            while not self._app.stopping.is_set():
                if len(running) == CONCURRENT_MESSAGES:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for message in await self._app.unless_stopping(receiver.receive_messages()) or ():
                    renewer.register(receiver, message)
                    task = self._app.tasks.create_task(self._process(receiver, message))
                    running.add(task)
                    task.add_done_callback(running.discard)
        finally:
            await asyncio.gather(*running)

    async def _process(self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
        settle = receiver.complete_message
        try:
            value = decode("serviceBusTrigger", b"".join(message.body), "bytes", _metadata(message))
            await self._app.invoke(self._function, value)
        except (InvocationError, TypeError, ValueError) as error:
            logger.error("%s fails with a message of %s: %s", self._function.name, self._queue, error)
            settle = receiver.abandon_message
        try:
            await settle(message)
        except (ServiceBusError, ValueError) as error:
            logger.warning("A message of %s can't be settled, and comes again: %s", self._queue, error)


def _metadata(message: ServiceBusReceivedMessage) -> dict[str, Datum]:
    told: dict[str, Any] = {name.title().replace("_", ""): getattr(message, name) for name in TOLD.split()}
    told["DeliveryCount"] = (message.delivery_count or 0) + 1  # AMQP counts failures, the host deliveries.
    properties = {_text(key): value for key, value in (message.application_properties or {}).items()}
    told |= dict.fromkeys(("ApplicationProperties", "UserProperties"), properties)
    known = {name: value for name, value in told.items() if value is not None}
    return {name: Datum(json.dumps(value, default=_text), "json") for name, value in known.items()}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value).replace(" ", "T")
