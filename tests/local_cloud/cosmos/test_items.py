"""Databases, containers and items of the Cosmos stand-in, by the real SDK."""

import asyncio
import time

import pytest
from azure.core import MatchConditions
from azure.cosmos import PartitionKey, exceptions
from azure.cosmos.aio import CosmosClient
from azure.cosmos.partition_key import NonePartitionKeyValue

from local.cosmos.auth import EMULATOR_KEY
from tests.local_cloud.cosmos.conftest import INFRA, every, ids, refused

# Databases and containers


async def test_the_projects_containers_can_be_made_twice(endpoint):
    async with CosmosClient(endpoint, EMULATOR_KEY) as client:
        for _ in range(2):
            database = await client.create_database_if_not_exists("infra")
            for wanted in INFRA["containers"]:
                container = await database.create_container_if_not_exists(
                    wanted["id"],
                    PartitionKey(wanted["partitionKey"]["paths"][0]),
                    indexing_policy=wanted["indexingPolicy"],
                    default_ttl=wanted.get("defaultTtl"),
                )
                made = await container.read()
                assert made["partitionKey"]["paths"] == wanted["partitionKey"]["paths"]
                assert made["indexingPolicy"]["includedPaths"] == wanted["indexingPolicy"]["includedPaths"]
                assert made.get("defaultTtl") == wanted.get("defaultTtl")
        await refused(409, client.create_database("infra"))
        await refused(409, database.create_container("jobs", PartitionKey("/id")))


async def test_what_lies_in_nothing(endpoint):
    async with CosmosClient(endpoint, EMULATOR_KEY) as client:
        database = client.get_database_client("none")
        await refused(404, database.read())
        await refused(404, database.create_container("c", PartitionKey("/pk")))
        container = database.get_container_client("c")
        await refused(404, container.read_item("a", "p"))
        await refused(404, container.upsert_item({"id": "a", "pk": "p"}))


async def test_the_partition_key_ranges_are_read_again_only_when_they_changed(container):
    statuses = []

    def hook(response):
        statuses.append(response.http_response.status_code)

    for _ in range(2):
        ranges = container.read_feed_ranges(force_refresh=True, raw_response_hook=hook)
        assert len(await every(ranges)) == 1
    assert statuses[-1] == 304


# Items


async def test_create_read_replace_upsert_delete(container):
    made = await container.create_item(
        {"id": "a", "pk": "p", "title": "Ärger ♪", "n": [1, 2.5, None, {"x": True}]}
    )
    assert {"_rid", "_self", "_etag", "_ts"} <= made.keys()
    assert abs(made["_ts"] - time.time()) < 60
    assert await container.read_item("a", "p") == made
    replaced = await container.replace_item("a", {"id": "a", "pk": "p", "title": "new"})
    assert replaced["_etag"] != made["_etag"]
    assert replaced["_rid"] == made["_rid"]
    assert "n" not in replaced
    assert (await container.upsert_item({"id": "a", "pk": "p"}))["_rid"] == made["_rid"]
    assert (await container.upsert_item({"id": "b", "pk": "p"}))["id"] == "b"
    assert await ids(container) == ["a", "b"]
    await container.delete_item("a", "p")
    await refused(404, container.read_item("a", "p"))
    assert await ids(container) == ["b"]


async def test_conflicts_and_the_missing(container):
    await container.create_item({"id": "a", "pk": "p"})
    with pytest.raises(exceptions.CosmosResourceExistsError):
        await container.create_item({"id": "a", "pk": "p"})
    await container.create_item({"id": "a", "pk": "another partition"})
    with pytest.raises(exceptions.CosmosResourceNotFoundError):
        await container.read_item("b", "p")
    await refused(404, container.replace_item("b", {"id": "b", "pk": "p"}))
    await refused(404, container.delete_item("b", "p"))
    await refused(404, container.read_item("a", "wrong partition"))


