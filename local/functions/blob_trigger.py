"""Blob triggers: a container is scanned, and each version of a blob runs its function once.

A version is a name with an ETag. As in the real host a receipt of it, kept in the container
`azure-webjobs-hosts`, outlives a restart, and a version that fails five times ends in the queue
`webjobs-blobtrigger-poison`. The Event Grid source is scanned too: Azurite sends no events.
"""

import asyncio
import contextlib
import json
import os
import re
import time
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

import azurefunctions.extensions.base as deferred
from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.functions.blob import BlobConverter
from azure.functions.meta import Datum
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue import TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from local.functions.app import App, Function, HostError, InvocationError, logger

SCAN_SECONDS = 0.5
SCAN_SHARE = 0.3  # of the time: a large container is scanned less often
CONCURRENT_BLOBS = 8
PAUSES_SECONDS = (0.0, 0.25, 0.5, 1.0, 2.0)  # before each try
HOST_STORAGE = "AzureWebJobsStorage"


class BlobTrigger:
    """The trigger of one function."""

    def __init__(self, app: App, function: Function) -> None:
        self._app = app
        self._function = function
        self._id = f"Host.Functions.{function.name}"
        self._receipt_prefix = f"blobreceipts/local/{self._id}/"
        path = re.sub(r"%(\w+)%", lambda name: self._setting(name[1]), function.trigger["path"])
        self._container_name, _, pattern = path.partition("/")
        literals = re.split(r"\{\w+\}", pattern or "{name}")
        self._prefix = literals[0]
        # As in the real host, a parameter spans slashes.
        self._pattern = re.compile(".*".join(map(re.escape, literals)), re.DOTALL)
        # No retries of the SDK: the next scan is one.
        host, watched = self._setting(HOST_STORAGE), self._setting(function.trigger["connection"])
        self._container = ContainerClient.from_connection_string(watched, self._container_name, retry_total=0)
        self._receipts = ContainerClient.from_connection_string(host, "azure-webjobs-hosts", retry_total=0)
        self._poison = QueueClient.from_connection_string(
            host, "webjobs-blobtrigger-poison", retry_total=0, message_encode_policy=TextBase64EncodePolicy()
        )
        self._seen: set[str] = set()
        self._slots = asyncio.Semaphore(CONCURRENT_BLOBS)

    def _setting(self, name: str) -> str:
        if name not in os.environ:
            raise HostError(f"the setting {name} is missing (function {self._function.name})")
        return os.environ[name]

    async def start(self) -> None:
        """Read the receipts, then scan until the host ends."""
        await _create(self._receipts.create_container())
        async for receipt in self._receipts.list_blob_names(name_starts_with=self._receipt_prefix):
            self._seen.add(receipt)
        self._app.spawn(self._scan())

    async def close(self) -> None:
        """Close the connections to the storage account."""
        await asyncio.gather(self._container.close(), self._receipts.close(), self._poison.close())

    async def _scan(self) -> None:
        while not self._app.stopping.is_set():
            started = time.monotonic()
            try:
                async for blob in self._container.list_blobs(name_starts_with=self._prefix):
                    etag = f'"{blob.etag.strip(chr(34))}"'
                    receipt = f"{self._receipt_prefix}{etag}/{self._container_name}/{blob.name}"
                    if receipt not in self._seen and self._pattern.fullmatch(blob.name):
                        self._seen.add(receipt)
                        self._app.spawn(self._process(blob, etag, receipt))
            except ResourceNotFoundError:
                pass  # Whoever uploads first creates the container.
            except AzureError as error:
                logger.warning("The container %s can't be listed: %s", self._container_name, error)
            pause = max(SCAN_SECONDS, (time.monotonic() - started) / SCAN_SHARE)
            await asyncio.wait({self._app.stopped}, timeout=pause)

    async def _process(self, blob: BlobProperties, etag: str, receipt: str) -> None:
        """Call the function until it succeeds, five times at most, then write the receipt."""
        try:
            for pause in PAUSES_SECONDS:
                await asyncio.wait({self._app.stopped}, timeout=pause)
                async with self._slots:
                    if self._app.stopping.is_set():
                        return
                    value = await self._value(blob.name, etag)
                    with contextlib.suppress(InvocationError):
                        await self._app.invoke(self._function, value, lambda result: None)
                        break
            else:
                await self._give_up(blob, etag)
            await self._write_receipt(receipt)
        except _BlobGoneError:
            logger.info("The blob %s has changed or is gone: %s leaves it", blob.name, self._function.name)
        except AzureError as error:
            logger.warning("The blob %s is not done, and comes again: %s", blob.name, error)
            self._seen.discard(receipt)

    async def _write_receipt(self, receipt: str) -> None:
        try:
            await self._receipts.upload_blob(receipt, b"", overwrite=True)
        except ResourceNotFoundError:  # Deleting this container is the way to have all blobs run again.
            await _create(self._receipts.create_container())
            await self._receipts.upload_blob(receipt, b"", overwrite=True)

    async def _value(self, name: str, etag: str) -> Any:
        """Make the function's argument: an `InputStream`, or the SDK type that the parameter asks for."""
        blob = self._container.get_blob_client(name)
        unchanged: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        wanted = self._function.hints.get(self._function.trigger["name"])
        try:
            properties = await blob.get_blob_properties(**unchanged)
            if deferred.get_binding_registry().check_supported_type(wanted):
                return self._deferred_value(name, wanted)
            content = await (await blob.download_blob(**unchanged)).readall()
        except (ResourceNotFoundError, ResourceModifiedError) as error:
            raise _BlobGoneError from error
        described = {"ContentLength": properties.size, "ETag": etag}
        metadata = {
            "BlobTrigger": Datum(f"{self._container_name}/{name}", "string"),
            "Uri": Datum(blob.url, "string"),
            "Properties": Datum(json.dumps(described), "json"),
            "Metadata": Datum(json.dumps(properties.metadata), "json"),
        }
        return BlobConverter.decode(Datum(content, "bytes"), trigger_metadata=metadata)

    def _deferred_value(self, name: str, wanted: Any) -> Any:
        """Let azurefunctions-extensions-bindings-blob make its client of what a host hands to it."""
        connection = self._function.trigger["connection"]
        where = {"Connection": connection, "ContainerName": self._container_name, "BlobName": name}
        data = SimpleNamespace(version="1.0", source="AzureStorageBlobs", content_type="application/json")
        data.content = json.dumps(where).encode()
        datum = deferred.Datum(data, "model_binding_data")
        converter = deferred.get_binding_registry().get("blobTrigger")
        return converter.decode(datum, trigger_metadata=None, pytype=wanted)

    async def _give_up(self, blob: BlobProperties, etag: str) -> None:
        message = {
            "Type": "BlobTrigger",
            "FunctionId": self._id,
            "BlobType": blob.blob_type,
            "ContainerName": self._container_name,
            "BlobName": blob.name,
            "ETag": etag,
        }
        logger.error("%s fails with the blob %s for good", self._function.name, blob.name)
        await _create(self._poison.create_queue())
        await self._poison.send_message(json.dumps(message))


class _BlobGoneError(Exception):
    """The version of a blob that was seen is no longer there."""


async def _create(creation: Awaitable[object]) -> None:
    with contextlib.suppress(ResourceExistsError):
        await creation
