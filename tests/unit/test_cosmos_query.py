"""The query translation, over a handful of documents that differ in kind."""

import itertools
import json
from typing import NamedTuple

import pytest

from local.cosmos.documents import Container, Partition, check_definition
from local.cosmos.errors import CosmosError
from local.cosmos.pages import read_page
from local.cosmos.store import Store

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
    "ab": {"x": "ab", "order": 1, "it's": "quoted", "deep": {"y": [{"z": 7}]}, "tags": [1, "a", None, {}]},
    "note": {"x": "♪ Ärger"},
    "array": {"x": [1]},
    "object": {"x": {"y": 1}},
}
SORTED = list(DOCUMENTS)


class Things(NamedTuple):
    store: Store
    container: Container


def filled(folder, included):
    """A container that indexes `included`; partition p holds DOCUMENTS, the last of them written first."""
    store = Store(folder / "cosmos.sqlite")
    store.create("dbs/music", {"id": "music"})
    policy = {"includedPaths": [{"path": included}], "excludedPaths": [{"path": "/deep/*"}]}
    key = {"paths": ["/pk"], "version": 2}
    definition = check_definition({"id": "t", "partitionKey": key, "indexingPolicy": policy})
    store.create("dbs/music/colls/t", definition)
    container = store.container("dbs/music/colls/t")
    others = [{"id": "other", "pk": "q", "x": 1}]
    for document in [{"id": name, "pk": "p"} | DOCUMENTS[name] for name in reversed(DOCUMENTS)] + others:
        store.write(container, container.partition_of(document), document, None)
    return Things(store, container)


@pytest.fixture(scope="module", params=["/*", "/nothing/?"], ids=["indexed", "not indexed"])
def things(tmp_path_factory, request):
    return filled(tmp_path_factory.mktemp("query"), request.param)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """What orders by x needs an index of it."""
    return filled(tmp_path_factory.mktemp("query"), "/*")


def run(things, query, size=100, token=None, pk="p", **parameters):
    given = [{"name": f"@{name}", "value": value} for name, value in parameters.items()]
    request = {"query": query, "parameters": given}
    rows, token = read_page(*things, Partition.of(pk), request, size, token)
    return [json.loads(row) for row in rows], token


def ids(things, condition, **parameters):
    found = run(things, f"SELECT VALUE c.id FROM c WHERE {condition}", **parameters)[0]
    return " ".join(sorted(found, key=SORTED.index))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("c.x = 1", "one"),
        ("c.x != 1", "minus zero two"),
        ("c.x <> 1", "minus zero two"),
        ("NOT (c.x = 1)", "minus zero two"),
        ("NOT NOT c.x = 1", "one"),
        ("c.x > 0", "one two"),
        ("c.x <= -1", "minus"),
        ("c.x >= 1e0 AND c.x < 2.6", "one two"),
        ("c.x > -1 and c.x < 2 And c.id != 'zero'", "one"),
        ('c.x = "a"', "a"),
        ("c.x > ''", "a ab note"),
        ("NOT (c.x > '')", "empty"),
        ("c.x = null", "null"),
        ("c.x != null", ""),
        ("c.x >= null", "null"),
        ("c.x = true", "true"),
        ("c.x < TRUE", "false"),
        ("c.x", "true"),
        ("NOT c.x", "false"),
        ("true", " ".join(SORTED)),
        ("1", ""),
        ("c.nothing = null", ""),
        ("c.nothing != 1", ""),
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
        ("IS_DEFINED(c.x) AND c.id < 'b'", "a ab array"),
        ("NOT IS_DEFINED(c.x)", "undefined"),
        ("is_null(c.x)", "null"),
        ("NOT IS_NULL(c.x) AND c.x = 'a'", "a"),
        ("NOT IS_DEFINED(c.x) OR IS_NULL(c.x)", "undefined null"),
        ("STARTSWITH(c.x, 'a')", "a ab"),
        ("STARTSWITH(c.x, 'b')", ""),
        ("STARTSWITH(c.x, '')", "empty a ab note"),
        ("NOT STARTSWITH(c.x, 'a')", "empty note"),
        ("STARTSWITH(c.x, 'a%')", ""),
        ("STARTSWITH(c.x, 'A', false)", ""),
        ("STARTSWITH(c.x, 'A', true)", "a ab"),
        ("CONTAINS(c.x, 'b')", "ab"),
        ("NOT CONTAINS(c.x, 'b')", "empty a note"),
        ("CONTAINS(c.x, 'ä')", ""),
        ("CONTAINS(c.x, 'ä', true)", "note"),
        ("NOT CONTAINS(c.x, 'b', true) AND c.x != 'a'", "empty note"),
        ("ARRAY_CONTAINS(c.x, 1)", "array"),
        ("ARRAY_CONTAINS(c.x, '1')", ""),
        ("NOT ARRAY_CONTAINS(c.x, '1')", "array"),
        ("ARRAY_CONTAINS(c.tags, null)", "ab"),
        ("ARRAY_CONTAINS(c.tags, 0)", ""),
        ("ARRAY_CONTAINS(@list, c.x)", "minus one"),
        ("NOT ARRAY_CONTAINS(@list, c.x)", "zero two"),
        ("c['order'] = 1", "ab"),
        ("c[\"it's\"] = 'quoted'", "ab"),
        ("c['it\\'s'] = \"quoted\"", "ab"),
        ("c.deep.y[0].z = 7", "ab"),
        ("c.deep.y[1].z = 7", ""),
        ("c.x[0] = 1", "array"),
        ("c.x.y = 1", "object"),
    ],
)
def test_condition(things, condition, expected):
    assert ids(things, condition, list=[1, -1, 7]) == expected


