"""Blob storage: the container of uploads, stems and derived files."""

import asyncio
import contextlib
import gzip
import hashlib
import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.identity.aio import DefaultAzureCredential
from azure.storage.blob import BlobSasPermissions, ContentSettings, UserDelegationKey, generate_blob_sas
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from shared.errors import FieldFault, InvalidInputError
from shared.file_names import content_disposition

CLOCK_SKEW = timedelta(minutes=5)
DOWNLOAD_VALID = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class BlobProperties:
    """What is known of a blob without reading it."""

    uri: str
    etag: str
    size_bytes: int
    content_type: str | None
    last_modified: datetime


class AudioBlobs:
    """The audio container."""

    def __init__(self, *, connection: str | None, service_uri: str | None, container_name: str) -> None:
        self._connection = connection
        self._service_uri = service_uri
        self._container_name = container_name
        self._credential: DefaultAzureCredential | None = None
        self._service: BlobServiceClient | None = None
        self._delegation: tuple[UserDelegationKey, datetime] | None = None
        self._delegating = asyncio.Lock()

    async def properties(self, blob_name: str) -> BlobProperties | None:
        """Return the blob's properties, or None if there is no such blob."""
        client = self._container().get_blob_client(blob_name)
        try:
            found = await client.get_blob_properties()
        except ResourceNotFoundError:
            return None
        return BlobProperties(
            uri=client.url,
            etag=found.etag,
            size_bytes=found.size,
            content_type=found.content_settings.content_type,
            last_modified=found.last_modified,
        )

    async def write_json(self, folder: str, value: Any) -> str:
        """Write the value as gzip JSON, named by the hash of its content; return the blob's name.

        The blob is immutable: a second writer of the same content finds it there.
        """
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
        name = f"{folder}/{hashlib.sha256(text).hexdigest()}.json.gz"
        settings = ContentSettings(content_type="application/gzip")
        with contextlib.suppress(ResourceExistsError):
            await self._container().upload_blob(
                name, gzip.compress(text, mtime=0), content_settings=settings, overwrite=False
            )
        return name

    async def read_json(self, blob_name: str) -> Any:
        """Return the value of a blob that `write_json` wrote."""
        download = await self._container().download_blob(blob_name)
        return json.loads(gzip.decompress(await download.readall()))

    async def delete(self, blob_name: str) -> None:
        """Delete a blob; a missing one is no error."""
        with contextlib.suppress(ResourceNotFoundError):
            await self._container().delete_blob(blob_name)

    async def delete_all(self, prefix: str, *, but: Container[str | None] = ()) -> None:
        """Delete every blob whose name begins so, but those."""
        async for name in self._container().list_blob_names(name_starts_with=prefix):
            if name not in but:
                await self.delete(name)

    async def page(self, continuation: str | None, limit: int) -> tuple[list[tuple[str, str]], str | None]:
        """Return name and ETag of some blobs of the container, and where to go on; None after the last."""
        pages = self._container().list_blobs(results_per_page=limit).by_page(continuation)
        async for page in pages:
            # Listings give an ETag without the quotes that it has everywhere else.
            blobs = [(blob.name, f'"{blob.etag.strip(chr(34))}"') async for blob in page]
            return blobs, pages.continuation_token or None  # type: ignore[attr-defined]
        return [], None

    def name_of(self, uri: str) -> str | None:
        """Return the blob name of a URI in this very container, or None for any other URI.

        Scheme, host, port and container are compared; user info, query and fragment are not allowed: any
        of them could make the URI say one thing here and another elsewhere. So could letters that a URI does
        not have, which some parsers drop.
        """
        if not uri.isascii() or not uri.isprintable() or " " in uri:
            return None
        own = urlsplit(self._container().url)
        try:
            given = urlsplit(uri)
        except ValueError:  # such as a bracket that is not closed
            return None
        if (given.scheme, given.netloc) != (own.scheme, own.netloc) or given.query or given.fragment:
            return None
        folder = own.path.rstrip("/") + "/"
        name = unquote(given.path)
        if not name.startswith(folder) or any(part in ("", ".", "..") for part in name[1:].split("/")):
            return None
        return name.removeprefix(folder)

    def check_place(self, uri: Any, *, field: str, folder: str, file_names: Sequence[str]) -> str:
        """Return the blob of a field's URI; refuse what is none of these files below this folder.

        Raises
        ------
        InvalidInputError
            Naming the field.
        """
        name = (isinstance(uri, str) and self.name_of(uri)) or ""
        if not name.startswith(folder) or name.rpartition("/")[2] not in file_names:
            places = f"{' or '.join(file_names)} below {folder} in this deployment's storage"
            fault = FieldFault(field=field, message=f"must be {places}")
            raise InvalidInputError("The blob is not where such a blob is kept.", faults=[fault])
        return name

    async def upload_url(self, blob_name: str, *, valid: timedelta) -> tuple[str, datetime]:
        """Return a URL that may create exactly this blob, and when it expires."""
        return await self._signed(blob_name, BlobSasPermissions(create=True, write=True), valid)

    async def download_url(self, blob_name: str, *, file_name: str) -> str:
        """Return a URL that may read exactly this blob, which a browser saves as `file_name`."""
        disposition = content_disposition(file_name)
        url, _ = await self._signed(
            blob_name, BlobSasPermissions(read=True), DOWNLOAD_VALID, content_disposition=disposition
        )
        return url

    async def ping(self) -> None:
        """Raise the SDK's error unless the container answers."""
        await self._container().get_container_properties()

    async def close(self) -> None:
        """Close the connections."""
        if self._service:
            await self._service.close()
        if self._credential:
            await self._credential.close()

    def _container(self) -> ContainerClient:
        if self._service is None:
            if self._connection:
                self._service = BlobServiceClient.from_connection_string(self._connection)
            else:
                assert self._service_uri is not None
                self._credential = DefaultAzureCredential()
                self._service = BlobServiceClient(self._service_uri, credential=self._credential)
        return self._service.get_container_client(self._container_name)

    async def _signed(
        self,
        blob_name: str,
        permission: BlobSasPermissions,
        valid: timedelta,
        content_disposition: str | None = None,
    ) -> tuple[str, datetime]:
        client = self._container().get_blob_client(blob_name)
        expires = datetime.now(UTC) + valid
        key: dict[str, Any] = (
            {"account_key": client.credential.account_key}
            if self._connection
            else {"user_delegation_key": await self._delegation_key(expires)}
        )
        token = generate_blob_sas(
            str(client.account_name),
            self._container_name,
            blob_name,
            permission=permission,
            start=datetime.now(UTC) - CLOCK_SKEW,
            expiry=expires,
            **key,
            content_disposition=content_disposition,
        )
        return f"{client.url}?{token}", expires

    async def _delegation_key(self, needed_until: datetime) -> UserDelegationKey:
        """Return a key signed by Entra for the managed identity; one request a day serves all URLs."""
        async with self._delegating:
            if self._delegation is None or self._delegation[1] < needed_until:
                assert self._service is not None
                end = datetime.now(UTC) + timedelta(days=1)
                key = await self._service.get_user_delegation_key(datetime.now(UTC) - CLOCK_SKEW, end)
                self._delegation = (key, end)
            return self._delegation[0]
