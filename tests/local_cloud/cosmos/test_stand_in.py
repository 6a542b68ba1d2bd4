"""What only the stand-in does: refusals by name, faults to order, its command line, and a kill."""

import contextlib
import socket
import subprocess
import sys
import threading

import aiohttp
import azure.cosmos
import pytest
from azure.core import MatchConditions
from azure.cosmos import PartitionKey

from local.process import free_port
from tests.local_cloud.cosmos.conftest import KEY, create, every, ids, query, refused, stand_in_only, start

pytestmark = stand_in_only


async def test_refused_queries(container, pk):
    for text, name in {
        "SELECT DISTINCT c.x FROM c": "DISTINCT",
        "SELECT * FROM c JOIN t IN c.tags": "JOIN",
        "SELECT * FROM c WHERE c.x LIKE 'a%'": "LIKE",
        "SELECT * FROM c WHERE udf.f(c.x)": "udf",
        "SELECT * FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.tags)": "EXISTS",
        "SELECT * FROM c WHERE ST_WITHIN(c.place, c.area)": "ST_WITHIN",
        "SELECT TOP 3 * FROM c ORDER BY VectorDistance(c.v, [1])": "(c.v",
    }.items():
        for scope in (pk, None):
            message = (await refused(400, query(container, text, scope))).message
            assert "not supported by the local Cosmos stand-in: " in message
            assert name in message.split("stand-in: ")[1]


async def test_refused_operations(client, database, container, pk):
    item = await container.create_item({"id": "a", "pk": pk})
    unique = {"uniqueKeys": [{"paths": ["/x"]}]}
    missing = {"match_condition": MatchConditions.IfMissing}
    vectors = {"vectorIndexes": [{"path": "/v", "type": "flat"}]}
    (whole, *_) = await every(container.read_feed_ranges())
    part = await container.feed_range_from_partition_key(pk)
    assert whole != part

    def new(**options):
        return database.create_container("new", **{"partition_key": PartitionKey("/pk")} | options)

    for name, operation in {
        "/docs": every(container.read_all_items()),
        "change feed": every(container.query_items_change_feed(partition_key=pk)),
        "a feed range of less": every(container.query_items("SELECT * FROM c", feed_range=part)),
        "If-None-Match on a write": container.upsert_item({"id": "a", "pk": pk}, **missing),
        "triggers": container.upsert_item({"id": "a", "pk": pk}, pre_trigger_include="t"),
        "sprocs": every(container.scripts.list_stored_procedures()),
        "conflicts": every(container.list_conflicts()),
        "offers": container.get_throughput(),
        "PUT /dbs/": database.replace_container(container, PartitionKey("/pk"), default_ttl=5),
        "POST /dbs as a query": every(client.query_databases("SELECT * FROM c")),
        "GET /dbs": every(client.list_databases()),
        "/colls": every(database.list_containers()),
        "uniqueKeyPolicy": new(unique_key_policy=unique),
        "a mode other than consistent": new(indexing_policy={"indexingMode": "none", "automatic": False}),
        "vectorIndexes": new(indexing_policy=vectors),
        "one partition key path": new(partition_key=PartitionKey(["/a", "/b"], kind="MultiHash")),
        "partition key path such as": new(partition_key=PartitionKey("/a/b")),
    }.items():
        message = (await refused(400, operation)).message
        assert "not supported by the local Cosmos stand-in: " in message
        assert name.lower() in message.lower()
    assert await container.read_item("a", pk) == item


@pytest.fixture
async def fault(endpoint):
    """Have the next `count` requests for items fail, or those by `method`."""
    async with aiohttp.ClientSession(endpoint) as session:

        async def order(status, count=1, **more):
            answer = await session.post("/_local/fault", json={"status": status, "count": count} | more)
            assert answer.status == 200

        yield order
        await order(429, count=0)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_fault_that_the_sdk_retries(container, pk, fault, status):
    await create(container, pk, a={})
    seen = []
    await fault(status)
    await container.read_item(
        "a", pk, raw_response_hook=lambda response: seen.append(response.http_response.status_code)
    )
    assert seen in ([status, 200], [200])
    await fault(status, method="POST")
    assert (await container.read_item("a", pk))["id"] == "a"


async def test_a_throttled_request_says_when_to_come_again(container, pk, fault):
    await create(container, pk, a={})
    await fault(429, count=30, substatus=3200)
    error = await refused(429, container.read_item("a", pk))
    assert error.headers["x-ms-retry-after-ms"] == "10"
    assert error.sub_status == 3200


async def test_a_range_that_moved_is_looked_up_again(container, pk, fault):
    await create(container, pk, a={})
    await fault(410, substatus=1002)
    assert await ids(container, pk) == ["a"]


async def test_a_retry_with_reaches_the_caller(container, pk, fault):
    await fault(449)
    await refused(449, container.create_item({"id": "a", "pk": pk}))
    await container.create_item({"id": "a", "pk": pk})


def test_a_kill_loses_no_acknowledged_write(tmp_path):
    port = free_port()
    program = start(port, tmp_path)
    client = azure.cosmos.CosmosClient(f"http://127.0.0.1:{port}", KEY, retry_total=0)
    container = client.create_database("d").create_container("c", PartitionKey("/pk"), default_ttl=-1)
    acknowledged = {"a": -1, "b": -1}
    enough = threading.Event()

    def write(pk):
        try:
            for number in range(10_000):
                container.upsert_item({"id": "point", "pk": pk, "n": number})
                counter = {"id": "counter", "pk": pk, "n": number}
                item = {"id": str(number), "pk": pk, "n": number, "ttl": 1000}
                container.execute_item_batch([("upsert", (counter,)), ("create", (item,))], pk)
                acknowledged[pk] = number
                if min(acknowledged.values()) >= 10:
                    enough.set()
        except Exception:  # noqa: BLE001 - the kill reaches the client as one of many errors
            return

    writers = [threading.Thread(target=write, args=(pk,)) for pk in acknowledged]
    for writer in writers:
        writer.start()
    assert enough.wait(300)
    program.kill()
    for writer in writers:
        writer.join(60)
        assert not writer.is_alive()
    program = start(port, tmp_path)
    try:
        client = azure.cosmos.CosmosClient(f"http://127.0.0.1:{port}", KEY)
        container = client.get_database_client("d").get_container_client("c")
        for pk, last in acknowledged.items():
            assert last >= 10
            count = container.read_item("counter", pk)["n"]
            assert count in (last, last + 1)
            assert container.read_item("point", pk)["n"] in (count, count + 1)
            query = "SELECT VALUE c.n FROM c WHERE IS_DEFINED(c.ttl) ORDER BY c.n"
            kept = list(container.query_items(query, partition_key=pk))
            assert kept == list(range(count + 1)), "a batch is there as a whole or not at all"
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
    (broken / "cosmos.sqlite").write_text("no database " * 100)
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
            output, errors = program.communicate(timeout=300)
            assert program.returncode != 0
            assert words in errors.splitlines()[-1]
            assert "Traceback" not in errors
            assert output == ""
