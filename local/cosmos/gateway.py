"""The gateway's REST protocol: paths, headers and bodies as azure-cosmos sends and expects them."""

import http.client
import itertools
import json
import urllib.parse
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from local.cosmos import documents, pages
from local.cosmos.auth import authorise
from local.cosmos.documents import Document, Partition, parse_json
from local.cosmos.errors import CosmosError, not_supported
from local.cosmos.items import Items
from local.cosmos.store import Store

DEFAULT_PAGE_SIZE = 100
# Four ranges, as a large container has: one would hide a client's mistakes across ranges.
RANGES = [
    {"id": str(number), "minInclusive": low, "maxExclusive": high, "parents": []}
    for number, (low, high) in enumerate(itertools.pairwise(["", "10", "20", "30", "FF"]))
]
RANGES_ETAG = '"1"'
REFUSED_HEADERS = {"a-im": "change feed", "start-epk": "a feed range of less than a partition key range"}
REFUSED_HEADERS |= {"trigger-include": "triggers", "indexing-directive": "indexing directives"}
FAULT_PATH = ["_local", "fault"]  # no client but a test knows it
OPERATIONS = {"POST": "Create", "GET": "Read", "PUT": "Replace", "PATCH": "Patch", "DELETE": "Delete"}
Headers = Mapping[str, str]
Answer = tuple[int, Any, dict[str, str]]  # status, JSON (as text or as data), headers


def build_app(store: Store) -> web.Application:
    """Return the aiohttp application that serves `store`."""
    app = web.Application(client_max_size=0)  # too large a document is refused with Cosmos's own error
    app.router.add_route("*", "/{path:.*}", Gateway(store).handle)
    return app


