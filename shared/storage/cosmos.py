"""Cosmos DB: the database, and what the classes of its containers share.

The aio client belongs to one event loop and one process; it is opened at first use and closed at shutdown.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.core.async_paging import AsyncItemPaged
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from azure.identity.aio import DefaultAzureCredential

from shared.errors import AlreadyExistsError, ChangedMeanwhileError
from shared.models import Stored, WireModel

DATABASE = "music"
Document = dict[str, Any]
Record = TypeVar("Record", bound=WireModel)


class CosmosDatabase:
    """The database `music`, opened at first use."""

    def __init__(self, endpoint: str, key: str | None) -> None:
        self._endpoint = endpoint
        self._key = key
        self._client: CosmosClient | None = None
        self._credential: DefaultAzureCredential | None = None
        self._opening = asyncio.Lock()

    async def container(self, name: str) -> ContainerProxy:
        """Return the container's client."""
        client = await self._open()
        return client.get_database_client(DATABASE).get_container_client(name)

    async def ping(self) -> None:
        """Raise the SDK's error unless the database answers."""
        await (await self._open()).get_database_client(DATABASE).read()

    async def close(self) -> None:
        """Close the client's connections."""
        if self._client:
            await self._client.__aexit__(None, None, None)
        if self._credential:
            await self._credential.close()

    async def _open(self) -> CosmosClient:
        async with self._opening:
            if self._client is None:
                if self._key is None:
                    self._credential = DefaultAzureCredential()
                    client = CosmosClient(self._endpoint, credential=self._credential)
                else:
                    client = CosmosClient(self._endpoint, credential=self._key)
                await client.__aenter__()
                self._client = client
            return self._client


class Container:
    """Point reads and conditional writes, with the SDK's errors turned into ours."""

    name: str

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database

    async def _read(self, item_id: str, partition: str) -> Document | None:
        container = await self._database.container(self.name)
        try:
            return dict(await container.read_item(item_id, partition_key=partition))
        except CosmosResourceNotFoundError:
            return None

    async def _create(self, body: Document) -> Document:
        container = await self._database.container(self.name)
        try:
            return dict(await container.create_item(body))
        except CosmosResourceExistsError:
            raise AlreadyExistsError(f"There is a record {body['id']} already.") from None

    async def _upsert(self, body: Document) -> Document:
        container = await self._database.container(self.name)
        return dict(await container.upsert_item(body))

    async def _replace(self, body: Document, etag: str) -> Document:
        container = await self._database.container(self.name)
        try:
            return dict(
                await container.replace_item(
                    body["id"], body, etag=etag, match_condition=MatchConditions.IfNotModified
                )
            )
        except (CosmosAccessConditionFailedError, CosmosResourceNotFoundError):
            raise ChangedMeanwhileError from None

    async def _query(
        self, query: str, *, partition: str | None = None, limit: int | None = None, **parameters: Any
    ) -> list[Document]:
        """Return up to `limit` documents; without a partition from all of them, in no order."""
        documents: list[Document] = []
        async for document in await self._items(query, partition, limit, parameters):
            documents.append(document)
            if len(documents) == limit:
                break
        return documents

    async def _page(
        self,
        query: str,
        continuation: str | None,
        limit: int,
        *,
        partition: str | None = None,
        **parameters: Any,
    ) -> tuple[list[Document], str | None]:
        """Return a page of documents, and the continuation after them; without a partition in no order."""
        pages = (await self._items(query, partition, limit, parameters)).by_page(continuation)
        async for page in pages:
            documents = [document async for document in page]
            return documents, pages.continuation_token or None  # type: ignore[attr-defined]
        return [], None  # the SDK has no page at all where nothing is found

    async def _items(
        self, query: str, partition: str | None, limit: int | None, parameters: Mapping[str, Any]
    ) -> AsyncItemPaged[Document]:
        container = await self._database.container(self.name)
        options: dict[str, Any] = {} if partition is None else {"partition_key": partition}
        if limit is not None:
            options["max_item_count"] = limit
        return container.query_items(
            query,
            parameters=[{"name": f"@{name}", "value": value} for name, value in parameters.items()],
            **options,
        )

    async def _delete(self, item_id: str, partition: str, etag: str | None = None) -> None:
        container = await self._database.container(self.name)
        condition: dict[str, Any] = (
            {} if etag is None else {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        )
        try:
            await container.delete_item(item_id, partition_key=partition, **condition)
        except CosmosResourceNotFoundError:
            return
        except CosmosAccessConditionFailedError:
            raise ChangedMeanwhileError from None


def record_of(model: type[Record], document: Mapping[str, Any]) -> Record:
    """Return the document as a record, without what only the database needs."""
    names = {field.alias or name for name, field in model.model_fields.items()}
    return model.model_validate({name: value for name, value in document.items() if name in names})


def stored_of(model: type[Record], document: Mapping[str, Any]) -> Stored[Record]:
    """Return the document as a record with its ETag."""
    return Stored(record_of(model, document), str(document["_etag"]))


def wire_time(moment: datetime) -> str:
    """Return the time as records hold it, so that texts compare as times do (to the second)."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
