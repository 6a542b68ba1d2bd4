"""The Cosmos stand-in through azure-cosmos, beside an empty aiohttp handler and a bare SQLite read.

The documents are put in by the stand-in's own store before it starts: over the socket they would take
most of the benchmark's time.
"""

import argparse
import asyncio
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from azure.cosmos.aio import ContainerProxy, CosmosClient

from benchmarks.rows import Row, row
from local.cosmos.auth import EMULATOR_KEY
from local.cosmos.documents import Partition, check_definition
from local.cosmos.store import Store
from local.process import Program, free_port

SIZES = {"small": 1_000, "large": 100_000}
PAGE = 50
ROUNDS = 150
WALK = 1_000
"""Documents a page on the way to the middle: a token is good for any page size."""

QUERY = "SELECT * FROM c ORDER BY c.bpm"
NOTE = f"p50 of {ROUNDS} requests by azure-cosmos (aio), one after the other"


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch)
        with ProcessPoolExecutor(1) as pool:  # the file is its process's alone, until that ends
            pool.submit(_fill, data / "cosmos.sqlite").result()
        ports = {"cosmos": free_port(), "empty": free_port()}
        programs = [
            Program.module("cosmos", "local.cosmos", "--port", str(ports["cosmos"]), "--data", str(data)),
            Program.module("empty", "benchmarks.cosmos", str(ports["empty"])),
        ]
        try:
            for program in programs:
                program.wait_ready(30)
            measured = asyncio.run(_measure(ports["cosmos"], ports["empty"]))
        finally:
            for program in programs:
                program.stop()
        bare_read, bare_page = _bare_sqlite(data / "cosmos.sqlite")
    read = measured["read"]
    rows = [
        row(
            "point read, ms; empty handler", read, measured["empty"], at_most=5, note=f"{NOTE}; aiohttp alone"
        ),
        row("point read, ms; bare SQLite", read, bare_read, at_most=5, note=NOTE),
    ]
    for depth in ("first", "deep"):
        small, large = measured[f"small {depth}"], measured[f"large {depth}"]
        what = f"{depth} page of {PAGE}, ms"
        note = f"{NOTE}; {SIZES['large']:,} documents in a partition, ORDER BY"
        rows += [
            row(f"{what}; bare SQLite", large, bare_page, at_most=25, note=note),
            row(f"{what}; of {SIZES['small']:,}", large, small, at_most=1.5, bar_on="ratio", note=note),
        ]
    return rows


def _fill(file: Path) -> None:
    """Write a container of each size, with one partition of documents like those of `search-index`."""
    store, randomness = Store(file), random.Random(1)
    partition = Partition.of("p")
    with store.transaction():
        store.create("dbs/music", {"id": "music"})
        for name, size in SIZES.items():
            policy = {"includedPaths": [{"path": "/bpm/?"}], "excludedPaths": [{"path": "/*"}]}
            key = {"paths": ["/pk"], "kind": "Hash", "version": 2}
            store.create(
                f"dbs/music/colls/{name}",
                check_definition({"id": name, "partitionKey": key, "indexingPolicy": policy}),
            )
            container = store.container(f"dbs/music/colls/{name}")
            for number in range(size):
                bpm = round(randomness.uniform(60, 200), 1)
                stem = {"id": f"stem-{number}", "pk": "p", "bpm": bpm, "type": "Bass", "key": "C# minor"}
                store.write(container, partition, stem | {"audioFileId": "x" * 36, "title": "y" * 60}, None)


async def _measure(cosmos: int, empty: int) -> dict[str, float]:
    """Measure all by turns, so that a busy machine is busy for each."""
    async with (
        CosmosClient(f"http://127.0.0.1:{cosmos}", EMULATOR_KEY) as client,
        aiohttp.ClientSession(f"http://127.0.0.1:{empty}") as session,
    ):
        database = client.get_database_client("music")
        containers = {name: database.get_container_client(name) for name in SIZES}

        async def get() -> None:
            async with session.get("/") as answer:
                await answer.read()

        def read() -> Awaitable[Any]:
            return containers["large"].read_item("stem-5000", "p")

        def page(container: ContainerProxy, token: str | None) -> Callable[[], Awaitable[Any]]:
            return lambda: _page(container, PAGE, token)

        tasks: dict[str, Callable[[], Awaitable[Any]]] = {"empty": get, "read": read}
        for name, container in containers.items():
            tasks[f"{name} first"] = page(container, None)
            tasks[f"{name} deep"] = page(container, await _middle(container, SIZES[name]))
        times: dict[str, list[float]] = {name: [] for name in tasks}
        for _ in range(ROUNDS):
            for name, task in tasks.items():
                started = time.perf_counter()
                await task()
                times[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(each) for name, each in times.items()}


async def _page(container: ContainerProxy, size: int, token: str | None) -> str | None:
    pager = container.query_items(QUERY, partition_key="p", max_item_count=size).by_page(token)
    rows = [each async for each in await anext(pager)]
    assert len(rows) == size
    return pager.continuation_token


async def _middle(container: ContainerProxy, size: int) -> str | None:
    """Return the token that leads to the middle of the container."""
    token = None
    for _ in range(size // 2 // min(WALK, size // 2)):
        token = await _page(container, min(WALK, size // 2), token)
    return token


def _bare_sqlite(file: Path) -> tuple[float, float]:
    """Return the times of one read by key and of one page by the index, in ms."""
    connection = sqlite3.connect(file)
    table = f"items_{len(SIZES) + 1}"  # the database is number 1
    (columns,) = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE type = 'index' AND name LIKE ? || '_by_kind%'", (table,)
    ).fetchone()
    kind, value = columns.split("(")[1].rstrip(")").split(", ")[1:]
    statements = {
        "read": f"SELECT body FROM {table} WHERE partition = '\"p\"' AND id = 'stem-5000'",
        "page": f"SELECT body FROM {table} WHERE partition = '\"p\"' ORDER BY {kind}, {value} LIMIT {PAGE}",
    }
    medians = []
    for statement in statements.values():
        times = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            for (body,) in connection.execute(statement).fetchall():
                json.loads(body)
            times.append(1000 * (time.perf_counter() - started))
        medians.append(statistics.median(times))
    return medians[0], medians[1]


def main() -> None:
    parser = argparse.ArgumentParser(description="The empty handler, as the benchmark starts it.")
    parser.add_argument("port", type=int)

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/", answer)
    announce = lambda _: print("ready", flush=True)  # noqa: E731
    web.run_app(app, host="127.0.0.1", port=parser.parse_args().port, access_log=None, print=announce)


if __name__ == "__main__":
    main()
