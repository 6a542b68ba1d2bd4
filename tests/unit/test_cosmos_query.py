"""The query translation, over a handful of documents that differ in kind."""

import json

import pytest

from local.cosmos.documents import Container, check_definition
from local.cosmos.errors import CosmosError
from local.cosmos.query import read_page
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
    "ab": {"x": "ab", "deep": 1},
    "note": {"x": "♪ note"},
    "array": {"x": [1]},
    "object": {"x": {"y": 1}},
}


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """A store and its container; partition p holds DOCUMENTS, the last of them written first."""
    store = Store(tmp_path_factory.mktemp("query") / "cosmos.db")
    policy = {"includedPaths": [{"path": "/*"}], "excludedPaths": [{"path": "/deep/*"}]}
    definition = check_definition({"id": "t", "partitionKey": {"paths": ["/pk"]}, "indexingPolicy": policy})
    address = ("dbs/music/colls", "", "t")
    container = Container("dbs/music/colls/t/docs", store.write(address, definition, old=None, ttl=None))
    others = [{"id": "other", "pk": "q", "x": 1}]
    for document in [{"id": name, "pk": "p"} | DOCUMENTS[name] for name in reversed(DOCUMENTS)] + others:
        store.write(container.address_of(document), document, old=None, ttl=None)
    return store, container


def run(things, query, size=100, token=None, **parameters):
    given = [{"name": f"@{name}", "value": value} for name, value in parameters.items()]
    rows, token = read_page(*things, '"p"', {"query": query, "parameters": given}, size, token)
    return [row["id"] for row in rows], token


def ids(things, condition, **parameters):
    return " ".join(run(things, f"SELECT * FROM c WHERE {condition} ORDER BY c.x", **parameters)[0])


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("c.x = 1", "one"),
        ("c.x != 1", "minus zero two"),
        ("c.x <> 1", "minus zero two"),
        ("c.x > 0", "one two"),
        ("c.x <= -1", "minus"),
        ("c.x >= 1e0 AND c.x < 2.6", "one two"),
        ("c.x > -1 and c.x < 2 And c.id != 'zero'", "one"),
        ("c.x = 'a'", "a"),
        ('c.x = "a"', "a"),
        ("c.x > ''", "a ab note"),
        ("c.x >= '♪'", "note"),
        ("c.x = null", "null"),
        ("c.x != null", ""),
        ("c.x >= null", "null"),
        ("c.x = true", "true"),
        ("c.x < TRUE", "false"),
        ("c.nothing = null", ""),
        ("c.nothing != 1", ""),
    ],
)
def test_condition(things, condition, expected):
    assert ids(things, condition) == expected


@pytest.mark.parametrize("value", ["x' OR '1'='1", "\\", '"', "a\nb", "100%", "😀", "', body) --"])
def test_texts_are_values_and_never_sql(things, value):
    assert ids(things, "c.x = @value", value=value) == ""
    if "\\" not in json.dumps(value):
        assert ids(things, f"c.x = {json.dumps(value, ensure_ascii=False)}") == ""


def test_parameters_take_every_kind_and_have_to_be_given(things):
    assert ids(things, "c.x = @v", v=None) == "null"
    assert ids(things, "c.x = @v", v=False) == "false"
    assert ids(things, "c.x = @v", v=1) == "one"
    assert ids(things, "c.x >= @v AND c.x < @w", v=-1, w=2.5) == "minus zero one"
    with pytest.raises(CosmosError, match="@v has no value"):
        ids(things, "c.x = @v")
    for value in ("\ud800", float("nan")):
        with pytest.raises(CosmosError, match="Not expressible as JSON"):
            ids(things, "c.x = @v", v=value)


def test_a_row_is_the_whole_document(things):
    store, container = things
    (whole,), _ = read_page(store, container, '"p"', {"query": "SELECT * FROM t WHERE t.id = 'two'"}, 9, None)
    assert whole["x"] == 2.5
    assert whole.keys() == {"id", "pk", "x", "_rid", "_self", "_etag", "_ts"}


SORTED = list(DOCUMENTS)


def test_without_order_by_rows_come_in_the_order_of_creation(things):
    assert run(things, "SELECT * FROM c")[0] == SORTED[::-1]


def test_order_by_puts_kinds_in_azures_order(things):
    assert run(things, "SELECT * FROM c ORDER BY c.x")[0] == SORTED
    assert run(things, "SELECT * FROM c ORDER BY c.x DESC")[0] == SORTED[::-1]
    assert run(things, "select * from c where c.x < 2 order by c.x asc")[0] == ["minus", "zero", "one"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 13, 14, 100])
