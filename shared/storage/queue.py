"""Service Bus: the queue that workers consume, as its sender sees it."""

import asyncio
from datetime import datetime

from azure.identity.aio import DefaultAzureCredential
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from shared import telemetry
from shared.worker_contract import AnalysisMessage

PEEKED = 100
"""Messages; one that is not put off is among them, unless so many at the head are."""


class AnalysisQueue:
    """Sends analysis messages; the connection is opened at first use and kept."""

    def __init__(self, *, connection: str | None, namespace: str | None, queue_name: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._queue_name = queue_name
        self._credential: DefaultAzureCredential | None = None
        self._client: ServiceBusClient | None = None
        self._sender: ServiceBusSender | None = None
        self._sending = asyncio.Lock()

    async def send(
        self,
        message: AnalysisMessage,
        *,
        message_id: str,
        not_before: datetime | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Send the message, to be delivered from `not_before` on; a repeated id is dropped by the queue."""
        envelope = ServiceBusMessage(
            message.model_dump_json(by_alias=True),
            message_id=message_id,
            content_type="application/json",
            application_properties=telemetry.message_properties(traceparent),
            scheduled_enqueue_time_utc=not_before,
        )
        async with self._sending:
            await self._open().send_messages(envelope)

    async def drained_until(self, now: datetime) -> datetime | None:
        """Return a moment before which nothing was sent that is still there, `now` where nothing is.

        None if that can't be told. A look at the queue shows what is at work (locked) and what is put off
        (scheduled), too, oldest first. What is put off takes its place in the queue when it is due, and says
        nothing of the others until then.
        """
        # The SDK can't look without being ready to receive. What comes so, it gives back as not delivered.
        async with self._opened().get_queue_receiver(self._queue_name) as receiver:
            seen = await receiver.peek_messages(PEEKED, sequence_number=1)
        if not seen:
            return now
        sent = (each.enqueued_time_utc for each in seen if each.state is not ServiceBusMessageState.SCHEDULED)
        return next(sent, None)

    async def ping(self) -> None:
        """Raise the SDK's error unless the queue takes messages."""
        # On a link of its own: one that is open says nothing of whether the queue is still there.
        async with self._opened().get_queue_sender(self._queue_name) as sender:
            await sender.create_message_batch()

    async def close(self) -> None:
        """Close the connection."""
        if self._sender:
            await self._sender.close()
        if self._client:
            await self._client.close()
        if self._credential:
            await self._credential.close()

    def _opened(self) -> ServiceBusClient:
        if self._client is None:
            if self._connection:
                self._client = ServiceBusClient.from_connection_string(self._connection)
            else:
                assert self._namespace is not None
                self._credential = DefaultAzureCredential()
                self._client = ServiceBusClient(self._namespace, self._credential)
        return self._client

    def _open(self) -> ServiceBusSender:
        if self._sender is None:
            self._sender = self._opened().get_queue_sender(self._queue_name)
        return self._sender
