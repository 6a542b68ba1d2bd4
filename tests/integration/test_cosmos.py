"""The Cosmos stand-in as a program of its own, through the real SDK over a socket."""

import asyncio
import contextlib
import itertools
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import azure.cosmos
import pytest
from azure.core import MatchConditions
from azure.cosmos import PartitionKey, exceptions
from azure.cosmos.aio import CosmosClient
from azure.cosmos.partition_key import NonePartitionKeyValue

from local.cosmos.auth import EMULATOR_KEY
from local.process import Program, free_port

INFRA = json.loads((Path(__file__).parents[2] / "infra/cosmos.json").read_text())
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


# Queries


async def test_undefined_is_not_null(container):
    for name, document in {"undefined": {}, "null": {"x": None}, "one": {"x": 1}, "text": {"x": "1"}}.items():
        await container.create_item({"id": name, "pk": "p", **document})
    assert await ids(container, "c.x = null") == ["null"]
    assert await ids(container, "c.x = @x", x=None) == ["null"]
    assert await ids(container, "c.x != 2") == ["one"]
    assert await ids(container, "c.x != '2'") == ["text"]
    assert await ids(container, "c.x > 0 AND c.x < 2") == ["one"]
    rows = await every(container.query_items("SELECT * FROM c", partition_key="p"))
    assert "x" not in rows[0]
    assert rows[1]["x"] is None


async def test_a_query_sees_its_partition_only(container):
    for pk in ("p", "q", 1, "1"):
        await container.create_item({"id": f"of {pk!r}", "pk": pk})
    assert await ids(container, pk="q") == ["of 'q'"]
    assert await ids(container, pk=1) == ["of 1"]
    assert await ids(container, pk="none") == []


@pytest.mark.parametrize(("direction", "late"), [("ASC", -1), ("DESC", 1000)])
async def test_pages_go_on_where_they_stopped_whatever_is_inserted_before(container, direction, late):
    bpm = [120, 90.5, 120, 60, 174, 120, 99, 61, 128, 120]
    for number, value in enumerate(bpm):
        await container.create_item({"id": str(number), "pk": "p", "bpm": value})
    query = f"SELECT * FROM c WHERE c.bpm > @low ORDER BY c.bpm {direction}"
    rows, token = [], None
    for number in range(100):
        pager = container.query_items(
            query, parameters=[{"name": "@low", "value": -5}], partition_key="p", max_item_count=3
        ).by_page(token)
        page = [row async for row in await anext(pager)]
        rows += page
        token = pager.continuation_token
        if token is None:
            break
        assert len(page) == 3
        await container.create_item({"id": f"late {number}", "pk": "p", "bpm": late})
        await container.delete_item(page[-1]["id"], "p")  # not even the last row seen has to stay
    assert [row["bpm"] for row in rows] == sorted(bpm, reverse=direction == "DESC")
    assert len({row["id"] for row in rows}) == len(bpm)


async def test_a_continuation_token_is_good_for_its_own_query_only(container):
    for number in range(4):
        await container.create_item({"id": str(number), "pk": "p", "n": number})
        await container.create_item({"id": str(number), "pk": "q", "n": number})

    async def page(token, query="SELECT * FROM c WHERE c.n >= @n ORDER BY c.n", n=0, pk="p"):
        parameters = [{"name": "@n", "value": n}]
        pager = container.query_items(
            query, parameters=parameters, partition_key=pk, max_item_count=1
        ).by_page(token)
        rows = [row["n"] async for row in await anext(pager)]
        return rows, pager.continuation_token

    rows, token = await page(None)
    assert rows == [0]
    assert (await page(token))[0] == [1]
    for other in (
        page(token, query="SELECT * FROM c WHERE c.n >= @n ORDER BY c.n DESC"),
        page(token, n=1),
        page(token, pk="q"),
        page("garbage"),
        page("Z2FyYmFnZQ=="),
        page(token[:-8]),
    ):
        assert "Invalid Continuation Token" in (await refused(400, other)).message


async def test_only_what_is_indexed_can_be_ordered_by(container):
    await container.create_item({"id": "a", "pk": "p", "notes": 1})
    error = await refused(
        400, every(container.query_items("SELECT * FROM c ORDER BY c.notes", partition_key="p"))
    )
    assert "order-by item is excluded" in error.message
    assert await ids(container, "c.notes = 1") == ["a"]


# What is not supported is refused by name


async def test_refused_queries(container):
    for query, name in {
        "SELECT c.id FROM c": "c.id",
        "SELECT VALUE COUNT(1) FROM c": "VALUE",
        "SELECT * FROM c WHERE c.x = 1 OR c.x = 2": "OR",
        "SELECT * FROM c ORDER BY c.x OFFSET 3 LIMIT 4": "OFFSET",
    }.items():
        error = await refused(400, every(container.query_items(query, partition_key="p")))
        assert f"not supported by the local Cosmos stand-in: '{name}" in error.message


