"""Blob triggers: a container is scanned, and each version of a blob, by its ETag, runs the function once.

As in the real host a version that fails five times ends in the queue `webjobs-blobtrigger-poison`. The
Event Grid source is scanned too: Azurite sends no events.
"""

import asyncio
import contextlib
import json
import os
import re
from typing import get_type_hints

import azurefunctions.extensions.bindings.blob as bindings
from azure.core.exceptions import AzureError, ResourceExistsError
from azure.storage.blob import BlobClient, BlobProperties
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue import TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from local.functions.app import App, Function, HostError, InvocationError, logger, unsupported
from local.functions.store import Store

SCAN_SECONDS = 0.5
CONCURRENT_BLOBS = 8
PAUSES_SECONDS = (0.0, 0.2, 0.4, 0.6, 0.8)  # before each try
POISON_QUEUE = "webjobs-blobtrigger-poison"


class BlobTrigger:
    """The trigger of one function, whose parameter is a `BlobClient`."""

    def __init__(self, app: App, store: Store, function: Function) -> None:
        self._app, self._store, self._function = app, store, function
        self._id = f"Host.Functions.{function.name}"
        if not (path := re.fullmatch(r"([^/{}%]+)/\{\w+\}", function.trigger["path"])):
            raise unsupported(f"blob path {function.trigger['path']}", function.name)
        if (wanted := get_type_hints(function.call).get(function.trigger["name"])) is not bindings.BlobClient:
            raise unsupported(f"blob as {getattr(wanted, '__name__', wanted)}", function.name)
        self._connection, host = map(self._setting, (function.trigger["connection"], "AzureWebJobsStorage"))
        # No retries of the SDK: the next scan is one.
        self._container = ContainerClient.from_connection_string(self._connection, path[1], retry_total=0)
        policy = TextBase64EncodePolicy()
        self._poison = QueueClient.from_connection_string(host, POISON_QUEUE, message_encode_policy=policy)
        self._slots = asyncio.Semaphore(CONCURRENT_BLOBS)

    def _setting(self, name: str) -> str:
        if name not in os.environ:
            raise HostError(f"the setting {name} is missing (function {self._function.name})")
        return os.environ[name]

    async def scan(self) -> None:
        """Find versions that have not been seen, until the host ends."""
        seen = set(self._store.receipts)
        while not self._app.stopping.is_set():
            try:
                async for blob in self._container.list_blobs():
                    version = f"{self._id}/{blob.etag}/{blob.container}/{blob.name}"
                    if version not in seen:
                        seen.add(version)
                        self._app.tasks.create_task(self._process(blob, version))
            except AzureError as error:
                logger.warning("The blobs of %s can't be listed: %s", self._id, error)
            await self._app.pause(SCAN_SECONDS)

    async def _process(self, blob: BlobProperties, version: str) -> None:
        """Call the function until it succeeds, five times at most, then write the receipt."""
        client = BlobClient.from_connection_string(self._connection, blob.container, blob.name)
        for pause in PAUSES_SECONDS:
            await self._app.pause(pause)
            async with self._slots:
                if self._app.stopping.is_set():
                    return
                with contextlib.suppress(InvocationError):
                    await self._app.invoke(self._function, client)
                    break
        else:
            logger.error("%s fails with the blob %s for good", self._id, blob.name)
            message = {"Type": "BlobTrigger", "FunctionId": self._id, "BlobType": blob.blob_type}
            message |= {"ContainerName": blob.container, "BlobName": blob.name, "ETag": blob.etag}
            with contextlib.suppress(ResourceExistsError):
                await self._poison.create_queue()
            await self._poison.send_message(json.dumps(message))
        self._store.add_receipt(version)
