"""Queries within a partition."""

import pytest

from tests.local_cloud.cosmos.conftest import create, every, ids, pages, query, refused

STEMS = {
    "a": {"kind": "stem", "key": "C", "bpm": 120, "tags": ["loud", 1], "deep": {"x": {"y": 1}}},
    "b": {"kind": "stem", "key": "D", "bpm": 90.5, "tags": [], "title": "Ärger"},
    "c": {"kind": "stem", "key": "C", "bpm": 60, "title": None},
    "d": {"kind": "song", "key": "C", "bpm": None},
    "e": {"kind": "song"},
}


@pytest.fixture
async def stems(container, pk):
    await create(container, pk, **STEMS)
    return container


async def test_undefined_is_not_null(container, pk):
    await create(container, pk, undefined={}, null={"x": None}, one={"x": 1}, text={"x": "1"})

    async def found(where, **parameters):
        return sorted(await ids(container, pk, where, **parameters))

    assert await found("c.x = null") == ["null"]
    assert await found("c.x = @x", x=None) == ["null"]
    assert await found("c.x != 2") == ["one"]
    assert await found("NOT (c.x = 2)") == ["one"]
    assert await found("NOT (c.x = 2 OR c.nothing = 1)") == []
    assert await found("c.x = 1 OR c.nothing = 1") == ["one"]
    assert await found("NOT IS_DEFINED(c.x)") == ["undefined"]
    assert await found("IS_NULL(c.x)") == ["null"]
    assert await found("NOT IS_NULL(c.x)") == ["one", "text", "undefined"]
    rows = {row["id"]: row for row in await query(container, "SELECT * FROM c", pk)}
    assert "x" not in rows["undefined"]
    assert rows["null"]["x"] is None


async def test_a_query_sees_its_partition_only(container, pk):
    for suffix in "pq":
        await container.create_item({"id": f"of {suffix}", "pk": pk + suffix})
    assert await ids(container, f"{pk}q") == ["of q"]
    assert await ids(container, f"{pk}r") == []


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("c.bpm > 60 AND c.bpm <= 120", "ab"),
        ("c.bpm BETWEEN 60 AND 100", "bc"),
        ("c.bpm NOT BETWEEN 60 AND 100", "a"),
        ("c.key IN ('D', 'E')", "b"),
        ("c.key NOT IN ('D', 'E')", "acd"),
        ("NOT (c.key = 'C')", "b"),
        ("c.key = 'D' OR c.kind = 'song'", "bde"),
        ("STARTSWITH(c.title, 'Är')", "b"),
        ("STARTSWITH(c.title, 'är')", ""),
        ("STARTSWITH(c.title, 'ger')", ""),
        ("STARTSWITH(c.title, 'är', true)", "b"),
        ("CONTAINS(c.title, 'ger')", "b"),
        ("CONTAINS(c.title, 'GER')", ""),
        ("CONTAINS(c.title, 'GER', true)", "b"),
        ("ARRAY_CONTAINS(c.tags, 'loud')", "a"),
        ("ARRAY_CONTAINS(c.tags, '1')", ""),
        ("NOT ARRAY_CONTAINS(c.tags, 'loud')", "b"),
        ("ARRAY_CONTAINS(@keys, c.key)", "acd"),
        ("c.deep.x.y = 1", "a"),
        ("c['deep'][\"x\"].y = 1", "a"),
        ("c.tags[1] = 1", "a"),
        ("c.deep.x.y != 1", ""),
    ],
)
async def test_conditions(stems, pk, where, expected):
    assert "".join(sorted(await ids(stems, pk, where, keys=["C", "E"]))) == expected


async def test_projections(stems, pk):
    rows = await query(stems, "SELECT c.id, c.deep.x AS x, c.title FROM c WHERE c.kind = 'stem'", pk)
    assert sorted(rows, key=lambda row: row["id"]) == [
        {"id": "a", "x": {"y": 1}},
        {"id": "b", "title": "Ärger"},
        {"id": "c", "title": None},
    ]
    assert sorted(await query(stems, "SELECT VALUE s.bpm FROM s WHERE s.kind = 'stem'", pk)) == [
        60,
        90.5,
        120,
    ]
    assert await query(stems, "SELECT VALUE c.deep FROM c", pk) == [{"x": {"y": 1}}]


async def test_order_by_puts_kinds_in_azures_order(container, pk):
    values = [None, False, True, -1, 0, 2.5, "", "a", "♪"]
    await create(container, pk, **{str(number): {"x": value} for number, value in enumerate(values)})
    assert await query(container, "SELECT VALUE c.x FROM c ORDER BY c.x", pk) == values
    assert await query(container, "SELECT VALUE c.x FROM c ORDER BY c.x DESC", pk) == values[::-1]


async def test_several_keys_need_a_composite_index(stems, pk):
    text = "SELECT VALUE c.id FROM c WHERE c.kind = 'stem' ORDER BY {}"
    assert await query(stems, text.format("c.key, c.bpm"), pk) == ["c", "a", "b"]
    assert await query(stems, text.format("c.key DESC, c.bpm DESC"), pk) == ["b", "a", "c"]
    error = await refused(400, query(stems, text.format("c.bpm, c.key"), pk))
    assert "does not have a corresponding composite index" in error.message


