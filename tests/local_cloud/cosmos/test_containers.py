"""Accounts, databases and containers."""

import uuid

import azure.cosmos
import pytest
from azure.cosmos import PartitionKey, exceptions
from azure.cosmos.aio import CosmosClient

from tests.local_cloud.cosmos.conftest import INFRA, KEY, every, refused


async def test_the_projects_containers_can_be_made_twice(database):
    for wanted in INFRA["containers"] * 2:
        container = await database.create_container_if_not_exists(
            wanted["id"],
            PartitionKey(wanted["partitionKey"]["paths"][0]),
            indexing_policy=wanted["indexingPolicy"],
            default_ttl=wanted.get("defaultTtl"),
        )
        made = await container.read()
        assert made["partitionKey"]["paths"] == wanted["partitionKey"]["paths"]
        included = [rule["path"] for rule in made["indexingPolicy"]["includedPaths"]]
        assert included == [rule["path"] for rule in wanted["indexingPolicy"]["includedPaths"]]
        assert made.get("defaultTtl") == wanted.get("defaultTtl")
    await refused(409, database.create_container("jobs", PartitionKey("/id")))


async def test_databases(client):
    name = f"conformance-{uuid.uuid4()}"
    made = await client.create_database_if_not_exists(name)
    await client.create_database_if_not_exists(name)
    assert (await made.read())["id"] == name
    await refused(409, client.create_database(name))
    container = await made.create_container("c", PartitionKey("/pk"))
    await container.create_item({"id": "a", "pk": "p"})
    await client.delete_database(name)
    await refused(404, made.read())
    await refused(404, client.delete_database(name))


async def test_a_deleted_container_takes_its_items_with_it(database):
    container = await database.create_container("gone", PartitionKey("/pk"))
    await container.create_item({"id": "a", "pk": "p"})
    await database.delete_container(container)
    await refused(404, container.read())
    await refused(404, database.delete_container("gone"))
    again = await database.create_container("gone", PartitionKey("/pk"))
    await refused(404, again.read_item("a", "p"))


async def test_what_lies_in_nothing(client, database):
    container = database.get_container_client("none")
    await refused(404, container.read_item("a", "p"))
    await refused(404, container.upsert_item({"id": "a", "pk": "p"}))
    await refused(404, every(container.query_items("SELECT * FROM c", partition_key="p")))
    missing = client.get_database_client("none")
    await refused(404, missing.read())
    await refused(404, missing.create_container("c", PartitionKey("/pk")))


async def test_the_partition_key_ranges_are_read_again_only_when_they_changed(container):
    statuses = []

    def hook(response):
        statuses.append(response.http_response.status_code)

    for _ in range(2):
        await every(container.read_feed_ranges(force_refresh=True, raw_response_hook=hook))
    assert statuses[-1] == 304


async def test_a_wrong_key_is_unauthorised(endpoint, client, database):
    wrong = CosmosClient(endpoint, ("A" if KEY[0] != "A" else "B") + KEY[1:])
    try:
        await refused(401, wrong.get_database_client(database.id).read())
    finally:
        await wrong.close()
    await client.get_database_client(database.id).read()


def test_the_synchronous_client(endpoint, database, pk):
    client = azure.cosmos.CosmosClient(endpoint, KEY)
    container = client.get_database_client(database.id).create_container_if_not_exists(
        "sync", PartitionKey("/pk")
    )
    for number in range(5):
        container.upsert_item({"id": str(number), "pk": pk, "n": number})
    query = "SELECT VALUE c.n FROM c ORDER BY c.n DESC"
    pages = container.query_items(query, partition_key=pk, max_item_count=2).by_page()
    assert [list(page) for page in pages] == [[4, 3], [2, 1], [0]]
    with pytest.raises(exceptions.CosmosHttpResponseError, match="ross partition query is required"):
        list(container.query_items("SELECT VALUE COUNT(1) FROM c"))
    everywhere = {"enable_cross_partition_query": True}
    assert list(container.query_items("SELECT VALUE COUNT(1) FROM c", **everywhere)) == [5]
    assert list(container.query_items(query, **everywhere)) == [4, 3, 2, 1, 0]
    container.patch_item("1", pk, [{"op": "incr", "path": "/n", "value": 10}])
    batch = container.execute_item_batch([("read", ("1",)), ("delete", ("2",))], pk)
    assert [result["statusCode"] for result in batch] == [200, 204]
    assert batch[0]["resourceBody"]["n"] == 11
    with pytest.raises(exceptions.CosmosResourceNotFoundError):
        container.read_item("2", pk)