class Gateway:
    """Answers requests one after the other: none takes longer than SQLite takes for a partition."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.fault: Document = {}

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request, errors and the headers of every answer included."""
        segments = [urllib.parse.unquote(part) for part in request.rel_url.raw_path.split("/") if part]
        raw = await request.read()
        try:
            body = parse_json(raw) if raw else {}
            if segments == FAULT_PATH:
                self.fault = body
                return web.Response()
            authorise(request.method, segments, request.headers)
            status, content, headers = self._answer(request.method, segments, request.headers, body)
        except CosmosError as error:
            status, headers = error.status, {"x-ms-substatus": str(error.sub_status)}
            headers |= {"x-ms-retry-after-ms": "10"} if status in (429, 449) else {}
            code = http.client.responses.get(status, "RetryWith").replace(" ", "")
            content = error.content or {"code": code, "message": str(error)}
        text = content if isinstance(content, str) else json.dumps(content)
        # By rule of thumb 1 request unit a kB read and 5 a kB sent; Azure measures them.
        estimated_charge = max(1.0, len(text) / 1024) + 5 * len(raw) / 1024
        headers |= {"x-ms-request-charge": f"{estimated_charge:.2f}", "x-ms-activity-id": str(uuid.uuid4())}
        return web.Response(text=text, status=status, content_type="application/json", headers=headers)

    def _answer(self, method: str, segments: list[str], headers: Headers, body: Any) -> Answer:
        for end, feature in REFUSED_HEADERS.items():
            if segments[4:5] == ["docs"] and any(header.lower().endswith(end) for header in headers):
                raise not_supported(feature)
        path = "/".join(segments)
        is_query = _flag(headers, "x-ms-documentdb-isquery")
        match method, segments:
            case "GET", []:
                return 200, _account(headers["host"]), {}
            case "GET", ["dbs", _] | ["dbs", _, "colls", _]:
                return 200, self.store.read(path)[1], {}
            case "POST", ["dbs"] | ["dbs", _, "colls"] if not is_query:
                resource = body if path == "dbs" else documents.check_definition(body)
                with self.store.transaction():
                    return 201, self.store.create(f"{path}/{documents.check_id(body)}", resource), {}
            case "DELETE", ["dbs", _] | ["dbs", _, "colls", _]:
                with self.store.transaction():
                    self.store.drop(path)
                return 204, "", {}
            case "GET", ["dbs", _, "colls", _, "pkranges"]:
                is_known = headers.get("if-none-match") == RANGES_ETAG
                ranges = {"_rid": "", "PartitionKeyRanges": RANGES, "_count": len(RANGES)}
                return 304 if is_known else 200, "" if is_known else ranges, {"etag": RANGES_ETAG}
            case (
                ("POST", ["dbs", _, "colls", _, "docs"])
                | ("GET" | "PUT" | "PATCH" | "DELETE", ["dbs", _, "colls", _, "docs", _])
                | ("POST", ["dbs", _, "colls", _, "operations", "partitionkeydelete"])
            ):
                self._strike(method)
                return self._answer_items(method, segments, headers, body)
        raise not_supported(f"{method} /{path}{' as a query' if is_query else ''}")

    def _strike(self, method: str) -> None:
        """Fail as a test has asked by `POST /_local/fault {status, count, substatus?, method?}`."""
        if self.fault.get("count", 0) > 0 and self.fault.get("method", method) == method:
            self.fault["count"] -= 1
            message = "A fault that a test has asked for."
            raise CosmosError(self.fault["status"], message, self.fault.get("substatus", 0))

    def _answer_items(self, method: str, segments: list[str], headers: Headers, body: Any) -> Answer:
        container = self.store.container("/".join(segments[:4]))
        partition = _partition(headers)
        session = {"x-ms-alt-content-path": container.path}
        if partition:
            token = f"{partition.range}:-1#{int(self.store.clock() * 1000)}"  # one file: it need only grow
            session["x-ms-session-token"] = token
            session["x-ms-documentdb-partitionkeyrangeid"] = str(partition.range)
        if _flag(headers, "x-ms-cosmos-is-query-plan-request"):
            return 200, pages.plan(container, body), session
        if _flag(headers, "x-ms-documentdb-isquery"):
            of_range = headers.get("x-ms-documentdb-partitionkeyrangeid")
            scope = partition or (int(of_range) if of_range else None)
            if scope is None and not _flag(headers, "x-ms-documentdb-query-enablecrosspartition"):
                raise CosmosError(400, "Cross partition query is required but disabled.")
            size = max(0, int(headers.get("x-ms-max-item-count", "0"))) or DEFAULT_PAGE_SIZE
            asked = headers.get("x-ms-continuation")
            rows, following = pages.read_page(self.store, container, scope, body, size, asked)
            page = f'{{"_rid":"","Documents":[{",".join(rows)}],"_count":{len(rows)}}}'
            return 200, page, session | ({"x-ms-continuation": following} if following else {})
        if partition is None:
            raise CosmosError(400, "PartitionKey value must be supplied for this operation.")
        items = Items(self.store, container, partition)
        with self.store.transaction():
            if segments[4] == "operations":
                self.store.delete(container, partition)
                return 200, "", session
            if _flag(headers, "x-ms-cosmos-is-batch-request"):
                return 200, items.batch(body), session
            is_upsert = _flag(headers, "x-ms-documentdb-is-upsert")
            operation = {
                "operationType": "Upsert" if is_upsert else OPERATIONS[method],
                "id": documents.check_id(body) if method == "POST" else segments[5],
                "resourceBody": body,
                "ifMatch": headers.get("if-match"),
                "ifNoneMatch": headers.get("if-none-match"),
            }
            status, item = items.perform(operation)
            return status, item or "", session


def _flag(headers: Headers, name: str) -> bool:
    return headers.get(name, "").lower() == "true"


def _partition(headers: Headers) -> Partition | None:
    key = parse_json(headers.get("x-ms-documentdb-partitionkey", "null"))
    if key is not None and len(key) != 1:
        raise not_supported("partition keys of several values")
    return key and Partition.of(key[0])


def _account(host: str) -> Document:
    """One region, at the address that the client used."""
    here = [{"name": "local", "databaseAccountEndpoint": f"http://{host}/"}]
    regions = {"writableLocations": here, "readableLocations": here}
    return {"id": "local", "userConsistencyPolicy": {"defaultConsistencyLevel": "Session"}} | regions