async def test_only_what_is_indexed_can_be_ordered_by(container, pk):
    await container.create_item({"id": "a", "pk": pk, "notes": 1})
    error = await refused(400, query(container, "SELECT * FROM c ORDER BY c.notes", pk))
    assert "order-by item is excluded" in error.message
    assert await ids(container, pk, "c.notes = 1") == ["a"]


@pytest.mark.parametrize(("direction", "late"), [("ASC", -1), ("DESC", 1000)])
async def test_pages_go_on_where_they_stopped_whatever_is_inserted_before(container, pk, direction, late):
    bpm = [120, 90.5, 120, 60, 174, 120, 99, 61, 128, 120]
    await create(container, pk, **{str(number): {"bpm": value} for number, value in enumerate(bpm)})
    text = f"SELECT * FROM c WHERE c.bpm > @low ORDER BY c.bpm {direction}"
    parameters = [{"name": "@low", "value": -5}]
    rows, token = [], None
    for number in range(100):
        pager = container.query_items(
            text, parameters=parameters, partition_key=pk, max_item_count=3
        ).by_page(token)
        page = [row async for row in await anext(pager)]
        rows += page
        token = pager.continuation_token
        if token is None:
            break
        assert len(page) == 3
        await container.create_item({"id": f"late {number}", "pk": pk, "bpm": late})
        await container.delete_item(page[-1]["id"], pk)  # not even the last row seen has to stay
    assert [row["bpm"] for row in rows] == sorted(bpm, reverse=direction == "DESC")
    assert len({row["id"] for row in rows}) == len(bpm)


async def test_top_and_offset_limit_hold_across_pages(container, pk):
    await create(container, pk, **{str(number): {"n": number} for number in range(9)})
    text = "SELECT {} VALUE c.n FROM c ORDER BY c.n {}"
    assert await pages(container, text.format("TOP 5", ""), 2, partition_key=pk) == [[0, 1], [2, 3], [4]]
    limited = text.format("", "OFFSET 2 LIMIT 3")
    assert await pages(container, limited, 2, partition_key=pk) == [[2, 3], [4]]
    assert await query(container, text.format("TOP 0", ""), pk) == []
    assert await query(container, text.format("", "OFFSET 8 LIMIT 3"), pk) == [8]


async def test_a_continuation_token_is_good_for_its_own_query_only(container, pk):
    other_pk = f"another {pk}"
    for partition in (pk, other_pk):
        await create(container, partition, **{str(number): {"n": number} for number in range(4)})

    async def page(token, text="SELECT * FROM c WHERE c.n >= @n ORDER BY c.n", n=0, of=pk):
        parameters = [{"name": "@n", "value": n}]
        pager = container.query_items(
            text, parameters=parameters, partition_key=of, max_item_count=1
        ).by_page(token)
        rows = [row["n"] async for row in await anext(pager)]
        return rows, pager.continuation_token

    rows, token = await page(None)
    assert rows == [0]
    assert (await page(token))[0] == [1]
    for other in (
        page(token, text="SELECT * FROM c WHERE c.n >= @n ORDER BY c.n DESC"),
        page(token, n=1),
        page(token, of=other_pk),
        page("garbage"),
        page(token[:-8]),
    ):
        await refused(400, other)


async def test_aggregates(stems, pk):
    for text, expected in {
        "SELECT VALUE COUNT(1) FROM c": [5],
        "SELECT VALUE COUNT(c.bpm) FROM c": [4],
        "SELECT VALUE COUNT(1) FROM c WHERE c.kind = 'stem'": [3],
        "SELECT VALUE SUM(c.bpm) FROM c WHERE c.kind = 'stem'": [270.5],
        "SELECT VALUE AVG(c.bpm) FROM c WHERE c.bpm >= 90": [105.25],
        "SELECT VALUE MIN(c.bpm) FROM c WHERE c.kind = 'stem'": [60],
        "SELECT VALUE MAX(c.key) FROM c": ["D"],
        "SELECT VALUE SUM(c.bpm) FROM c": [],  # of null there is no sum
        "SELECT COUNT(1) AS n, MAX(c.bpm) AS fastest FROM c WHERE c.kind = 'stem'": [
            {"n": 3, "fastest": 120}
        ],
    }.items():
        assert await query(stems, text, pk) == expected, text


async def test_group_by(stems, pk):
    text = "SELECT c.key, COUNT(1) AS n, AVG(c.bpm) AS bpm FROM c WHERE c.kind = @kind GROUP BY c.key"
    rows = await query(stems, text, pk, kind="stem")
    assert sorted(rows, key=lambda row: row["key"]) == [
        {"key": "C", "n": 2, "bpm": 90},
        {"key": "D", "n": 1, "bpm": 90.5},
    ]
    keyless = await query(stems, "SELECT c.key, COUNT(1) AS n FROM c GROUP BY c.key", pk)
    assert {"n": 1} in keyless
    await refused(400, query(stems, "SELECT c.kind, COUNT(1) AS n FROM c GROUP BY c.key", pk))
    assert await every(stems.query_items("SELECT VALUE COUNT(1) FROM c WHERE false", partition_key=pk)) == [0]
