"""The HTTP conventions, by a real client against the running Function app."""

import re
import socket
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from functions.requests import BODY_LIMIT
from tests.conftest import Cloud
from tests.integration.http_library import TYPES, Song, make_song, signed_in, stem_body, upload

ORIGIN = "https://music.example"
READER, WRITER, WORKER = (signed_in(user) for user in ("reader", "writer", "worker"))


@pytest.fixture(scope="module")
def http(guarded: Cloud) -> Iterator[httpx.Client]:
    """Signed in for reading."""
    with httpx.Client(base_url=guarded.api, timeout=30, headers=READER) as opened:
        yield opened


@pytest.fixture(scope="module")
def song(http: httpx.Client) -> Song:
    return make_song(http)


def fields(answer: httpx.Response) -> list[str]:
    """The fields at fault that a 400 names."""
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["status"] == 400
    return [error["field"] for error in answer.json()["errors"]]


def test_health_names_each_dependency(http: httpx.Client):
    answer = http.get("/api/health")
    assert answer.status_code == 200
    healthy = dict.fromkeys(("storage", "serviceBus", "cosmos"), "healthy")
    assert answer.json() == {"status": "healthy", "dependencies": healthy}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"fileName": "a.wav"}, "sizeBytes"),
        ({"fileName": "a.wav", "sizeBytes": "5"}, "sizeBytes"),
        ({"fileName": "a.wav", "sizeBytes": True}, "sizeBytes"),
        ({"fileName": "a.wav", "sizeBytes": 1.5}, "sizeBytes"),
        ({"fileName": "", "sizeBytes": 1}, "fileName"),
        ({"fileName": "../a.wav", "sizeBytes": 1}, "fileName"),
        ({"fileName": "a\n.wav", "sizeBytes": 1}, "fileName"),
        ({"fileName": "..", "sizeBytes": 1}, "fileName"),
        ({"fileName": "stems", "sizeBytes": 1}, "fileName"),
        ({"fileName": "a.wav", "sizeBytes": 1, "color": "red"}, "color"),
        ({"file_name": "a.wav", "fileName": "a.wav", "sizeBytes": 1}, "file_name"),
        ([], "body"),
    ],
)
def test_a_wrong_field_is_named(http: httpx.Client, body: Any, field: str):
    assert fields(http.post("/api/audio/uploads", json=body, headers=WRITER)) == [field]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{nope",
        b'{"fileName": "\xff", "sizeBytes": 1}',
        b'{"fileName": "\\ud800", "sizeBytes": 1}',
        b'{"fileName": "a", "sizeBytes": NaN}',
        b'{"fileName": "a", "sizeBytes": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=["empty", "broken", "no UTF-8", "lone surrogate", "NaN", "huge number", "deep lists", "deep objects"],
)
def test_a_body_that_is_no_json_is_a_problem(http: httpx.Client, content: bytes):
    headers = {**WRITER, "Content-Type": "application/json"}
    assert fields(http.post("/api/audio/uploads", content=content, headers=headers)) == ["body"]


