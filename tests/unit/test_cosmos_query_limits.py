"""Aggregates, plans, the use of indexes, and what is refused."""

import json

import pytest

from local.cosmos.documents import Partition, check_definition
from local.cosmos.errors import CosmosError
from local.cosmos.pages import plan, read_page
from local.cosmos.store import Store

NUMBERS = [3, 1, 2.5, 1]


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """Partitions: `numbers`, `mixed` (a value of every kind) and `none` without the property."""
    store = Store(tmp_path_factory.mktemp("query") / "cosmos.sqlite")
    store.create("dbs/music", {"id": "music"})
    composite = [[{"path": "/key"}, {"path": "/x"}], [{"path": "/key"}, {"path": "/x"}, {"path": "/id"}]]
    policy = {
        "includedPaths": [{"path": "/*"}],
        "excludedPaths": [{"path": "/deep/*"}],
        "compositeIndexes": composite,
    }
    key = {"paths": ["/pk"], "version": 2}
    store.create(
        "dbs/music/colls/t", check_definition({"id": "t", "partitionKey": key, "indexingPolicy": policy})
    )
    container = store.container("dbs/music/colls/t")
    values = {
        "numbers": [{"x": number, "key": f"k{number}"} for number in NUMBERS] + [{}],
        "mixed": [{"x": "b"}, {"x": "a"}, {"x": 7}, {"x": True}, {"x": False}, {}],
        "nulls": [{"x": None}, {"x": True}],
        "lists": [{"x": 1}, {"x": [2]}],
        "none": [{}, {"y": 1}],
        "exact": [{"x": 0.1}, {"x": 0.2}],
    }
    for pk, documents in values.items():
        for number, document in enumerate(documents):
            document = {"id": str(number), "pk": pk} | document
            store.write(container, Partition.of(pk), document, None)
    return store, container


def run(things, query, pk="numbers", size=100, token=None, **parameters):
    given = [{"name": f"@{name}", "value": value} for name, value in parameters.items()]
    request = {"query": query, "parameters": given}
    rows, token = read_page(*things, Partition.of(pk), request, size, token)
    return [json.loads(row) for row in rows], token


@pytest.mark.parametrize(
    ("aggregate", "pk", "expected"),
    [
        ("COUNT(1)", "numbers", [5]),
        ("COUNT(c)", "numbers", [5]),
        ("COUNT(c.x)", "numbers", [4]),
        ("COUNT(1)", "nothing", [0]),
        ("SUM(c.x)", "numbers", [7.5]),
        ("SUM(c.x)", "none", [0]),
        ("SUM(c.x)", "mixed", []),
        ("SUM(c.x)", "exact", [0.1 + 0.2]),
        ("AVG(c.x)", "numbers", [1.875]),
        ("AVG(c.x)", "none", []),
        ("AVG(c.x)", "nulls", []),
        ("min(c.x)", "numbers", [1]),
        ("MAX(c.x)", "numbers", [3]),
        ("MIN(c.x)", "mixed", [False]),
        ("MAX(c.x)", "mixed", ["b"]),
        ("MIN(c.x)", "nulls", [None]),
        ("MAX(c.x)", "nulls", [True]),
        ("MIN(c.x)", "lists", []),
        ("MAX(c.x)", "none", []),
    ],
)
def test_aggregates(things, aggregate, pk, expected):
    assert run(things, f"SELECT VALUE {aggregate} FROM c", pk) == (expected, None)
    named = [{"value1": value} for value in expected] or [{}]
    assert run(things, f"SELECT {aggregate} AS value1 FROM c", pk) == (named, None)


def test_columns_without_a_name_are_numbered(things):
    assert run(things, "SELECT COUNT(1), MAX(c.x) FROM c")[0] == [{"$1": 5, "$2": 3}]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
def test_groups_come_in_pages(things, size):
    query = "SELECT c.x, COUNT(1) AS n FROM c WHERE c.pk = 'numbers' GROUP BY c.x"
    found, token = [], None
    for _ in range(5):
        rows, token = run(things, query, "numbers", size, token)
        found += rows
        if token is None:
            break
    assert found == [{"n": 1}, {"x": 1, "n": 2}, {"x": 2.5, "n": 1}, {"x": 3, "n": 1}]


