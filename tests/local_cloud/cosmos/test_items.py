"""Single items: points, conditions, limits, expiry."""

import asyncio
import time

import pytest
from azure.core import MatchConditions
from azure.cosmos import exceptions
from azure.cosmos.partition_key import NonePartitionKeyValue

from tests.local_cloud.cosmos.conftest import create, ids, refused


def if_match(item):
    return {"etag": item["_etag"], "match_condition": MatchConditions.IfNotModified}


async def test_create_read_replace_upsert_delete(container, pk):
    made = await container.create_item(
        {"id": "a", "pk": pk, "title": "Ärger ♪", "n": [1, 2.5, None, {"x": True}]}
    )
    assert {"_rid", "_self", "_etag", "_ts"} <= made.keys()
    assert abs(made["_ts"] - time.time()) < 60
    assert await container.read_item("a", pk) == made
    replaced = await container.replace_item("a", {"id": "a", "pk": pk, "title": "new"})
    assert replaced["_etag"] != made["_etag"]
    assert replaced["_rid"] == made["_rid"]
    assert "n" not in replaced
    assert (await container.upsert_item({"id": "a", "pk": pk}))["_rid"] == made["_rid"]
    assert (await container.upsert_item({"id": "b", "pk": pk}))["id"] == "b"
    assert await ids(container, pk) == ["a", "b"]
    await container.delete_item("a", pk)
    await refused(404, container.read_item("a", pk))
    assert await ids(container, pk) == ["b"]


async def test_conflicts_and_the_missing(container, pk):
    await container.create_item({"id": "a", "pk": pk})
    with pytest.raises(exceptions.CosmosResourceExistsError):
        await container.create_item({"id": "a", "pk": pk})
    await container.create_item({"id": "a", "pk": f"another {pk}"})
    with pytest.raises(exceptions.CosmosResourceNotFoundError):
        await container.read_item("b", pk)
    await refused(404, container.replace_item("b", {"id": "b", "pk": pk}))
    await refused(404, container.delete_item("b", pk))
    await refused(404, container.patch_item("b", pk, [{"op": "set", "path": "/x", "value": 1}]))
    await refused(404, container.read_item("a", f"wrong {pk}"))


async def test_conditional_writes(container, pk):
    old = await container.create_item({"id": "a", "pk": pk})
    new = await container.upsert_item({"id": "a", "pk": pk, "n": 1})
    changed = {"id": "a", "pk": pk, "n": 2}
    increment = [{"op": "incr", "path": "/n", "value": 1}]
    await refused(412, container.replace_item("a", changed, **if_match(old)))
    await refused(412, container.upsert_item(changed, **if_match(old)))
    await refused(412, container.patch_item("a", pk, increment, **if_match(old)))
    with pytest.raises(exceptions.CosmosAccessConditionFailedError):
        await container.delete_item("a", pk, **if_match(old))
    assert (await container.read_item("a", pk))["n"] == 1
    newest = await container.patch_item("a", pk, increment, **if_match(new))
    assert newest["n"] == 2
    await refused(412, container.patch_item("a", pk, increment, **if_match(new)))
    await container.delete_item("a", pk, **if_match(newest))
    assert await ids(container, pk) == []


