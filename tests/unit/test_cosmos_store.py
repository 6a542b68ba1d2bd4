"""Documents and their store, with a clock in the test's hand."""

import pytest

from local.cosmos.documents import Container, check_definition, check_id, parse_json, partition_text
from local.cosmos.errors import CosmosError
from local.cosmos.query import read_page
from local.cosmos.store import Store


class Clock:
    def __init__(self):
        self.now = 1_000_000.9

    def __call__(self):
        return self.now


def make_store(folder, clock, **definition):
    definition = check_definition({"id": "jobs", "partitionKey": {"paths": ["/id"]}} | definition)
    store = Store(folder / "cosmos.db", clock)
    stored = store.write(("dbs/music/colls", "", "jobs"), definition, old=None, ttl=None)
    return store, Container("dbs/music/colls/jobs/docs", stored)


def write(store, container, document):
    address = container.address_of(document)
    return store.write(address, document, old=store.find(address), ttl=container.ttl_of(document))


def exists(store, container, item_id):
    found = store.find(container.address_of({"id": item_id}))
    rows, _ = read_page(store, container, partition_text(item_id), {"query": "SELECT * FROM c"}, 10, None)
    assert rows == ([found] if found else [])
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
    assert store.execute("SELECT count(*) FROM documents WHERE id = 'a'", ()).fetchone() == (0,)


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
    store, container = make_store(tmp_path, Clock(), partitionKey={"paths": ["/pk"]})
    items = [write(store, container, {"id": name, "pk": 1}) for name in "abc"]
    again = write(store, container, {"id": "a", "pk": 1.0, "_etag": "mine", "_rid": "mine"})
    assert again["_rid"] == items[0]["_rid"]
    assert again["_etag"] not in ("mine", items[0]["_etag"])
    rows, _ = read_page(store, container, partition_text(1), {"query": "SELECT * FROM c"}, 10, None)
    assert rows == [again, *items[1:]]


@pytest.mark.parametrize("value", [None, True, 0, "", "0", "{}", "a/b?#\\"])
def test_partition_key_values_are_told_apart(value):
    others = [None, True, False, 0, 1, "", "0", "{}", "null", "a/b?#\\", {}]
    equal = [other for other in others if partition_text(other) == partition_text(value)]
    assert equal == [value]


def test_a_partition_key_may_be_absent_but_no_list():
    container = Container("x", {"partitionKey": {"paths": ["/pk"]}})
    assert container.address_of({"id": "a"}) == ("x", partition_text({}), "a")
    with pytest.raises(CosmosError):
        container.address_of({"id": "a", "pk": [1]})


@pytest.mark.parametrize("item_id", [None, "", 5, "a/b", "a\\b", "a?", "a#", "a ", "a\n", "x" * 256])
def test_invalid_ids(item_id):
    with pytest.raises(CosmosError) as caught:
        check_id({"id": item_id})
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("included", "excluded", "name", "expected"),
    [
        (["/*"], [], "bpm", True),
        (["/bpm/?"], ["/*"], "bpm", True),
        (["/bpm/*"], ["/*"], "bpm", True),
        (["/bpm/?"], ["/*"], "bpmx", False),
        (["/*"], ["/bpm/*"], "bpm", False),
        (["/bpm/?", "/*"], ["/bpm/*"], "bpm", True),
        (["/*"], ['/"_etag"/?'], "_etag", False),
        ([], ["/*"], "bpm", False),
        ([], [], "bpm", False),
        ([], ["/*"], "_ts", True),
        ([], ["/*"], "id", True),
    ],
)
def test_indexing_policy(included, excluded, name, expected):
    policy = {
        "includedPaths": [{"path": each} for each in included],
        "excludedPaths": [{"path": each} for each in excluded],
    }
    definition = check_definition({"id": "c", "partitionKey": {"paths": ["/pk"]}, "indexingPolicy": policy})
    assert Container("c", definition).is_indexed(name) is expected


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


def test_integers_stay_integers_and_huge_ones_become_doubles(tmp_path):
    store, container = make_store(tmp_path, Clock())
    write(store, container, parse_json(b'{"id":"a","huge":123456789012345678901,"small":1}'))
    stored = store.read(container.address_of({"id": "a"}))
    assert type(stored["huge"]) is float
    assert stored["huge"] == 123456789012345678901.0
    assert type(stored["small"]) is int