async def test_conditional_writes(container):
    old = await container.create_item({"id": "a", "pk": "p"})
    new = await container.upsert_item({"id": "a", "pk": "p", "n": 1})

    def if_match(item):
        return {"etag": item["_etag"], "match_condition": MatchConditions.IfNotModified}

    changed = {"id": "a", "pk": "p", "n": 2}
    await refused(412, container.replace_item("a", changed, **if_match(old)))
    await refused(412, container.upsert_item(changed, **if_match(old)))
    with pytest.raises(exceptions.CosmosAccessConditionFailedError):
        await container.delete_item("a", "p", **if_match(old))
    assert (await container.read_item("a", "p"))["n"] == 1
    newest = await container.replace_item("a", changed, **if_match(new))
    assert newest["n"] == 2
    await container.delete_item("a", "p", **if_match(newest))
    assert await ids(container) == []


async def test_one_of_many_conditional_writers_wins(container):
    item = await container.create_item({"id": "a", "pk": "p"})
    condition = {"etag": item["_etag"], "match_condition": MatchConditions.IfNotModified}
    tries = [container.replace_item("a", {"id": "a", "pk": "p", "n": n}, **condition) for n in range(10)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    lost = [each for each in results if isinstance(each, exceptions.CosmosAccessConditionFailedError)]
    assert len(lost) == 9


@pytest.mark.parametrize("pk", ["text", "quotes \"' ♪", "", 7, 7.5, True, False, None])
async def test_partition_key_values(container, pk):
    await container.create_item({"id": "a", "pk": pk})
    assert (await container.read_item("a", pk))["pk"] == pk
    other = "7" if pk == 7 else "other"
    await refused(404, container.read_item("a", other))
    if pk is not None:  # the SDK's query takes None for "no partition key given"
        assert await ids(container, pk=pk) == ["a"]


async def test_an_item_without_its_partition_key_property(container):
    await container.create_item({"id": "a"})
    assert (await container.read_item("a", NonePartitionKeyValue))["id"] == "a"
    await refused(404, container.read_item("a", None))


async def test_a_partition_key_is_no_object_and_does_not_change(container):
    await refused(400, container.create_item({"id": "a", "pk": {"x": 1}}))
    await container.create_item({"id": "a", "pk": "p"})
    await refused(404, container.replace_item("a", {"id": "a", "pk": "q"}))
    await refused(400, container.replace_item("a", {"id": "b", "pk": "p"}))


async def test_size_limit(container):
    text = "é" * (1024 * 1024 - 300)  # two bytes each
    await container.create_item({"id": "a", "pk": "p", "text": text})
    assert (await container.read_item("a", "p"))["text"] == text
    await refused(413, container.upsert_item({"id": "a", "pk": "p", "text": text + "é" * 300}))
    assert (await container.read_item("a", "p"))["text"] == text


@pytest.mark.parametrize("item_id", ["a b", "ä♪😀", "a+b", "a%2Fb", "a&b=c;d", "{a}", "'", '"'])
async def test_ids_with_signs(container, item_id):
    made = await container.create_item({"id": item_id, "pk": "p"})
    assert await container.read_item(item_id, "p") == made
    assert await ids(container, "c.id = @id", id=item_id) == [item_id]
    await container.delete_item(item_id, "p")


async def test_headers(container):
    seen = []
    await container.create_item({"id": "a", "pk": "p"}, response_hook=lambda headers, _: seen.append(headers))
    await container.read_item("a", "p", response_hook=lambda headers, _: seen.append(headers))
    assert len(seen) == 2
    for headers in seen:
        assert headers["x-ms-session-token"]
        assert float(headers["x-ms-request-charge"]) > 0
        assert headers["x-ms-activity-id"]


async def test_items_expire(container):
    await container.create_item({"id": "short", "pk": "p", "ttl": 1})
    await container.create_item({"id": "long", "pk": "p", "ttl": 1000})
    await container.create_item({"id": "never", "pk": "p"})

    async def until_gone():
        while "short" in await ids(container):  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.05)

    await asyncio.wait_for(until_gone(), 20)
    await refused(404, container.read_item("short", "p"))
    await container.create_item({"id": "short", "pk": "p"})
    assert await ids(container) == ["long", "never", "short"]
    await refused(400, container.create_item({"id": "a", "pk": "p", "ttl": 0}))
