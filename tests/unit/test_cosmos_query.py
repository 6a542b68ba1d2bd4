"""The query translation, over a handful of documents that differ in kind."""

import itertools
import json

import pytest

from local.cosmos.documents import check_definition
from local.cosmos.errors import CosmosError
from local.cosmos.pages import read_page
from local.cosmos.store import Address, Store

# In the order of kinds, and of values within a kind.
DOCUMENTS = {
    "undefined": {},
    "null": {"x": None},
    "false": {"x": False},
    "true": {"x": True},
    "minus": {"x": -1},
    "zero": {"x": 0},
    "one": {"x": 1.0},
    "two": {"x": 2.5},
    "empty": {"x": ""},
    "a": {"x": "a"},
    "ab": {"x": "ab", "order": 1, "it's": "quoted", "deep": {"y": [{"z": 7}]}},
    "note": {"x": "♪ note"},
    "array": {"x": [1]},
    "object": {"x": {"y": 1}},
}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("query") / "cosmos.sqlite")
    store.create_resource("", "dbs", {"id": "music"})
    policy = {"includedPaths": [{"path": "/*"}], "excludedPaths": [{"path": "/deep/*"}]}
    definition = {"id": "things", "partitionKey": {"paths": ["/pk"]}, "indexingPolicy": policy}
    store.create_resource("dbs/music", "colls", check_definition(definition))
    address = Address(store.container("dbs/music/colls/things"), '"p"', "")
    for name, document in reversed(DOCUMENTS.items()):
        store.write_item(address, {"id": name, "pk": "p"} | document, True, False, None)
    store.write_item(address._replace(partition='"q"'), {"id": "other", "pk": "q", "x": 1}, True, False, None)
    return store, address


def run(address, query, size=100, token=None, **parameters):
    store, partition = address
    given = [{"name": f"@{name}", "value": value} for name, value in parameters.items()]
    rows, token = read_page(store, partition, {"query": query, "parameters": given}, size, token)
    return [json.loads(row) for row in rows], token


def ids(address, condition, **parameters):
    return " ".join(run(address, f"SELECT VALUE c.id FROM c WHERE {condition} ORDER BY c.x", **parameters)[0])


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("c.x = 1", "one"),
        ("1 = c.x", "one"),
        ("c.x != 1", "minus zero two"),
        ("c.x <> 1", "minus zero two"),
        ("NOT (c.x = 1)", "minus zero two"),
        ("NOT c.x = 1", "minus zero two"),
        ("NOT NOT c.x = 1", "one"),
        ("c.x > 0", "one two"),
        ("0 < c.x", "one two"),
        ("c.x <= -1", "minus"),
        ("c.x >= 1e0 AND c.x < 2.6", "one two"),
        ("c.x = 'a'", "a"),
        ('c.x = "a"', "a"),
        ("c.x > ''", "a ab note"),
        ("NOT (c.x > '')", "empty"),
        ("c.x = null", "null"),
        ("c.x != null", ""),
        ("c.x >= null", "null"),
        ("c.x = true", "true"),
        ("c.x < true", "false"),
        ("c.x", "true"),
        ("NOT c.x", "false"),
        ("true", " ".join(DOCUMENTS)),
        ("1", ""),
        ("c.x = 1 OR c.x = 'a'", "one a"),
        ("c.nothing = 1 OR c.x = 'a'", "a"),
        ("NOT (c.nothing = 1 AND c.x = 'a')", "empty ab note"),
        ("NOT (c.nothing = 1 OR c.x = 'a')", ""),
        ("c.x = 1 OR c.x = 0 AND c.x = 2", "one"),
        ("(c.x = 1 OR c.x = 0) AND c.x < 1", "zero"),
        ("c.x IN (0, 1, 7)", "zero one"),
        ("c.x NOT IN (0, 1, 7)", "minus two"),
        ("NOT c.x IN ('a')", "empty ab note"),
        ("c.x BETWEEN 0 AND 1", "zero one"),
        ("c.x NOT BETWEEN 0 AND 1", "minus two"),
        ("c.x between 'a' and 'ab'", "a ab"),
        ("IS_DEFINED(c.x) = false", None),
        ("NOT IS_DEFINED(c.x)", "undefined"),
        ("is_null(c.x)", "null"),
        ("NOT IS_NULL(c.x) AND c.x = 'a'", "a"),
        ("NOT IS_DEFINED(c.x) OR IS_NULL(c.x)", "undefined null"),
        ("STARTSWITH(c.x, 'a')", "a ab"),
        ("STARTSWITH(c.x, '')", "empty a ab note"),
        ("STARTSWITH(c.x, '♪ ')", "note"),
        ("NOT STARTSWITH(c.x, 'a')", "empty note"),
        ("STARTSWITH(c.x, 'a%')", ""),
        ("c['order'] = 1", "ab"),
        ("c[\"it's\"] = 'quoted'", "ab"),
        ("c['it\\'s'] = \"quoted\"", "ab"),
        ("c.deep.y[0].z = 7", "ab"),
        ("c.deep.y[1].z = 7", ""),
        ("c.x[0] = 1", "array"),
        ("c.x.y = 1", "object"),
        ("c.x = 'x'' OR 1=1 --'", None),
    ],
)
def test_condition(address, condition, expected):
    if expected is None:
        with pytest.raises(CosmosError) as caught:
            ids(address, condition)
        assert caught.value.status == 400
    else:
        assert ids(address, condition) == expected


