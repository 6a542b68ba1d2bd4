"""Documents and their store, with a clock in the test's hand."""

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.partition_key import NonePartitionKeyValue

from local.cosmos import patch
from local.cosmos.documents import Container, Partition, check_definition, check_id, dump_json, parse_json
from local.cosmos.errors import CosmosError
from local.cosmos.gateway import RANGES
from local.cosmos.pages import read_page
from local.cosmos.store import Store

KEY = {"paths": ["/id"], "version": 2}


class Clock:
    def __init__(self):
        self.now = 1_000_000.9

    def __call__(self):
        return self.now


def make_store(folder, clock, **definition):
    store = Store(folder / "cosmos.sqlite", clock)
    store.create("dbs/music", {"id": "music"})
    store.create("dbs/music/colls/jobs", check_definition({"id": "jobs", "partitionKey": KEY} | definition))
    return store, store.container("dbs/music/colls/jobs")


def read(store, container, document):
    return store.find(container, container.partition_of(document), document["id"])


def write(store, container, document):
    old = read(store, container, document)
    return store.write(container, container.partition_of(document), document, old)


def rows(store, container, partition, query="SELECT * FROM c"):
    page, _ = read_page(store, container, partition, {"query": query}, 10, None)
    return [parse_json(row) for row in page]


def exists(store, container, item_id):
    found = read(store, container, {"id": item_id})
    assert rows(store, container, Partition.of(item_id)) == ([found] if found else [])
    return bool(found)


@pytest.mark.parametrize(
    ("default_ttl", "ttl", "lives"),
    [(None, 5, None), (-1, None, None), (-1, 5, 5), (10, None, 10), (10, 5, 5), (10, 20, 20), (10, -1, None)],
)
def test_ttl(tmp_path, default_ttl, ttl, lives):
    clock = Clock()
    store, container = make_store(tmp_path, clock, defaultTtl=default_ttl)
    write(store, container, {"id": "a"} | ({} if ttl is None else {"ttl": ttl}))
    written = int(clock.now)  # Azure counts from _ts, which is in whole seconds
    if lives is None:
        clock.now += 1e9
        assert exists(store, container, "a")
        return
    clock.now = written + lives - 0.01
    assert exists(store, container, "a")
    clock.now = written + lives
    assert not exists(store, container, "a")
    assert store.execute(container, f"SELECT count(*) FROM {container.table}", ()).fetchone() == (0,)


def test_an_expired_item_is_no_hindrance(tmp_path):
    clock = Clock()
    store, container = make_store(tmp_path, clock, defaultTtl=-1)
    old = write(store, container, {"id": "a", "ttl": 1})
    clock.now += 2
    new = write(store, container, {"id": "a"})
    assert new["_rid"] != old["_rid"]
    clock.now += 1000
    assert exists(store, container, "a"), "its time to live went with it"


def test_a_write_starts_the_time_to_live_again(tmp_path):
    clock = Clock()
    store, container = make_store(tmp_path, clock, defaultTtl=10)
    write(store, container, {"id": "a"})
    clock.now += 8
    write(store, container, {"id": "a"})
    clock.now += 8
    assert exists(store, container, "a")


@pytest.mark.parametrize("ttl", [0, -2, 2**31, "5", 1.5, True])
def test_invalid_ttl_is_refused_and_nothing_is_written(tmp_path, ttl):
    store, container = make_store(tmp_path, Clock(), defaultTtl=-1)
    with pytest.raises(CosmosError, match="time to live"):
        write(store, container, {"id": "a", "ttl": ttl})
    assert not exists(store, container, "a")


def test_a_replaced_item_keeps_its_place_and_its_rid(tmp_path):
    store, container = make_store(tmp_path, Clock(), partitionKey=KEY | {"paths": ["/pk"]})
    items = [write(store, container, {"id": name, "pk": 1}) for name in "abc"]
    again = write(store, container, {"id": "a", "pk": 1.0, "_etag": "mine", "_rid": "mine"})
    assert again["_rid"] == items[0]["_rid"]
    assert again["_etag"] not in ("mine", items[0]["_etag"])
    assert rows(store, container, Partition.of(1)) == [again, *items[1:]]


