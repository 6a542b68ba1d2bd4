"""Queries of the Cosmos stand-in, what it refuses, and the program itself."""

import contextlib
import socket
import subprocess
import sys
import threading

import azure.cosmos
import pytest
from azure.core import MatchConditions
from azure.cosmos import PartitionKey, exceptions
from azure.cosmos.aio import CosmosClient

from local.cosmos.auth import EMULATOR_KEY
from local.process import free_port
from tests.local_cloud.cosmos.conftest import every, ids, refused, start

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