@pytest.mark.parametrize("value", ["x' OR '1'='1", "\\", '"', "a\nb", "100%", "😀", "', body) --"])
def test_texts_are_values_and_never_sql(things, value):
    assert ids(things, "c.x = @value", value=value) == ""
    assert ids(things, f"c.x = {json.dumps(value)}") == ""


@pytest.mark.parametrize("name", ["x' OR '1'='1", "', body) --", "a]b", "a[0]", "a.b", "$", "😀", "X"])
def test_names_are_names_and_never_sql(things, name):
    assert ids(things, f"c[{json.dumps(name)}] = 1") == ""


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb"])
def test_names_that_sqlite_cannot_address_are_refused_by_name(things, name):
    with pytest.raises(CosmosError, match=r"not supported .*: the property name"):
        ids(things, f"c[{json.dumps(name)}] = 1")


OPERANDS = [
    "c.x = 1",
    "c.x = 'a'",
    "c.x > 0",
    "IS_NULL(c.x)",
    "c.x",
    "c.x IN ('a', '')",
    "ARRAY_CONTAINS(c.x, 1)",
    "CONTAINS(c.x, 'a')",
]


@pytest.mark.parametrize(("left", "right"), list(itertools.combinations_with_replacement(OPERANDS, 2)))
def test_de_morgan_and_the_excluded_middle(things, left, right):
    assert ids(things, f"NOT ({left} AND {right})") == ids(things, f"(NOT {left}) OR (NOT {right})")
    assert ids(things, f"NOT ({left} OR {right})") == ids(things, f"NOT {left} AND NOT {right}")
    either = set(ids(things, left).split()) | set(ids(things, f"NOT {left}").split())
    assert set(ids(things, f"{left} OR NOT {left}").split()) == either


def test_parameters_take_every_kind_and_have_to_be_given(things):
    assert ids(things, "c.x = @v", v=None) == "null"
    assert ids(things, "c.x = @v", v=False) == "false"
    assert ids(things, "c.x IN (@v, @w)", v=2.5, w=-1) == "minus two"
    with pytest.raises(CosmosError, match="@v has no value"):
        ids(things, "c.x = @v")
    for value in ("\ud800", float("nan")):
        with pytest.raises(CosmosError, match="Not expressible as JSON"):
            ids(things, "c.x = @v", v=value)


def test_a_row_is_the_whole_document(things):
    (whole,), _ = run(things, "SELECT * FROM things t WHERE t.id = 'two'")
    assert whole["x"] == 2.5
    assert whole.keys() == {"id", "pk", "x", "_rid", "_self", "_etag", "_ts"}
    assert run(things, "SELECT VALUE r FROM root AS r WHERE r.id = 'two'")[0] == [whole]
    assert run(things, "SELECT t AS it, t.id FROM t WHERE t.id = 'two'")[0] == [{"it": whole, "id": "two"}]


def test_projection_leaves_out_what_is_undefined(things):
    query = "SELECT c.id, c.x AS value1, c.deep.y z FROM c WHERE c.id IN ('undefined', 'null', 'ab')"
    assert run(things, query)[0] == [
        {"id": "ab", "value1": "ab", "z": [{"z": 7}]},
        {"id": "null", "value1": None},
        {"id": "undefined"},
    ]
    assert run(things, "SELECT VALUE c.deep FROM c", size=1)[0] == [{"y": [{"z": 7}]}]


def test_without_order_by_rows_come_in_the_order_of_creation(things):
    assert run(things, "SELECT VALUE c.id FROM c")[0] == SORTED[::-1]


def test_order_by_puts_kinds_in_azures_order(indexed):
    assert run(indexed, "SELECT VALUE c.id FROM c ORDER BY c.x")[0] == SORTED
    assert run(indexed, "SELECT VALUE c.id FROM c ORDER BY c.x DESC")[0] == SORTED[::-1]
    assert run(indexed, "select value c.id from c where c.x < 2 order by c.x asc")[0] == [
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
def test_pages_together_are_the_result(indexed, clause, direction, part, size):
    expected = (SORTED if direction == "ASC" else SORTED[::-1])[part]
    found, token = [], None
    for _ in range(len(SORTED) + 1):
        rows, token = run(indexed, clause.format(direction), size, token)
        assert len(rows) == min(size, len(expected) - len(found))
        found += rows
        if token is None:
            break
    assert found == expected


@pytest.mark.parametrize(
    ("condition", "direction", "expected"),
    [
        ("c.x > -1", "ASC", "zero one two"),
        ("c.x >= -1", "ASC", "minus zero one two"),
        ("c.x > -1 AND c.x < 2.5", "DESC", "one zero"),
        ("c.x BETWEEN -1 AND 1", "DESC", "one zero minus"),
        ("c.x > '' AND c.x >= 'ab'", "ASC", "ab note"),
        ("c.x = null", "DESC", "null"),
        ("c.x <> 0", "DESC", "two one minus"),
        ("c.x != 0", "ASC", "minus one two"),
    ],
)
def test_pages_of_what_a_condition_on_the_order_leaves(indexed, condition, direction, expected):
    found, token = [], None
    query = f"SELECT VALUE c.id FROM c WHERE {condition} ORDER BY c.x {direction}"
    for _ in expected.split():
        rows, token = run(indexed, query, 1, token)
        found += rows
    assert " ".join(found) == expected
    assert token is None