@pytest.mark.parametrize("value", ["x' OR '1'='1", "\\", '"', "a\nb", "100%", "😀", "', body) --"])
def test_texts_are_values_and_never_sql(address, value):
    assert ids(address, "c.x = @value", value=value) == ""
    assert ids(address, f"c.x = {json.dumps(value)}") == ""


@pytest.mark.parametrize("name", ["x' OR '1'='1", "', body) --", "a]b", "a.b", "$", "😀", "order by"])
def test_names_are_names_and_never_sql(address, name):
    assert ids(address, f"c[{json.dumps(name)}] = 1") == ""


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb"])
def test_names_that_sqlite_cannot_address_are_refused_by_name(address, name):
    with pytest.raises(CosmosError, match=r"not supported .*: the property name"):
        ids(address, f"c[{json.dumps(name)}] = 1")


OPERANDS = [
    "c.x = 1",
    "c.x = 'a'",
    "c.x > 0",
    "IS_NULL(c.x)",
    "IS_DEFINED(c.x)",
    "c.x",
    "true",
    "STARTSWITH(c.x, 'a')",
]


@pytest.mark.parametrize(("left", "right"), list(itertools.combinations_with_replacement(OPERANDS, 2)))
def test_de_morgan_and_the_excluded_middle(address, left, right):
    assert ids(address, f"NOT ({left} AND {right})") == ids(address, f"(NOT {left}) OR (NOT {right})")
    assert ids(address, f"NOT ({left} OR {right})") == ids(address, f"NOT {left} AND NOT {right}")
    either = set(ids(address, left).split()) | set(ids(address, f"NOT {left}").split())
    assert set(ids(address, f"{left} OR NOT {left}").split()) == either


def test_parameters_take_every_kind_and_have_to_be_given(address):
    assert ids(address, "c.x = @v", v=None) == "null"
    assert ids(address, "c.x = @v", v=False) == "false"
    assert ids(address, "c.x = @v", v=1) == "one"
    assert ids(address, "c.x IN (@v, @w)", v=2.5, w=-1) == "minus two"
    with pytest.raises(CosmosError, match="@v has no value"):
        ids(address, "c.x = @v")
    for value in ("\ud800", float("nan")):
        with pytest.raises(CosmosError, match="Not expressible as JSON"):
            ids(address, "c.x = @v", v=value)


def test_projection_leaves_out_what_is_undefined(address):
    query = (
        "SELECT c.id, c.x AS value1, c.deep.y z FROM c WHERE c.id IN ('undefined', 'null', 'ab') ORDER BY c.x"
    )
    assert run(address, query)[0] == [
        {"id": "undefined"},
        {"id": "null", "value1": None},
        {"id": "ab", "value1": "ab", "z": [{"z": 7}]},
    ]
    assert run(address, "SELECT VALUE c.deep FROM c")[0] == [{"y": [{"z": 7}]}]
    (whole,), _ = run(address, "SELECT * FROM things t WHERE t.id = 'two'")
    assert whole["x"] == 2.5
    assert whole.keys() == {"id", "pk", "x", "_rid", "_self", "_etag", "_ts"}
    assert run(address, "SELECT VALUE r FROM root AS r WHERE r.id = 'two'")[0] == [whole]


SORTED = list(DOCUMENTS)


def test_without_order_by_rows_come_in_the_order_of_creation(address):
    assert run(address, "SELECT VALUE c.id FROM c")[0] == SORTED[::-1]


