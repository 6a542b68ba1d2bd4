"""The Cosmos stand-in as a program of its own, through the real SDK over a socket."""

import itertools
import json
from pathlib import Path

import pytest
from azure.cosmos import PartitionKey, exceptions
from azure.cosmos.aio import CosmosClient

from local.cosmos.auth import EMULATOR_KEY
from local.process import Program, free_port

INFRA = json.loads((Path(__file__).parents[3] / "infra/cosmos.json").read_text())
NAMES = itertools.count()


def start(port, data):
    return Program.module("cosmos", "local.cosmos", "--port", str(port), "--data", str(data)).wait_ready(30)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    port = free_port()
    program = start(port, tmp_path_factory.mktemp("cosmos"))
    yield f"http://127.0.0.1:{port}"
    program.stop()
    assert program.return_code == 0, program.tail


@pytest.fixture(scope="module")
async def database(endpoint):
    async with CosmosClient(endpoint, EMULATOR_KEY) as client:
        yield await client.create_database_if_not_exists("music")


@pytest.fixture
async def container(database):
    """A new container with partition key /pk and everything indexed but /notes."""
    policy = {"includedPaths": [{"path": "/*"}], "excludedPaths": [{"path": "/notes/*"}]}
    name = f"items {next(NAMES)} é"
    return await database.create_container(name, PartitionKey("/pk"), indexing_policy=policy, default_ttl=-1)


async def every(pager):
    return [each async for each in pager]


async def refused(status, operation):
    with pytest.raises(exceptions.CosmosHttpResponseError) as caught:
        await operation
    assert caught.value.status_code == status
    return caught.value


async def ids(container, where="", pk="p", **parameters):
    given = [{"name": f"@{name}", "value": value} for name, value in parameters.items()]
    query = f"SELECT * FROM c {where and 'WHERE ' + where}"
    return [
        row["id"] for row in await every(container.query_items(query, parameters=given, partition_key=pk))
    ]