def test_several_properties_are_ordered_by_a_composite_index(things):
    query = "SELECT VALUE c.id FROM c WHERE c.pk = 'numbers' ORDER BY c.key {0}, c.x {0}, c.id {0}"
    found, token = [], None
    while token or not found:
        rows, token = run(things, query.format("ASC"), "numbers", 2, token)
        found += rows
    assert found == ["4", "1", "3", "2", "0"]
    assert run(things, query.format("DESC"))[0] == found[::-1]
    for clause in ("c.x, c.key", "c.key, c.x, c.id, c.pk"):
        with pytest.raises(CosmosError, match="not have a corresponding composite index"):
            run(things, f"SELECT * FROM c ORDER BY {clause}")


def statements(things, query, **page):
    """Run a query and return its SQL with what SQLite makes of it."""
    store, _ = things
    seen = []
    store._connection.set_trace_callback(seen.append)
    try:
        result = run(things, query, **page)
    finally:
        store._connection.set_trace_callback(None)
    (statement,) = (each for each in seen if each.startswith("SELECT"))
    plan_of = store._connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    return " ".join([statement, *(row[3] for row in plan_of)]), result


@pytest.mark.parametrize(
    ("clause", "first", "later"),
    [
        ("ORDER BY c.x", "(partition=?)", "(partition=? AND ({0})>(?,?))"),
        ("ORDER BY c.x DESC", "(partition=?)", "(partition=? AND ({0})<(?,?))"),
        ("WHERE c.id != 'x' ORDER BY c.x", "(partition=?)", "(partition=? AND ({0})>(?,?))"),
    ],
)
def test_pages_are_found_by_an_index_and_not_sorted(things, clause, first, later):
    columns = "kind_2e227822,value_2e227822"
    how, (_, token) = statements(things, f"SELECT * FROM c {clause}", size=2)
    assert how.endswith(first)
    how, (_, token) = statements(things, f"SELECT * FROM c {clause}", size=2, token=token)
    assert how.endswith(later.format(columns))


def test_a_page_within_bounds_begins_where_the_last_one_ended(things):
    query = "SELECT * FROM c WHERE c.x >= 1 AND c.x < 9 ORDER BY c.x"
    how, (_, token) = statements(things, query, size=3)
    bounds = "(partition=? AND kind_2e227822=? AND value_2e227822>? AND value_2e227822<?)"
    assert how.endswith(bounds)
    assert "AND value_2e227822 >= 1 AND" in how.replace(")", " AND")
    how, (rows, _) = statements(things, query, size=3, token=token)
    assert how.endswith(bounds)
    assert "AND value_2e227822 >= 2.5 AND" in how.replace(")", " AND")
    assert [row["x"] for row in rows] == [3]
    how, _ = statements(things, "SELECT * FROM c WHERE c.x = 1 AND c.key = 'k1'")
    assert "kind_" in how