def test_a_body_of_another_type_is_refused(http: httpx.Client):
    headers = {**WRITER, "Content-Type": "text/plain"}
    answer = http.post("/api/audio/uploads", content=b'{"fileName": "a", "sizeBytes": 1}', headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (415, 415)


def test_a_body_that_is_too_large_is_refused(http: httpx.Client):
    body = b'{"fileName": "' + b"a" * BODY_LIMIT + b'"}'
    answer = http.post("/api/audio/uploads", content=body, headers=WRITER)
    assert (answer.status_code, answer.json()["maxBytes"]) == (413, BODY_LIMIT)


def test_a_whole_number_may_be_written_with_a_point(http: httpx.Client):
    body = {"fileName": "a.wav", "sizeBytes": 5.0}
    assert http.post("/api/audio/uploads", json=body, headers=WRITER).status_code == 201


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(http: httpx.Client):
    body = {"fileName": "a.wav", "sizeBytes": 21 * 1024**2}
    answer = http.post("/api/audio/uploads", json=body, headers=WRITER)
    assert answer.status_code == 413
    assert "20 MB" in answer.json()["detail"]


@pytest.mark.parametrize(
    "limit", ["0", "201", "-1", "x", "1.5", "٣", "9" * 5000, "", " 1", "+1", "1_0", "01"]
)
def test_a_limit_out_of_range_is_refused(http: httpx.Client, limit: str):
    assert fields(http.get("/api/jobs", params={"limit": limit})) == ["limit"]


@pytest.mark.parametrize(
    ("query", "faulty"),
    [
        ("status=Done", ["status"]),
        ("pageToken=x", ["pageToken"]),
        ("limit=1&limit=2", ["limit"]),
        ("limit=1&limit=1", ["limit"]),
        ("colour=red", ["colour"]),
        ("page_token=x", ["page_token"]),
        ("LIMIT=5", ["LIMIT"]),
        ("limit=x&status=y&audioFileId=z&colour=", ["audioFileId", "colour", "limit", "status"]),
    ],
)
def test_each_wrong_parameter_is_named(http: httpx.Client, query: str, faulty: list[str]):
    assert sorted(fields(http.get(f"/api/jobs?{query}"))) == faulty


@pytest.mark.parametrize("word", ["True", "1", "yes", "on", "t", ""])
def test_yes_is_true_and_nothing_else(http: httpx.Client, word: str):
    assert fields(http.get("/api/stems/bpm", params={"halfDouble": word})) == ["halfDouble"]
    assert http.get("/api/stems/bpm", params={"halfDouble": "true"}).status_code == 200


@pytest.mark.parametrize("bpm", ["nan", "inf", "-1", "0", "0x10", "1_0", "1e999", "1e4", " 5"])
def test_a_tempo_is_a_number_in_range(http: httpx.Client, bpm: str):
    assert fields(http.get("/api/stems/bpm", params={"minBpm": bpm})) == ["minBpm"]


def test_bounds_in_the_wrong_order_are_named(http: httpx.Client):
    answer = http.get("/api/stems/bpm", params={"minBpm": 120, "maxBpm": 60})
    assert fields(answer) == ["maxBpm"]
    assert "120" in answer.json()["errors"][0]["message"]


def test_a_query_that_is_no_utf_8_is_refused(http: httpx.Client):
    for query in ("status=%ff", "&".join(f"a{number}=" for number in range(60))):
        assert http.get(f"/api/jobs?{query}").status_code == 400


def test_routes_without_parameters_refuse_them(http: httpx.Client, song: Song):
    assert fields(http.get(f"/api/stems/{song.stems[0]}?verbose=true")) == ["verbose"]


def test_a_page_takes_whatever_stands_behind_its_address(http: httpx.Client):
    assert http.get("/?from=mail").status_code == 200


@pytest.mark.parametrize("path", ["/api/nothing", "/nothing", "/api/stems/x", "/api", "/api/audio/../../etc"])
def test_an_unknown_address_is_a_problem(http: httpx.Client, path: str):
    answer = http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/api/audio", "GET, HEAD, OPTIONS"),
        ("POST", "/", "GET, HEAD, OPTIONS"),
        ("GET", "/api/jobs/sweep", "OPTIONS, POST"),
        ("PATCH", "/api/stems", "GET, HEAD, OPTIONS, POST"),
        ("TRACE", f"/api/stems/{uuid.uuid4()}", "DELETE, GET, HEAD, OPTIONS"),
        ("PROPFIND", "/api/stems/bpm", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(http: httpx.Client, method: str, path: str, allow: str):
    answer = http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.headers["content-type"] == "application/problem+json"


def test_preflights_are_answered_for_the_origins_of_the_settings(http: httpx.Client):
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "DELETE"}
    answer = http.options(f"/api/stems/{uuid.uuid4()}", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in answer.headers
    foreign = http.options("/api/stems", headers={**asked, "Origin": "https://evil.example"})
    assert foreign.status_code == 204
    assert not any(name.startswith("access-control") for name in foreign.headers)
    assert http.options("/api/nothing", headers=asked).status_code == 404


@pytest.mark.parametrize("origin", [ORIGIN, "https://evil.example", f"{ORIGIN}.evil.example", "null"])
def test_an_answer_may_be_read_by_the_pages_of_those_origins(http: httpx.Client, origin: str):
    for path in ("/api/stems", "/api/nothing"):
        answer = http.get(path, headers={"Origin": origin})
        assert answer.headers["vary"] == "Origin"
        assert answer.headers.get("access-control-allow-origin") == (ORIGIN if origin == ORIGIN else None)
    assert (
        "ETag" in http.get("/api/stems", headers={"Origin": ORIGIN}).headers["access-control-expose-headers"]
    )


def records(song: Song) -> list[str]:
    return [f"/api/audio/{song.id}", f"/api/stems/{song.stems[0]}", f"/api/jobs/{song.job_id}"]


def test_a_record_known_already_is_not_sent_again(http: httpx.Client, song: Song):
    for path in records(song):
        etag = http.get(path).headers["etag"]
        for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            answer = http.get(path, headers={"If-None-Match": known})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
        assert http.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_is_get_without_the_body(http: httpx.Client, song: Song):
    lists = [
        "/api/audio",
        "/api/stems",
        "/api/stems/key/C",
        "/api/jobs",
        "/api/stems/stats",
        "/api/health",
        "/",
    ]
    for path in [*records(song), *lists]:
        answer = http.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == http.get(path).headers["content-type"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_ids_are_taken_in_any_spelling(http: httpx.Client, song: Song):
    for path in records(song):
        collection, _, record_id = path.rpartition("/")
        for spelling in (record_id.upper(), record_id.replace("-", "")):
            assert http.get(f"{collection}/{spelling}").json() == http.get(path).json()


def test_a_deletion_of_another_version_is_refused(http: httpx.Client):
    song = make_song(http)
    for path in reversed(records(song)):
        refused = http.delete(path, headers={**WRITER, "If-Match": '"other"'})
        assert (refused.status_code, refused.json()["status"]) == (412, 412)
        for no_tag in ('"a", "b"', "a", '"'):
            assert fields(http.delete(path, headers={**WRITER, "If-Match": no_tag})) == ["If-Match"]
        weak = http.delete(path, headers={**WRITER, "If-Match": f"W/{http.get(path).headers['etag']}"})
        assert weak.status_code == 412
        etag = http.get(path).headers["etag"]
        assert http.delete(path, headers={**WRITER, "If-Match": etag}).status_code == 204
        assert http.get(path).status_code == 404


def test_a_running_job_says_when_to_ask_again_and_nothing_internal(http: httpx.Client, song: Song):
    answer = http.get(f"/api/jobs/{song.job_id}")
    assert answer.headers["retry-after"] == "2"
    assert {"status", "progress", "currentStep"} <= answer.json().keys()
    internal = {
        "blobName",
        "checkpoints",
        "result",
        "knownContentHash",
        "unsettledSince",
        "queuedAttempt",
        "etag",
    }
    assert answer.json().keys().isdisjoint(internal)


def test_the_worker_gets_the_whole_job(http: httpx.Client):
    song = make_song(http)
    claim = {"attempt": 1, "workerId": "w"}
    job = http.post(f"/api/jobs/{song.job_id}/claim", json=claim, headers=WORKER).json()
    assert job["blobName"].startswith(song.id)
    assert job["checkpoints"] == {}


def test_no_answer_carries_what_the_database_adds(http: httpx.Client, song: Song):
    paths = ["/api/audio", "/api/stems", "/api/jobs", f"/api/audio/{song.id}/stems", *records(song)]
    for path in paths:
        assert re.search(r'"(_\w+|pk|ttl)":', http.get(path).text) is None, path


def test_pages_are_followed_by_their_links(http: httpx.Client, song: Song):
    path = f"/api/stems?key=Db&audioFileId={song.id}&limit=3"
    first = http.get(path).json()
    assert len(first["value"]) == 3
    link = first["nextLink"]
    assert (urlsplit(link).netloc, urlsplit(link).path) == ("", "/api/stems")
    last = http.get(link).json()
    assert last.keys() == {"value"}
    assert {item["id"] for item in first["value"] + last["value"]} == set(song.stems)
    assert fields(http.get(link.replace("key=Db", "key=D"))) == ["pageToken"]
    assert http.get(link.replace("limit=3", "limit=1")).status_code == 200


def test_a_song_has_its_stems_in_order(http: httpx.Client, song: Song):
    answer = http.get(f"/api/audio/{song.id}/stems").json()
    assert [stem["type"] for stem in answer["value"]] == list(TYPES)
    assert answer["value"][0]["beats"] == '[{"position":1,"time":0.5}]'
    assert http.get(f"/api/audio/{song.id}/stems?version=999").json() == {"value": []}


def test_the_analysis_of_a_stem_is_native_json(http: httpx.Client, song: Song):
    answer = http.get(f"/api/stems/{song.stems[0]}/analysis").json()
    assert answer["beats"] == [{"time": 0.5, "position": 1}]
    assert answer["chordProgression"] is None


def test_a_stem_is_created_then_updated(http: httpx.Client):
    song = upload(http, "Other song.wav")
    for status in (201, 200):
        answer = http.post("/api/stems", json=stem_body(song, "Bass"), headers=WORKER)
        assert answer.status_code == status
        assert answer.headers["location"] == f"/api/stems/{answer.json()['id']}"


@pytest.mark.parametrize(
    "key", ["C# major", "c#", "C♯", "Db major", "D♭", "3B", "8d", "c sharp major", "C%23+major", "C# Maj"]
)
def test_a_key_is_found_by_any_of_its_names(http: httpx.Client, song: Song, key: str):
    path = key if "%" in key else quote(key)
    answer = http.get(f"/api/stems/key/{path}", params={"audioFileId": song.id})
    if "+" in key:  # which is a space in a query alone
        assert fields(answer) == ["key"]
        return
    assert {item["id"] for item in answer.json()["value"]} == set(song.stems)


@pytest.mark.parametrize("key", ["D♭ minor", "C# minor", "12A", "A minor", "5m"])
def test_other_keys_find_other_stems(http: httpx.Client, song: Song, key: str):
    found = http.get(f"/api/stems/key/{quote(key)}", params={"audioFileId": song.id})
    assert found.json() == {"value": []}


def test_a_key_that_is_none_is_told_the_forms(http: httpx.Client):
    answer = http.get("/api/stems/key/H")
    assert fields(answer) == ["key"]
    assert "C# major" in answer.json()["errors"][0]["message"]


def test_a_bare_sharp_that_arrives_is_taken(http: httpx.Client, guarded: Cloud, song: Song):
    """Clients cut an address at a bare `#`; what sends it nevertheless gets what it means."""
    address = urlsplit(guarded.api)
    request = (
        f"GET /api/stems/key/C#%20major?audioFileId={song.id} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: {READER['Authorization']}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((str(address.hostname), address.port), timeout=30) as raw:
        raw.sendall(request.encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert b" 200 OK" in answer.splitlines()[0]
    assert all(stem.encode() in answer for stem in song.stems)


def test_errors_do_not_repeat_the_query(http: httpx.Client):
    secret = "sig=c2VjcmV0"
    for path in ("/api/nothing", "/api/stems"):
        answer = http.get(f"{path}?{secret}")
        assert answer.status_code in (400, 404)
        assert answer.json()["instance"] == path
        assert "c2VjcmV0" not in answer.text


def test_a_download_is_a_redirect_that_nobody_keeps(http: httpx.Client, song: Song):
    answer = http.get(f"/api/stems/{song.stems[0]}/download")
    assert (answer.status_code, answer.headers["cache-control"]) == (302, "no-store")
    assert "sig=" in answer.headers["location"]


def test_the_api_page_loads_nothing_from_elsewhere(http: httpx.Client):
    page = http.get("/api/docs")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for source in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert source.startswith("/")
        assert http.get(source).status_code == 200
    assert http.get("/web/docs.html").status_code == 404
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        etag = http.get(f"/web/{name}").headers["etag"]
        assert http.get(f"/web/{name}", headers={"If-None-Match": etag}).status_code == 304
    for name in ("package.json", "index.js", "..%2ffunction_app.py", "swagger-ui-bundle.js.map"):
        assert http.get(f"/web/{name}").status_code == 404
