"""Blob triggers: a container is scanned, and each version of a blob, by its ETag, runs the function once.

As in the real host a receipt in the storage account outlives any restart, and a version that fails five times
ends in the queue `webjobs-blobtrigger-poison`. The Event Grid source is scanned too: Azurite sends no events.
"""

import asyncio
import contextlib
import json
import re
import time
from typing import Any

import azurefunctions.extensions.bindings.blob as bindings
from azure.core import MatchConditions
from azure.core import exceptions as core
from azure.functions import InputStream
from azure.functions.meta import Datum
from azure.storage.blob import BlobClient, BlobProperties
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue import TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from local.functions.app import App, Function, InvocationError, decode, logger, setting, unsupported

SCAN_SECONDS = 1.5
SCAN_COST = 100  # A scan is followed by a pause of this many times its CPU time: 1 % of a core.
CONCURRENT_BLOBS = 8
POISON_QUEUE = "webjobs-blobtrigger-poison"
PAUSES_SECONDS = (0.0, 0.2, 0.4, 0.6, 0.8)  # before each try


class BlobTrigger:
    """The trigger of one function, whose parameter is an `InputStream` or a `BlobClient`."""

    def __init__(self, app: App, function: Function) -> None:
        self._app, self._function = app, function
        self._id = f"Host.Functions.{function.name}"
        self._container_name, _, pattern = function.trigger["path"].partition("/")
        literals = re.split(r"\{\w+\}", pattern or "{name}")
        if re.search("[{}]", "".join(literals)):
            raise unsupported(f"blob path {function.trigger['path']}", function.name)
        # As in the real host, a parameter spans slashes.
        self._pattern = re.compile(".+".join(map(re.escape, literals)), re.DOTALL)
        if function.wanted not in (None, InputStream, bindings.BlobClient):
            raise unsupported(f"blob as {function.wanted.__name__}", function.name)
        self._watched = setting(function.trigger["connection"], function.name)
        self._host = setting("AzureWebJobsStorage", function.name)
        self._slots = asyncio.Semaphore(CONCURRENT_BLOBS)

    async def run(self) -> None:
        """Find versions that have no receipt, until the host ends."""
        open_container = ContainerClient.from_connection_string
        async with (
            # No retries of the SDK: the next scan is one.
            open_container(self._watched, self._container_name, retry_total=0) as self._container,
            open_container(self._host, "azure-webjobs-hosts") as self._receipts,
            asyncio.TaskGroup() as versions,
        ):
            with contextlib.suppress(core.ResourceExistsError):
                await self._receipts.create_container()
            names = self._receipts.list_blob_names(name_starts_with=f"blobreceipts/local/{self._id}/")
            self._seen = {name async for name in names}
            while not self._app.stopping.is_set():
                started = time.thread_time()
                try:
                    async for blob in self._container.list_blobs():
                        receipt = f'blobreceipts/local/{self._id}/"{blob.etag}"/{blob.container}/{blob.name}'
                        if receipt not in self._seen and self._pattern.fullmatch(blob.name):
                            self._seen.add(receipt)
                            versions.create_task(self._process(blob, receipt))
                except core.ResourceNotFoundError:
                    pass  # Whoever uploads first creates the container.
                except core.AzureError as error:
                    logger.warning("The blobs of %s can't be listed: %s", self._id, error)
                await self._app.pause(max(SCAN_SECONDS, SCAN_COST * (time.thread_time() - started)))

    async def _process(self, blob: BlobProperties, receipt: str) -> None:
        """Call the function until it succeeds, five times at most, then write the receipt."""
        try:
            for pause in PAUSES_SECONDS:
                await self._app.pause(pause)
                async with self._slots:
                    if self._app.stopping.is_set():
                        return
                    value = await self._value(blob.name, f'"{blob.etag}"')
                    with contextlib.suppress(InvocationError):
                        await self._app.invoke(self._function, value)
                        break
            else:
                await self._give_up(blob)
            await self._receipts.upload_blob(receipt, b"", overwrite=True)
        except (core.ResourceNotFoundError, core.ResourceModifiedError):
            logger.info("The blob %s has changed or is gone: %s leaves it", blob.name, self._function.name)
        except core.AzureError as error:
            logger.warning("The blob %s is not done, and comes again: %s", blob.name, error)
            self._seen.discard(receipt)

    async def _value(self, name: str, etag: str) -> Any:
        """Make the function's argument, if this version of the blob is still there."""
        blob = self._container.get_blob_client(name)
        unchanged: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        properties = await blob.get_blob_properties(**unchanged)
        if self._function.wanted is bindings.BlobClient:
            return BlobClient.from_connection_string(self._watched, self._container_name, name)
        told: dict[str, Any] = {"BlobTrigger": f"{self._container_name}/{name}", "Uri": blob.url}
        told |= {"Properties": {"ContentLength": properties.size}, "Metadata": properties.metadata}
        metadata = {name: Datum(json.dumps(value), "json") for name, value in told.items()}
        content = await (await blob.download_blob(**unchanged)).readall()
        return decode("blobTrigger", content, "bytes", metadata)

    async def _give_up(self, blob: BlobProperties) -> None:
        logger.error("%s fails with the blob %s for good", self._id, blob.name)
        message = {"Type": "BlobTrigger", "FunctionId": self._id, "BlobType": blob.blob_type}
        message |= {"ContainerName": blob.container, "BlobName": blob.name, "ETag": blob.etag}
        open_queue, policy = QueueClient.from_connection_string, TextBase64EncodePolicy()
        async with open_queue(self._host, POISON_QUEUE, message_encode_policy=policy) as queue:
            with contextlib.suppress(core.ResourceExistsError):
                await queue.create_queue()
            await queue.send_message(json.dumps(message))
