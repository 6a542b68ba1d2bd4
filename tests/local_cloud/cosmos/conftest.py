"""Cosmos DB through the real SDK: the stand-in, or what CONFORMANCE_COSMOS_ENDPOINT and _KEY name."""

import asyncio
import json
import os
import uuid
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient

from local.cosmos.auth import EMULATOR_KEY
from local.process import Program, free_port

INFRA = json.loads((Path(__file__).parents[3] / "infra/cosmos.json").read_text())
ENDPOINT = os.environ.get("CONFORMANCE_COSMOS_ENDPOINT")
KEY = os.environ.get("CONFORMANCE_COSMOS_KEY", EMULATOR_KEY)
stand_in_only = pytest.mark.skipif(bool(ENDPOINT), reason="what only the stand-in does")

POLICY = {
    "includedPaths": [{"path": "/*"}],
    "excludedPaths": [{"path": "/notes/*"}],
    "compositeIndexes": [
        [{"path": "/key", "order": "ascending"}, {"path": "/bpm", "order": "ascending"}],
    ],
}


def start(port, data):
    return Program.module("cosmos", "local.cosmos", "--port", str(port), "--data", str(data)).wait_ready(30)


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory):
    if ENDPOINT:
        yield ENDPOINT
        return
    port = free_port()
    program = start(port, tmp_path_factory.mktemp("cosmos"))
    yield f"http://127.0.0.1:{port}"
    program.stop()
    assert program.return_code == 0, program.tail


@pytest.fixture(scope="session")
async def client(endpoint):
    async with CosmosClient(endpoint, KEY) as client:
        yield client


@pytest.fixture(scope="session")
async def database(client):
    database = await client.create_database(f"conformance-{uuid.uuid4()}")
    yield database
    await client.delete_database(database)


@pytest.fixture(scope="module")
async def container(database):
    """A container of partition key /pk with everything indexed but /notes; items live unless they say not."""
    name = f"items {uuid.uuid4()} é"
    return await database.create_container(name, PartitionKey("/pk"), indexing_policy=POLICY, default_ttl=-1)


@pytest.fixture
def pk():
    """A partition of the test's own."""
    return f"p-{uuid.uuid4()}"


async def every(pager):
    return [each async for each in pager]


async def refused(status, operation):
    with pytest.raises(HttpResponseError) as caught:
        await operation
    assert caught.value.status_code == status
    return caught.value


async def query(container, text, pk=None, **parameters):
    """Return all rows; without `pk` those of all partitions."""
    given = [{"name": f"@{name}", "value": value} for name, value in parameters.items()]
    scope = {} if pk is None else {"partition_key": pk}
    return await every(container.query_items(text, parameters=given, **scope))


async def ids(container, pk, where="true", **parameters):
    return await query(container, f"SELECT VALUE c.id FROM c WHERE {where}", pk, **parameters)


async def create(container, pk, **documents):
    """Create documents by id."""
    await asyncio.gather(
        *(container.create_item({"id": name, "pk": pk} | rest) for name, rest in documents.items())
    )


async def pages(container, text, size, **scope):
    """Return the rows of each page, each page fetched by its token alone."""
    found, token = [], None
    while token or not found:
        pager = container.query_items(text, max_item_count=size, **scope).by_page(token)
        found.append([row async for row in await anext(pager)])
        token = pager.continuation_token
    return found