def test_an_index_holds_what_is_written_after_it_was_made(tmp_path):
    store, container = make_store(tmp_path, Clock(), partitionKey=KEY | {"paths": ["/pk"]})
    query = "SELECT VALUE c.n FROM c ORDER BY c.n"
    write(store, container, {"id": "a", "pk": 1, "n": 2})
    assert rows(store, container, Partition.of(1), query) == [2]
    write(store, container, {"id": "b", "pk": 1, "n": 1})
    write(store, container, {"id": "a", "pk": 1, "n": 0})
    assert rows(store, container, Partition.of(1), query) == [0, 1]


def test_a_transaction_that_raises_leaves_nothing(tmp_path):
    store, container = make_store(tmp_path, Clock())
    with pytest.raises(CosmosError), store.transaction():
        write(store, container, {"id": "a"})
        write(store, container, {"id": "b", "ttl": 0})
    assert not exists(store, container, "a")
    with store.transaction():
        write(store, container, {"id": "a"})
    assert exists(store, container, "a")


KEY_VALUES = [None, True, False, 0, 1, -2.5, "", "0", "{}", "null", "a/b?#\\", "Ärger ♪", {}]


@pytest.mark.parametrize("value", KEY_VALUES)
def test_partition_key_values_are_told_apart(value):
    equal = [other for other in KEY_VALUES if Partition.of(other).text == Partition.of(value).text]
    assert equal == [value]
    assert Partition.of(1) == Partition.of(1.0)


@pytest.mark.parametrize("value", [*KEY_VALUES, *range(20), *"abcdefgh", "x" * 2048])
def test_the_sdk_looks_for_a_partition_in_the_same_range(value):
    given = NonePartitionKeyValue if value == {} else value
    key = PartitionKey("/pk")._get_epk_range_for_partition_key(given).min
    (number,) = (each["id"] for each in RANGES if each["minInclusive"] <= key < each["maxExclusive"])
    assert Partition.of(value).range == int(number)


def test_a_partition_key_may_be_absent_but_no_list():
    container = Container("x", "t", {"partitionKey": {"paths": ["/pk"]}})
    assert container.partition_of({"id": "a"}) == Partition.of({})
    for value in ([1], {"a": 1}):
        with pytest.raises(CosmosError) as caught:
            container.partition_of({"id": "a", "pk": value})
        assert caught.value.status == 400


@pytest.mark.parametrize(
    "item_id", [None, "", 5, "a/b", "a\\b", "a?", "a#", "a ", "a\n", "x" * 1024, "é" * 512]
)
def test_invalid_ids(item_id):
    with pytest.raises(CosmosError) as caught:
        check_id({"id": item_id})
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("included", "excluded", "path", "expected"),
    [
        (["/*"], [], "/bpm", True),
        (["/bpm/?"], ["/*"], "/bpm", True),
        (["/bpm/*"], ["/*"], "/bpm", True),
        (["/bpm/?"], ["/*"], "/bpmx", False),
        (["/bpm/?"], ["/*"], "/bpm/low", False),
        (["/bpm/*"], ["/*"], "/bpm/low", True),
        (["/bpm/*"], ["/bpm/low/?", "/*"], "/bpm/low", False),
        (["/*"], ["/bpm/*"], "/bpm", False),
        (["/bpm/?", "/*"], ["/bpm/*"], "/bpm", True),
        (["/*"], ['/"_etag"/?'], "/_etag", False),
        ([], ["/*"], "/bpm", False),
        ([], [], "/bpm", False),
        ([], ["/*"], "/_ts", True),
        ([], ["/*"], "/id", True),
    ],
)
def test_indexing_policy(included, excluded, path, expected):
    policy = {
        "includedPaths": [{"path": each} for each in included],
        "excludedPaths": [{"path": each} for each in excluded],
    }
    definition = check_definition({"id": "c", "partitionKey": KEY, "indexingPolicy": policy})
    assert Container("c", "t", definition).is_indexed(path) is expected


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":1}x'])
def test_a_body_that_is_no_json_is_refused(raw):
    with pytest.raises(CosmosError) as caught:
        parse_json(raw)
    assert caught.value.status == 400


@pytest.mark.parametrize("raw", [b'{"id":"a","x":NaN}', b'{"id":"a","x":1e999}', b'{"id":"a","x":"\\ud800"}'])
def test_what_json_cannot_say_is_refused(tmp_path, raw):
    store, container = make_store(tmp_path, Clock())
    with pytest.raises(CosmosError) as caught:
        write(store, container, parse_json(raw))
    assert caught.value.status == 400


def test_u0000_is_refused_by_name(tmp_path):
    store, container = make_store(tmp_path, Clock())
    with pytest.raises(CosmosError, match=r"not supported .* U\+0000"):
        write(store, container, {"id": "a", "x": "\0"})
    assert dump_json("\\u0000") == r'"\\u0000"'