@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_pages_together_are_the_result(things, direction, size):
    expected = SORTED if direction == "ASC" else SORTED[::-1]
    found, token = [], None
    for _ in range(len(SORTED) + 1):
        rows, token = run(things, f"SELECT * FROM c ORDER BY c.x {direction}", size, token)
        assert len(rows) == min(size, len(expected) - len(found))
        found += rows
        if token is None:
            break
    assert found == expected


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("SELECT c.x FROM c", "c.x FROM c"),
        ("SELECT VALUE c.x FROM c", "VALUE c.x"),
        ("SELECT VALUE SUM(c.x) FROM c", "VALUE SUM"),
        ("SELECT COUNT(1) FROM c", "COUNT(1)"),
        ("SELECT TOP 1 * FROM c", "TOP 1"),
        ("SELECT DISTINCT * FROM c", "DISTINCT"),
        ("SELECT * FROM c d", "d"),
        ("SELECT * FROM c JOIN t IN c.x", "JOIN t"),
        ("SELECT * FROM t IN c.x", "IN c.x"),
        ("SELECT * FROM c GROUP BY c.x", "GROUP BY"),
        ("SELECT * FROM c OFFSET 1 LIMIT 1", "OFFSET 1"),
        ("SELECT * FROM c ORDER BY c.x, c.id", ", c.id"),
        ("SELECT * FROM c ORDER BY LOWER(c.x)", "LOWER"),
        ("SELECT * FROM c ORDER BY c", "c"),
        ("SELECT * FROM c WHERE c.x = 1 OR c.x = 2", "OR c.x"),
        ("SELECT * FROM c WHERE NOT c.x = 1", "NOT c.x"),
        ("SELECT * FROM c WHERE (c.x = 1)", "(c.x"),
        ("SELECT * FROM c WHERE 1 = c.x", "1 = c.x"),
        ("SELECT * FROM c WHERE c.x", "c.x"),
        ("SELECT * FROM c WHERE c.x = c.y", "c.y"),
        ("SELECT * FROM c WHERE c.x IN (1)", "IN (1)"),
        ("SELECT * FROM c WHERE c.x BETWEEN 1 AND 2", "BETWEEN"),
        ("SELECT * FROM c WHERE c.x LIKE 'a%'", "LIKE"),
        ("SELECT * FROM c WHERE c.x + 1 = 2", "+ 1"),
        ("SELECT * FROM c WHERE c.x ?? 1 = 2", "??"),
        ("SELECT * FROM c WHERE c.x.y = 1", ".y"),
        ("SELECT * FROM c WHERE c.x[0] = 1", "[0]"),
        ("SELECT * FROM c WHERE c['x'] = 1", "c['x']"),
        ("SELECT * FROM c WHERE c.order = 1", "c.order"),
        ("SELECT * FROM c WHERE IS_DEFINED(c.x)", "IS_DEFINED"),
        ("SELECT * FROM c WHERE IS_NULL(c.x)", "IS_NULL"),
        ("SELECT * FROM c WHERE STARTSWITH(c.x, 'a')", "STARTSWITH"),
        ("SELECT * FROM c WHERE EXISTS(SELECT 1)", "EXISTS"),
        ("SELECT * FROM c WHERE udf.f(c.x)", "udf.f"),
        ("SELECT * FROM c WHERE c.x = undefined", "undefined"),
        ("SELECT * FROM c WHERE c.x = 'it\\'s'", "'it"),
        ("SELECT * FROM c WHERE c.x = 'x'' OR 1=1 --'", "' OR 1=1"),
        ("SELECT * FROM c WHERE c.x = 'open", "'open"),
        ("SELECT * FROM c WHERE", "WHERE"),
        ("SELECT * FROM c; DROP TABLE documents", "; DROP"),
        ("", ""),
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
        ("SELECT * FROM c WHERE c.x = @list", "not supported .*: comparing with an array"),
        ("SELECT * FROM c ORDER BY c.deep", "index path .* is excluded"),
        ("SELECT * FROM c WHERE d.x = 1", "Identifier 'd' could not be resolved"),
        ("SELECT * FROM c ORDER BY d.x", "Identifier 'd' could not be resolved"),
    ],
)
def test_other_refusals(things, query, message):
    with pytest.raises(CosmosError, match=message) as caught:
        run(things, query, list=[1])
    assert caught.value.status == 400