async def test_one_of_many_conditional_writers_wins(container, pk):
    item = await container.create_item({"id": "a", "pk": pk})
    tries = [container.replace_item("a", {"id": "a", "pk": pk, "n": n}, **if_match(item)) for n in range(10)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    lost = [each for each in results if isinstance(each, exceptions.CosmosAccessConditionFailedError)]
    assert len(lost) == 9


async def test_reading_again_what_has_not_changed(container, pk):
    item = await container.create_item({"id": "a", "pk": pk})
    statuses = []

    async def read():
        return await container.read_item(
            "a",
            pk,
            etag=item["_etag"],
            match_condition=MatchConditions.IfModified,
            raw_response_hook=lambda response: statuses.append(response.http_response.status_code),
        )

    assert not await read()  # the SDK has nothing to show of a 304
    newer = await container.upsert_item({"id": "a", "pk": pk, "n": 1})
    assert await read() == newer
    assert statuses == [304, 200]


@pytest.mark.parametrize("value", ["text", "quotes \"' ♪", "", 7, 7.5, True, False, None])
async def test_partition_key_values(container, pk, value):
    await container.create_item({"id": pk, "pk": value})
    assert (await container.read_item(pk, value))["pk"] == value
    other = "7" if value == 7 else "other"
    await refused(404, container.read_item(pk, other))
    if value is not None:  # the SDK's query takes None for "no partition key given"
        assert await ids(container, value) == [pk]


async def test_an_item_without_its_partition_key_property(container, pk):
    await container.create_item({"id": pk})
    assert (await container.read_item(pk, NonePartitionKeyValue))["id"] == pk
    await refused(404, container.read_item(pk, None))


async def test_a_partition_key_is_no_object_and_does_not_change(container, pk):
    await refused(400, container.create_item({"id": "a", "pk": {"x": 1}}))
    await container.create_item({"id": "a", "pk": pk})
    await refused(404, container.replace_item("a", {"id": "a", "pk": f"another {pk}"}))
    await refused(400, container.replace_item("a", {"id": "b", "pk": pk}))
    for path in ("/pk", "/id"):
        await refused(400, container.patch_item("a", pk, [{"op": "set", "path": path, "value": "b"}]))


async def test_size_limit(container, pk):
    text = "x" * (2 * 1024 * 1024 - 600)
    await container.create_item({"id": "a", "pk": pk, "text": text})
    assert (await container.read_item("a", pk))["text"] == text
    await refused(413, container.upsert_item({"id": "a", "pk": pk, "text": text + "x" * 600}))
    assert (await container.read_item("a", pk))["text"] == text


@pytest.mark.parametrize("item_id", ["a b", "ä♪😀", "a+b", "a%2Fb", "a&b=c;d", "{a}", "'", '"', "x" * 1023])
async def test_ids_with_signs(container, pk, item_id):
    made = await container.create_item({"id": item_id, "pk": pk})
    assert await container.read_item(item_id, pk) == made
    assert await ids(container, pk, "c.id = @id", id=item_id) == [item_id]
    await container.delete_item(item_id, pk)
    assert await ids(container, pk) == []


async def test_an_id_is_not_too_long(container, pk):
    await refused(400, container.create_item({"id": "x" * 1024, "pk": pk}))


async def test_headers(container, pk):
    seen = []
    await container.create_item({"id": "a", "pk": pk}, response_hook=lambda headers, _: seen.append(headers))
    await container.read_item("a", pk, response_hook=lambda headers, _: seen.append(headers))
    assert len(seen) == 2
    for headers in seen:
        assert headers["x-ms-session-token"]
        assert float(headers["x-ms-request-charge"]) > 0
        assert headers["x-ms-activity-id"]


async def test_the_sdk_sends_the_session_token_of_the_items_range(container, pk):
    """It computes the range that holds a partition: the stand-in has to agree."""
    tokens = []
    for suffix in range(8):
        mine = f"{pk}-{suffix}"
        headers = (await container.create_item({"id": "a", "pk": mine})).get_response_headers()
        await container.read_item(
            "a", mine, raw_response_hook=lambda response: tokens.append(response.http_request.headers)
        )
        sent = tokens[-1]["x-ms-session-token"]
        assert sent.split(":")[0] == headers["x-ms-session-token"].split(":")[0]


async def test_items_expire(container, pk):
    await create(container, pk, short={"ttl": 1}, long={"ttl": 1000}, never={})

    async def until_gone():
        while "short" in await ids(container, pk):  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.05)

    await asyncio.wait_for(until_gone(), 20)
    await refused(404, container.read_item("short", pk))
    assert sorted(await ids(container, pk)) == ["long", "never"]
    await container.create_item({"id": "short", "pk": pk})
    await refused(400, container.create_item({"id": "a", "pk": pk, "ttl": 0}))


async def test_a_partition_is_deleted_as_a_whole(container, pk):
    other = f"another {pk}"
    await create(container, pk, a={}, b={})
    await create(container, other, a={})
    await container.delete_all_items_by_partition_key(pk)
    assert await ids(container, pk) == []
    assert await ids(container, other) == ["a"]
    await container.delete_all_items_by_partition_key(pk)