def test_integers_stay_integers_and_huge_ones_become_doubles(tmp_path):
    store, container = make_store(tmp_path, Clock())
    write(store, container, parse_json(b'{"id":"a","huge":123456789012345678901,"small":1}'))
    stored = read(store, container, {"id": "a"})
    assert type(stored["huge"]) is float
    assert stored["huge"] == 123456789012345678901.0
    assert type(stored["small"]) is int


DOCUMENT = {"id": "a", "n": 1, "tags": ["x", "y"], "deep": {"m": 2}, "a/b": 0, "t": "text"}


@pytest.mark.parametrize(
    ("operation", "changed"),
    [
        ({"op": "add", "path": "/new", "value": None}, {"new": None}),
        ({"op": "add", "path": "/n", "value": [1]}, {"n": [1]}),
        ({"op": "add", "path": "/tags/1", "value": "z"}, {"tags": ["x", "z", "y"]}),
        ({"op": "add", "path": "/tags/2", "value": "z"}, {"tags": ["x", "y", "z"]}),
        ({"op": "add", "path": "/tags/-", "value": "z"}, {"tags": ["x", "y", "z"]}),
        ({"op": "set", "path": "/tags/1", "value": "z"}, {"tags": ["x", "z"]}),
        ({"op": "set", "path": "/tags/-", "value": "z"}, {"tags": ["x", "y", "z"]}),
        ({"op": "set", "path": "/deep/k", "value": 3}, {"deep": {"m": 2, "k": 3}}),
        ({"op": "set", "path": "/a~1b", "value": 3}, {"a/b": 3}),
        ({"op": "replace", "path": "/deep/m", "value": 3}, {"deep": {"m": 3}}),
        ({"op": "replace", "path": "/tags/0", "value": 3}, {"tags": [3, "y"]}),
        ({"op": "remove", "path": "/deep/m"}, {"deep": {}}),
        ({"op": "remove", "path": "/tags/0"}, {"tags": ["y"]}),
        ({"op": "incr", "path": "/n", "value": -2.5}, {"n": -1.5}),
        ({"op": "incr", "path": "/new", "value": 4}, {"new": 4}),
        ({"op": "move", "from": "/deep/m", "path": "/n"}, {"n": 2, "deep": {}}),
        ({"op": "move", "from": "/tags/1", "path": "/tags/0"}, {"tags": ["y", "x"]}),
    ],
)
def test_patch(operation, changed):
    given = parse_json(dump_json(DOCUMENT))
    assert patch.apply(given, [operation]) == DOCUMENT | changed
    assert given == DOCUMENT


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/new", "value": 1},
        {"op": "replace", "path": "/tags/2", "value": 1},
        {"op": "remove", "path": "/new"},
        {"op": "remove", "path": "/tags/2"},
        {"op": "add", "path": "/tags/3", "value": 1},
        {"op": "set", "path": "/tags/3", "value": 1},
        {"op": "set", "path": "/tags/x", "value": 1},
        {"op": "set", "path": "/new/deeper", "value": 1},
        {"op": "set", "path": "/n/deeper", "value": 1},
        {"op": "set", "path": "/n"},
        {"op": "set", "path": "n", "value": 1},
        {"op": "set", "path": "", "value": 1},
        {"op": "set", "path": "/_etag", "value": 1},
        {"op": "incr", "path": "/t", "value": 1},
        {"op": "incr", "path": "/n", "value": "1"},
        {"op": "incr", "path": "/n", "value": True},
        {"op": "incr", "path": "/tags/5", "value": 1},
        {"op": "move", "from": "/new", "path": "/n"},
        {"op": "move", "from": "/deep", "path": "/deep/m"},
        {"op": "copy", "from": "/n", "path": "/m"},
        {},
    ],
)
def test_a_patch_that_cannot_be_applied(operation):
    with pytest.raises(CosmosError) as caught:
        patch.apply(DOCUMENT, [operation])
    assert caught.value.status == 400


def test_a_patch_has_up_to_ten_operations():
    one = {"op": "incr", "path": "/n", "value": 1}
    assert patch.apply(DOCUMENT, [one] * 10)["n"] == 11
    for operations in ([], [one] * 11):
        with pytest.raises(CosmosError, match="1 to 10 operations"):
            patch.apply(DOCUMENT, operations)