def test_order_by_puts_kinds_in_azures_order(address):
    assert run(address, "SELECT VALUE c.id FROM c ORDER BY c.x")[0] == SORTED
    assert run(address, "SELECT VALUE c.id FROM c ORDER BY c.x DESC")[0] == SORTED[::-1]
    assert run(address, "SELECT VALUE c.id FROM c WHERE c.x < 2 ORDER BY c.x asc")[0] == [
        "minus",
        "zero",
        "one",
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 13, 14, 100])
@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize(
    ("clause", "part"),
    [
        ("SELECT VALUE c.id FROM c ORDER BY c.x {}", slice(None)),
        ("SELECT TOP 5 VALUE c.id FROM c ORDER BY c.x {}", slice(5)),
        ("SELECT TOP 0 VALUE c.id FROM c ORDER BY c.x {}", slice(0)),
        ("SELECT VALUE c.id FROM c ORDER BY c.x {} OFFSET 3 LIMIT 6", slice(3, 9)),
        ("SELECT VALUE c.id FROM c ORDER BY c.x {} OFFSET 12 LIMIT 6", slice(12, None)),
    ],
)
def test_pages_together_are_the_result(address, clause, direction, part, size):
    expected = (SORTED if direction == "ASC" else SORTED[::-1])[part]
    found, token = [], None
    for _ in range(len(SORTED) + 1):
        rows, token = run(address, clause.format(direction), size=size, token=token)
        assert len(rows) == min(size, len(expected) - len(found))
        found += rows
        if token is None:
            break
    assert found == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM c JOIN t IN c.x", "not supported by the local Cosmos stand-in: JOIN"),
        ("SELECT c.x FROM c GROUP BY c.x", "not supported by the local Cosmos stand-in: GROUP BY"),
        ("SELECT COUNT(1) FROM c", "not supported by the local Cosmos stand-in: COUNT"),
        ("SELECT VALUE SUM(c.x) FROM c", "not supported by the local Cosmos stand-in: SUM"),
        ("SELECT DISTINCT c.x FROM c", "not supported by the local Cosmos stand-in: DISTINCT"),
        ("SELECT * FROM c WHERE c.x LIKE 'a%'", "not supported by the local Cosmos stand-in: LIKE"),
        ("SELECT * FROM c WHERE EXISTS(SELECT 1)", "not supported by the local Cosmos stand-in: EXISTS"),
        ("SELECT * FROM c WHERE udf.f(c.x)", "not supported by the local Cosmos stand-in: UDF"),
        ("SELECT * FROM c WHERE c.x + 1 = 2", r"not supported by the local Cosmos stand-in: \+"),
        ("SELECT * FROM c WHERE c.x ?? 1 = 2", r"not supported by the local Cosmos stand-in: \?\?"),
        ("SELECT VALUE {a: c.x} FROM c", "not supported by the local Cosmos stand-in: {"),
        ("SELECT * FROM t IN c.x", "not supported by the local Cosmos stand-in: IN"),
        ("SELECT * FROM c WHERE CONTAINS(c.x, 'a')", "not supported by .*: CONTAINS"),
        ("SELECT * FROM c WHERE STARTSWITH(c.x, 'a', true)", "not supported by .*: STARTSWITH with these"),
        ("SELECT * FROM c WHERE c.x = c.y", "not supported by .*: comparing anything but"),
        ("SELECT * FROM c WHERE c.x = @list", "not supported by .*: comparing with an array"),
        ("SELECT * FROM c WHERE c.x IN (1, 'a')", "not supported by .*: IN with values of different kinds"),
        ("SELECT * FROM c ORDER BY c.x, c.id", "not supported by .*: ORDER BY of several properties"),
        ("SELECT * FROM c ORDER BY LOWER(c.x)", "not supported by .*: LOWER"),
        ("SELECT * FROM c ORDER BY c.deep.y", "index path .* is excluded"),
        ("SELECT * FROM c ORDER BY c", "index path .* is excluded"),
        ("SELECT TOP 1 * FROM c OFFSET 1 LIMIT 1", "TOP or OFFSET LIMIT"),
        ("SELECT TOP 1.5 * FROM c", "TOP or OFFSET LIMIT"),
        ("SELECT TOP @list * FROM c", "TOP or OFFSET LIMIT"),
        ("SELECT d.x FROM c", "Identifier 'd' could not be resolved"),
        ("SELECT c.x FROM c d", "Identifier 'c' could not be resolved"),
        ("SELECT c.x, c.deep.x FROM c", "name .* of its own"),
        ("SELECT c.order FROM c", "near 'order"),
        ("SELECT * FROM c WHERE", "Syntax error"),
        ("SELECT * FROM c WHERE c.x = 'open", "Syntax error"),
        ("SELECT * FROM c; DROP TABLE items", "near ';"),
        ("", "Syntax error"),
    ],
)
def test_refusals_are_named(address, query, message):
    with pytest.raises(CosmosError, match=message) as caught:
        run(address, query, list=[1])
    assert caught.value.status == 400
