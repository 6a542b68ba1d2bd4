"""Queries without a partition key: four ranges, and the plan that the SDK asks for."""

import uuid

import pytest
from azure.cosmos import PartitionKey

from tests.local_cloud.cosmos.conftest import POLICY, every, pages, query, refused, stand_in_only

COUNT = 24


@pytest.fixture(scope="module")
async def numbers(database):
    """A container of items of a partition each, which lie in all ranges."""
    container = await database.create_container(
        f"across {uuid.uuid4()}", PartitionKey("/id"), indexing_policy=POLICY
    )
    for number in range(COUNT):
        parity = "even" if number % 2 == 0 else "odd"
        await container.create_item({"id": str(number), "n": number, "parity": parity, "bpm": number / 2})
    return container


@pytest.fixture
def requests(numbers):
    """The names of the requests that a query made."""
    seen = []

    def hook(response):
        headers = response.http_request.headers
        is_plan = headers.get("x-ms-cosmos-is-query-plan-request")
        seen.append("plan" if is_plan else headers.get("x-ms-documentdb-partitionkeyrangeid"))

    return seen, hook


@stand_in_only
async def test_items_lie_in_four_ranges(numbers):
    ranges = await every(numbers.read_feed_ranges())
    assert len(ranges) == 4
    counts = [
        len(await every(numbers.query_items("SELECT * FROM c", feed_range=feed_range)))
        for feed_range in ranges
    ]
    assert sum(counts) == COUNT
    assert all(counts)


async def test_conditions_stream_over_all_ranges(numbers, requests):
    seen, hook = requests
    found = numbers.query_items(
        "SELECT c.id, c.n FROM c WHERE c.parity = @parity AND c.n < 20",
        parameters=[{"name": "@parity", "value": "odd"}],
        raw_response_hook=hook,
    )
    rows = await every(found)
    assert sorted(row["n"] for row in rows) == list(range(1, 20, 2))
    assert "plan" not in seen
    assert await query(numbers, "SELECT * FROM c WHERE c.parity = 'neither'") == []


@pytest.mark.parametrize("size", [1, 5, 100])
async def test_streamed_pages_by_token(numbers, size):
    found = await pages(numbers, "SELECT VALUE c.n FROM c", size)
    assert sorted(number for page in found for number in page) == list(range(COUNT))
    assert all(len(page) <= size for page in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT VALUE COUNT(1) FROM c", COUNT),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.parity = 'odd'", COUNT // 2),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.parity = 'neither'", 0),
        ("SELECT VALUE SUM(c.n) FROM c", sum(range(COUNT))),
        ("SELECT VALUE AVG(c.n) FROM c", sum(range(COUNT)) / COUNT),
        ("SELECT VALUE MIN(c.n) FROM c WHERE c.n > 3", 4),
        ("SELECT VALUE MAX(c.n) FROM c", COUNT - 1),
    ],
)
async def test_aggregates_are_merged_by_a_plan(numbers, text, expected):
    assert await query(numbers, text) == [expected]


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_order_by_is_merged_by_a_plan(numbers, size):
    found = numbers.query_items("SELECT c.n FROM c ORDER BY c.bpm DESC", max_item_count=size)
    assert [row["n"] for row in await every(found)] == list(range(COUNT))[::-1]
    evens = "SELECT VALUE c.n FROM c WHERE c.parity = 'even' ORDER BY c.n"
    assert await query(numbers, evens) == list(range(0, COUNT, 2))
    error = await refused(400, query(numbers, "SELECT * FROM c ORDER BY c.notes"))
    assert "excluded" in error.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT TOP 3 VALUE c.n FROM c ORDER BY c.n", [0, 1, 2]),
        ("SELECT VALUE c.n FROM c ORDER BY c.n OFFSET 5 LIMIT 3", [5, 6, 7]),
        ("SELECT VALUE c.n FROM c ORDER BY c.n DESC OFFSET 22 LIMIT 9", [1, 0]),
    ],
)
async def test_top_and_offset_limit_of_all_ranges(numbers, text, expected):
    assert await query(numbers, text) == expected


async def test_top_without_an_order_is_of_all_ranges_together(numbers):
    assert len(await query(numbers, "SELECT TOP 20 * FROM c")) == 20
    assert len(await query(numbers, "SELECT * FROM c OFFSET 20 LIMIT 20")) == COUNT - 20


async def test_what_this_sdk_cannot_merge_is_refused_as_in_azure(numbers):
    await refused(400, query(numbers, "SELECT c.parity, COUNT(1) AS n FROM c GROUP BY c.parity"))
    await refused(400, query(numbers, "SELECT COUNT(1) AS n FROM c"))
