"""Partial document updates and transactional batches."""

import asyncio

import pytest
from azure.cosmos import exceptions

from tests.local_cloud.cosmos.conftest import create, ids, refused


async def test_every_patch_operation(container, pk):
    made = await container.create_item(
        {"id": "a", "pk": pk, "n": 1, "tags": ["x", "y"], "deep": {"m": 2}, "old": 1, "name": "first"}
    )
    operations = [
        {"op": "add", "path": "/tags/1", "value": "z"},
        {"op": "add", "path": "/tags/-", "value": "last"},
        {"op": "set", "path": "/deep/k", "value": None},
        {"op": "set", "path": "/tags/0", "value": "first"},
        {"op": "replace", "path": "/name", "value": "second"},
        {"op": "remove", "path": "/old"},
        {"op": "incr", "path": "/n", "value": 1.5},
        {"op": "incr", "path": "/new", "value": 2},
        {"op": "move", "from": "/deep/m", "path": "/moved"},
    ]
    patched = await container.patch_item("a", pk, operations)
    assert patched["_etag"] != made["_etag"]
    assert patched["_rid"] == made["_rid"]
    assert {name: value for name, value in patched.items() if name[0] != "_"} == {
        "id": "a",
        "pk": pk,
        "n": 2.5,
        "new": 2,
        "tags": ["first", "z", "y", "last"],
        "deep": {"k": None},
        "name": "second",
        "moved": 2,
    }
    assert await container.read_item("a", pk) == patched


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/new", "value": 1},
        {"op": "remove", "path": "/new"},
        {"op": "set", "path": "/new/deeper", "value": 1},
        {"op": "add", "path": "/tags/3", "value": 1},
        {"op": "incr", "path": "/tags", "value": 1},
    ],
)
async def test_a_patch_that_fails_changes_nothing(container, pk, operation):
    made = await container.create_item({"id": "a", "pk": pk, "tags": [1, 2], "n": 1})
    await refused(400, container.patch_item("a", pk, [{"op": "set", "path": "/n", "value": 2}, operation]))
    assert await container.read_item("a", pk) == made


async def test_a_patch_has_up_to_ten_operations(container, pk):
    await container.create_item({"id": "a", "pk": pk, "n": 0})
    one = {"op": "incr", "path": "/n", "value": 1}
    assert (await container.patch_item("a", pk, [one] * 10))["n"] == 10
    await refused(400, container.patch_item("a", pk, [one] * 11))


async def test_a_patch_under_a_condition(container, pk):
    await container.create_item({"id": "a", "pk": pk, "status": "Pending", "n": 0})
    claim = [{"op": "set", "path": "/status", "value": "Running"}, {"op": "incr", "path": "/n", "value": 1}]
    condition = "FROM c WHERE c.status IN ('Pending', 'Retrying') AND NOT IS_DEFINED(c.worker)"
    tries = (container.patch_item("a", pk, claim, filter_predicate=condition) for _ in range(8))
    results = await asyncio.gather(*tries, return_exceptions=True)
    lost = [each for each in results if isinstance(each, exceptions.CosmosAccessConditionFailedError)]
    assert len(lost) == 7
    assert (await container.read_item("a", pk))["n"] == 1
    undefined = "from c where c.nothing != 1"
    await refused(412, container.patch_item("a", pk, claim, filter_predicate=undefined))


async def test_a_batch_does_all(container, pk):
    old = await container.create_item({"id": "old", "pk": pk, "n": 1})
    await create(container, pk, gone={}, patched={"n": 1})
    results = await container.execute_item_batch(
        [
            ("create", ({"id": "new", "pk": pk},)),
            ("upsert", ({"id": "upserted", "pk": pk},)),
            ("replace", ("old", {"id": "old", "pk": pk, "n": 2}), {"if_match_etag": old["_etag"]}),
            ("read", ("new",)),
            (
                "patch",
                ("patched", [{"op": "incr", "path": "/n", "value": 1}]),
                {"filter_predicate": "from c where c.n = 1"},
            ),
            ("delete", ("gone",)),
        ],
        pk,
    )
    assert [result["statusCode"] for result in results] == [201, 201, 200, 200, 200, 204]
    assert results[3]["resourceBody"] == await container.read_item("new", pk)
    assert results[2]["eTag"] == (await container.read_item("old", pk))["_etag"]
    assert results[4]["resourceBody"]["n"] == 2
    assert "resourceBody" not in results[5]
    assert sorted(await ids(container, pk)) == ["new", "old", "patched", "upserted"]


@pytest.mark.parametrize(
    ("failing", "status"),
    [
        (("create", ({"id": "old", "pk": "PK"},)), 409),
        (("replace", ("none", {"id": "none", "pk": "PK"})), 404),
        (("delete", ("old",), {"if_match_etag": '"other"'}), 412),
        (("patch", ("old", [{"op": "remove", "path": "/nothing"}])), 400),
        (("read", ("none",)), 404),
    ],
)
async def test_a_batch_does_all_or_nothing(container, pk, failing, status):
    made = await container.create_item({"id": "old", "pk": pk})
    kind, (*names, last), *options = failing
    last = last | {"pk": pk} if isinstance(last, dict) else last
    operations = [
        ("create", ({"id": "new", "pk": pk},)),
        ("upsert", ({"id": "old", "pk": pk, "n": 1},)),
        (kind, (*names, last), *({**each} for each in options)),
        ("create", ({"id": "newer", "pk": pk},)),
    ]
    if kind == "create":
        operations[1] = ("upsert", ({"id": "upserted", "pk": pk},))
    with pytest.raises(exceptions.CosmosBatchOperationError) as caught:
        await container.execute_item_batch(operations, pk)
    assert caught.value.status_code == status
    assert caught.value.error_index == 2
    statuses = [result["statusCode"] for result in caught.value.operation_responses]
    assert statuses == [424, 424, status, 424]
    assert await ids(container, pk) == ["old"]
    assert await container.read_item("old", pk) == made


async def test_a_batch_is_of_one_partition_and_up_to_100_operations(container, pk):
    def creations(count, of=pk):
        return [("create", ({"id": str(number), "pk": of},)) for number in range(count)]

    await refused(400, container.execute_item_batch(creations(1, f"another {pk}"), pk))
    await refused(400, container.execute_item_batch(creations(101), pk))
    assert await ids(container, pk) == []
    await container.execute_item_batch(creations(100), pk)
    assert len(await ids(container, pk)) == 100
    large = [("upsert", ({"id": name, "pk": pk, "text": "x" * 1024 * 1024},)) for name in "ab"]
    await refused(413, container.execute_item_batch(large, pk))