def test_a_plan_says_what_the_sdk_has_to_do(things):
    def info(query):
        return plan(things[1], {"query": query, "parameters": [{"name": "@n", "value": 3}]})["queryInfo"]

    assert info("SELECT VALUE AVG(c.x) FROM c")["aggregates"] == ["Average"]
    assert info("SELECT VALUE AVG(c.x) FROM c")["hasSelectValue"]
    assert info("SELECT * FROM c ORDER BY c.x DESC")["orderBy"] == ["Descending"]
    assert info("SELECT TOP @n c.x FROM c")["top"] == 3
    assert (info("SELECT * FROM c OFFSET 2 LIMIT @n")["offset"], info("SELECT * FROM c")["limit"]) == (
        2,
        None,
    )
    for query, feature in {
        "SELECT c.x, COUNT(1) AS n FROM c GROUP BY c.x": "GroupBy",
        "SELECT COUNT(1) AS n FROM c": "NonValueAggregate",
    }.items():
        with pytest.raises(CosmosError, match=f"{feature}, which the calling client does not support"):
            info(query)


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("SELECT VALUE {a: c.x} FROM c", "{a: c.x}"),
        ("SELECT DISTINCT * FROM c", "DISTINCT"),
        ("SELECT * FROM c JOIN t IN c.x", "JOIN t"),
        ("SELECT * FROM t IN c.x", "IN c.x"),
        ("SELECT * FROM c ORDER BY LOWER(c.x)", "(c.x)"),
        ("SELECT TOP 1 * FROM c WHERE c.x LIKE 'a%'", "LIKE"),
        ("SELECT * FROM c WHERE c.x + 1 = 2", "+ 1"),
        ("SELECT * FROM c WHERE c.x ?? 1 = 2", "??"),
        ("SELECT * FROM c WHERE c.order = 1", "order = 1"),
        ("SELECT * FROM c WHERE EXISTS(SELECT 1)", "EXISTS"),
        ("SELECT * FROM c WHERE udf.f(c.x)", "udf.f"),
        ("SELECT * FROM c WHERE c.x = undefined", "undefined"),
        ("SELECT * FROM c WHERE c.x = 'x'' OR 1=1 --'", "' OR 1=1"),
        ("SELECT * FROM c WHERE c.x = 'open", "'open"),
        ("SELECT * FROM c; DROP TABLE documents", "; DROP"),
        ("SELECT TOP 1.5.1 * FROM c", ".1"),
    ],
)
def test_what_it_does_not_know_is_refused_by_name(things, query, refused):
    with pytest.raises(CosmosError, match="not supported by the local Cosmos stand-in: ") as caught:
        run(things, query)
    assert caught.value.status == 400
    named = str(caught.value).split(": ", 1)[1][1:]
    assert named.startswith(refused)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "not supported"),
        ("SELECT * FROM c WHERE", "not supported"),
        ("SELECT * FROM c WHERE c.x = @list", "not supported .*: comparing with an array"),
        ("SELECT * FROM c WHERE c.x = c.y", "not supported .*: comparing anything but"),
        ("SELECT * FROM c WHERE LOWER(c.x) = 'a'", "not supported .*: an expression"),
        ("SELECT * FROM c WHERE ENDSWITH(c.x, 'a')", "not supported .*: ENDSWITH"),
        ("SELECT * FROM c WHERE CONTAINS(c.x, c.y)", "not supported .*: comparing anything"),
        ("SELECT * FROM c WHERE CONTAINS(c.x, 1)", "not supported .*: CONTAINS with these"),
        ("SELECT * FROM c WHERE ARRAY_CONTAINS(c.x, 1, true)", "not supported .*: ARRAY_CONTAINS with"),
        ("SELECT * FROM c WHERE c.x IN (1, 'a')", "not supported .*: .*values of different kinds"),
        ("SELECT UPPER(c.x) AS y FROM c", "not supported .*: a column"),
        ("SELECT 1 AS y FROM c", "not supported .*: a column"),
        ("SELECT VALUE SUM(1) FROM c", "not supported .*: SUM of a constant"),
        ("SELECT c.x FROM c GROUP BY c.x ORDER BY c.x", "not supported .*: ORDER BY in mixed .* GROUP BY"),
        ("SELECT * FROM c ORDER BY c.key, c.x DESC", "not supported .*: ORDER BY in mixed directions"),
        ("SELECT * FROM c GROUP BY c.x", "GROUP BY"),
        ("SELECT c.y FROM c GROUP BY c.x", "has to be in GROUP BY"),
        ("SELECT c.y, COUNT(1) AS n FROM c", "has to be in GROUP BY"),
        ("SELECT * FROM c ORDER BY c.deep.y", "index path .* is excluded"),
        ("SELECT * FROM c ORDER BY c.x[0]", "index path .* is excluded"),
        ("SELECT TOP 1.5 * FROM c", "TOP and OFFSET LIMIT"),
        ("SELECT TOP @list * FROM c", "TOP and OFFSET LIMIT"),
        ("SELECT d.x FROM c", "Identifier 'd' could not be resolved"),
        ("SELECT c.x FROM c d", "Identifier 'c' could not be resolved"),
        ("SELECT c.x, c.deep.x FROM c", "name .* of its own"),
    ],
)
def test_other_refusals(things, query, message):
    with pytest.raises(CosmosError, match=message) as caught:
        run(things, query, list=[1])
    assert caught.value.status == 400