async def test_refused_operations(endpoint, database, container):
    item = await container.create_item({"id": "a", "pk": "p"})
    unique = {"uniqueKeys": [{"paths": ["/x"]}]}
    lazy = {"indexingMode": "none", "automatic": False}
    known = {"etag": item["_etag"], "match_condition": MatchConditions.IfModified}
    two_paths = PartitionKey(["/a", "/b"], kind="MultiHash")
    async with CosmosClient(endpoint, EMULATOR_KEY) as client:
        for name, operation in {
            "cross-partition requests": every(container.query_items("SELECT * FROM c")),
            "GET /dbs/music/colls/items": every(container.read_all_items()),
            "GET /dbs/music/colls/items ": every(container.query_items_change_feed(partition_key="p")),
            "PATCH /": container.patch_item("a", "p", [{"op": "set", "path": "/x", "value": 1}]),
            "transactional batch": container.execute_item_batch([("read", ("a",))], "p"),
            "delete by partition key": container.delete_all_items_by_partition_key("p"),
            "the header If-None-Match": container.read_item("a", "p", **known),
            "header If-None-Match": container.upsert_item(
                {"id": "a", "pk": "p"}, match_condition=MatchConditions.IfMissing
            ),
            "trigger-include": container.upsert_item({"id": "a", "pk": "p"}, pre_trigger_include="t"),
            "sprocs": every(container.scripts.list_stored_procedures()),
            "POST /offers": container.get_throughput(),
            "PUT /dbs/music": database.replace_container(container, PartitionKey("/pk"), default_ttl=5),
            "POST /dbs as a query": every(client.query_databases("SELECT * FROM c")),
            "GET /dbs": every(client.list_databases()),
            "GET /dbs/music/colls": every(database.list_containers()),
            "DELETE /dbs/music/colls/": database.delete_container(container),
            "DELETE /dbs/music": client.delete_database("music"),
            "uniqueKeyPolicy": database.create_container("u", PartitionKey("/pk"), unique_key_policy=unique),
            "indexing mode none": database.create_container("l", PartitionKey("/pk"), indexing_policy=lazy),
            "one partition key path": database.create_container("h", two_paths),
            "partition key path such as": database.create_container("n", PartitionKey("/a/b")),
        }.items():
            message = (await refused(400, operation)).message
            assert "not supported by the local Cosmos stand-in: " in message
            assert name.strip().lower() in message.lower()
    assert await container.read_item("a", "p") == item


# The program


async def test_a_wrong_key_is_unauthorised(endpoint):
    client = CosmosClient(endpoint, "A" + EMULATOR_KEY[1:])
    try:
        await refused(401, client.create_database("x"))
    finally:
        await client.close()


def test_the_synchronous_client(endpoint):
    client = azure.cosmos.CosmosClient(endpoint, EMULATOR_KEY)
    database = client.create_database_if_not_exists("sync")
    container = database.create_container_if_not_exists("c", PartitionKey("/pk"))
    for number in range(5):
        container.upsert_item({"id": str(number), "pk": "p", "n": number})
    query = "SELECT * FROM c ORDER BY c.n DESC"
    pages = container.query_items(query, partition_key="p", max_item_count=2).by_page()
    assert [[row["n"] for row in page] for page in pages] == [[4, 3], [2, 1], [0]]
    with pytest.raises(exceptions.CosmosResourceNotFoundError):
        container.read_item("9", "p")


def test_a_kill_loses_no_acknowledged_write(tmp_path):
    port = free_port()
    program = start(port, tmp_path)
    client = azure.cosmos.CosmosClient(
        f"http://127.0.0.1:{port}", EMULATOR_KEY, retry_total=0, connection_timeout=2
    )
    container = client.create_database("d").create_container("c", PartitionKey("/pk"), default_ttl=-1)
    acknowledged = {"a": -1, "b": -1}
    enough = threading.Event()

    def write(pk):
        try:
            for number in range(10_000):
                container.upsert_item({"id": "counter", "pk": pk, "n": number})
                container.create_item({"id": str(number), "pk": pk, "ttl": 1000})
                acknowledged[pk] = number
                if number == 25:
                    enough.set()
        except Exception:  # noqa: BLE001 - the kill reaches the client as one of many errors
            return

    writers = [threading.Thread(target=write, args=(pk,)) for pk in acknowledged]
    for writer in writers:
        writer.start()
    assert enough.wait(60)
    program.kill()
    for writer in writers:
        writer.join(60)
        assert not writer.is_alive()
    program = start(port, tmp_path)
    try:
        client = azure.cosmos.CosmosClient(f"http://127.0.0.1:{port}", EMULATOR_KEY)
        container = client.get_database_client("d").get_container_client("c")
        for pk, last in acknowledged.items():
            assert last > 0
            kept = {row["id"] for row in container.query_items("SELECT * FROM c", partition_key=pk)}
            assert {str(number) for number in range(last + 1)} <= kept
            assert container.read_item("counter", pk)["n"] in (last, last + 1)
    finally:
        program.stop()


def run_program(*arguments):
    command = [sys.executable, "-m", "local.cosmos", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_bad_input_ends_with_one_clear_line(tmp_path):
    file = tmp_path / "file"
    file.write_text("no folder")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "cosmos.db").write_text("no database " * 100)
    used = tmp_path / "used"
    other = start(free_port(), used)
    with socket.socket() as taken, contextlib.ExitStack() as at_end:
        at_end.callback(other.stop)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        programs = {
            "arguments are required: --port, --data": run_program(),
            "port must be": run_program("--port", 70_000, "--data", tmp_path),
            "exists": run_program("--port", free_port(), "--data", file),
            "not a database": run_program("--port", free_port(), "--data", broken),
            "database is locked": run_program("--port", free_port(), "--data", used),
            "address already in use": run_program(
                "--port", taken.getsockname()[1], "--data", tmp_path / "new"
            ),
        }
        for words, program in programs.items():
            output, errors = program.communicate(timeout=60)
            assert program.returncode != 0
            assert words in errors.splitlines()[-1]
            assert "Traceback" not in errors
            assert output == ""
