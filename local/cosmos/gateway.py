"""The gateway's REST protocol: paths, headers and bodies as azure-cosmos sends and expects them."""

import asyncio
import itertools
import urllib.parse
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from local.cosmos import documents
from local.cosmos.auth import authorise
from local.cosmos.documents import Container, parse_json
from local.cosmos.errors import CosmosError, not_supported
from local.cosmos.pages import read_page
from local.cosmos.store import Address, Item, Store

DEFAULT_PAGE_SIZE = 100
RANGES_ETAG = '"1"'
# Four ranges, as a large container has: one would hide a client's mistakes across ranges.
RANGES = [
    {"id": str(number), "minInclusive": low, "maxExclusive": high, "parents": []}
    for number, (low, high) in enumerate(itertools.pairwise(["", "0FFFFFFF", "1FFFFFFF", "2FFFFFFF", "FF"]))
]
FEATURES_OF_HEADERS = {
    "x-ms-cosmos-is-batch-request": "transactional batch",
    "x-ms-cosmos-is-query-plan-request": "cross-partition queries",
    "a-im": "change feed",
    "x-ms-documentdb-pre-trigger-include": "triggers",
    "x-ms-documentdb-post-trigger-include": "triggers",
    "x-ms-indexing-directive": "indexing directives",
}
Answer = tuple[int, Any, dict[str, str]]  # status, JSON (as text or as data), headers


def build_app(store: Store) -> web.Application:
    """Return the aiohttp application that serves `store`."""
    app = web.Application(client_max_size=0)  # too large a document is refused with Cosmos's own error
    app.router.add_route("*", "/{path:.*}", Gateway(store).handle)
    return app


def _flag(headers: Mapping[str, str], name: str) -> bool:
    return headers.get(name, "false").lower() != "false"


def _listing(kind: str, resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {"_rid": "", kind: resources, "_count": len(resources)}


class Gateway:
    """Answers requests; each in a thread, so that none waits for another's disk access."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request, errors and the headers of every answer included."""
        segments = [urllib.parse.unquote(part) for part in request.rel_url.raw_path.split("/") if part]
        raw = await request.read()
        try:
            status, content, headers = await asyncio.to_thread(
                self._answer, request.method, segments, request.headers, raw
            )
        except CosmosError as error:
            status, headers = error.status, {"x-ms-substatus": str(error.sub_status)}
            content = {"code": HTTPStatus(status).phrase.replace(" ", ""), "message": str(error)}
        text = content if isinstance(content, str) else documents.dump_json(content)
        # By rule of thumb 1 request unit a kB read and 5 a kB sent; Azure measures them.
        estimated_charge = max(1.0, len(text) / 1024) + 5 * len(raw) / 1024
        headers |= {"x-ms-request-charge": f"{estimated_charge:.2f}", "x-ms-activity-id": str(uuid.uuid4())}
        return web.Response(text=text, status=status, content_type="application/json", headers=headers)

    def _answer(self, method: str, segments: list[str], headers: Mapping[str, str], raw: bytes) -> Answer:
        if segments[4:] == ["operations", "partitionkeydelete"]:
            raise not_supported("delete by partition key")
        authorise(method, segments, headers)
        path, parent = "/".join(segments), "/".join(segments[:-1])
        match method, segments:
            case "GET", []:
                return 200, _account(headers["host"]), {}
            case "POST", ["dbs"] | ["dbs", _, "colls"] if not _flag(headers, "x-ms-documentdb-isquery"):
                body = parse_json(raw, dict)
                resource = documents.check_definition(body) if parent else body
                return 201, self.store.create_resource(parent, segments[-1], resource), {}
            case "GET", ["dbs"] | ["dbs", _, "colls"]:
                kind = "DocumentCollections" if parent else "Databases"
                return 200, _listing(kind, self.store.list_resources(parent)), {}
            case "GET", ["dbs", _] | ["dbs", _, "colls", _]:
                return 200, self.store.read_resource(path), {}
            case "DELETE", ["dbs", _] | ["dbs", _, "colls", _]:
                self.store.delete_resource(path)
                return 204, "", {}
            case "GET", ["dbs", _, "colls", _, "pkranges"]:
                is_known = headers.get("if-none-match") == RANGES_ETAG
                ranges = "" if is_known else _listing("PartitionKeyRanges", RANGES)
                return 304 if is_known else 200, ranges, {"etag": RANGES_ETAG}
            case _, ["dbs", _, "colls", _, "docs", *item] if len(item) < 2:
                container = self.store.container("/".join(segments[:4]))
                return self._answer_items(method, container, "".join(item), headers, raw)
        raise not_supported(f"{method} /{path}")

    def _answer_items(
        self, method: str, container: Container, item_id: str, headers: Mapping[str, str], raw: bytes
    ) -> Answer:
        for header, feature in FEATURES_OF_HEADERS.items():
            if _flag(headers, header):
                raise not_supported(feature)
        if method != "GET" and "if-none-match" in headers:
            raise not_supported("If-None-Match on a write")
        is_query = _flag(headers, "x-ms-documentdb-isquery")
        key = parse_json(headers.get("x-ms-documentdb-partitionkey", "null"))
        if key is None and not item_id and (is_query or method == "GET"):
            raise not_supported("cross-partition queries" if is_query else "reading all items")
        if not isinstance(key, list) or len(key) != 1:
            raise CosmosError(400, "PartitionKey value must be supplied for this operation.")
        address = Address(container, documents.partition_text(key[0]), item_id)
        if_match = headers.get("if-match")
        match method, bool(item_id):
            case "POST", False if is_query:
                return self._query(address, headers, parse_json(raw, dict))
            case ("POST", False) | ("PUT", True):
                replaces = method == "PUT" or _flag(headers, "x-ms-documentdb-is-upsert")
                document = parse_json(raw, dict)
                is_new, item = self.store.write_item(address, document, method == "POST", replaces, if_match)
                return self._item(container, 201 if is_new else 200, item)
            case "GET", True:
                item = self.store.read_item(address)
                return self._item(container, 304 if headers.get("if-none-match") == item.etag else 200, item)
            case "DELETE", True:
                self.store.delete_item(address, if_match)
                return self._item(container, 204)
        raise not_supported(f"{method} of an item" if item_id else f"{method} of all items")

    def _item(self, container: Container, status: int, item: Item | None = None) -> Answer:
        headers = {
            "x-ms-alt-content-path": container.path,
            # There is one file, always up to date: the token only has to grow, and may name any range.
            "x-ms-session-token": f"0:-1#{int(self.store.clock() * 1000)}",
            "x-ms-documentdb-partitionkeyrangeid": "0",
        }
        if item is None:
            return status, "", headers
        return status, "" if status == 304 else item.body, headers | {"etag": item.etag}

    def _query(self, address: Address, headers: Mapping[str, str], body: dict[str, Any]) -> Answer:
        size = int(headers.get("x-ms-max-item-count", "-1"))
        size = size if size > 0 else DEFAULT_PAGE_SIZE
        rows, token = read_page(self.store, address, body, size, headers.get("x-ms-continuation"))
        text = f'{{"_rid":"","Documents":[{",".join(rows)}],"_count":{len(rows)}}}'
        return 200, text, {"x-ms-continuation": token} if token else {}


def _account(host: str) -> dict[str, Any]:
    """One region, at the address that the client used."""
    here = [{"name": "local", "databaseAccountEndpoint": f"http://{host}/"}]
    regions = {"writableLocations": here, "readableLocations": here}
    return {"id": "local", "userConsistencyPolicy": {"defaultConsistencyLevel": "Session"}} | regions
