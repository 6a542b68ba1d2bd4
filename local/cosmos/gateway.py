"""The gateway's REST protocol: paths, headers and bodies as azure-cosmos sends and expects them."""

import json
import urllib.parse
import uuid
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from local.cosmos import documents
from local.cosmos.auth import authorise
from local.cosmos.documents import Address, Container, Document, parse_json
from local.cosmos.errors import CosmosError, not_supported
from local.cosmos.query import read_page
from local.cosmos.store import Store

DEFAULT_PAGE_SIZE = 100
RANGES = [{"id": "0", "minInclusive": "", "maxExclusive": "FF"}]
RANGES_ETAG = '"1"'
REFUSED_HEADERS = ("trigger-include", "indexing-directive", "if-none-match")  # ends of their names
Headers = Mapping[str, str]
Answer = tuple[int, Document | None, dict[str, str]]  # status, JSON, headers


def build_app(store: Store) -> web.Application:
    """Return the aiohttp application that serves `store`."""
    app = web.Application(client_max_size=0)  # too large a document is refused with Cosmos's own error
    app.router.add_route("*", "/{path:.*}", Gateway(store).handle)
    return app


class Gateway:
    """Answers requests one after the other: none takes longer than SQLite takes for a partition."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request, errors and the headers of every answer included."""
        segments = [urllib.parse.unquote(part) for part in request.rel_url.raw_path.split("/") if part]
        raw = await request.read()
        try:
            if "operations" in segments[4:5]:  # the SDK signs it in a way of its own
                raise not_supported("delete by partition key")
            authorise(request.method, segments, request.headers)
            body = parse_json(raw) if raw else {}
            if not isinstance(body, dict):
                raise not_supported("a body that is no JSON object, as of a transactional batch")
            status, content, headers = self._answer(request.method, segments, request.headers, body)
        except CosmosError as error:
            status, headers = error.status, {}
            content = {"code": HTTPStatus(status).phrase.replace(" ", ""), "message": str(error)}
        text = "" if content is None else json.dumps(content)
        # By rule of thumb 1 request unit a kB read and 5 a kB sent; Azure measures them.
        estimated_charge = max(1.0, len(text) / 1024) + 5 * len(raw) / 1024
        headers |= {"x-ms-request-charge": f"{estimated_charge:.2f}", "x-ms-activity-id": str(uuid.uuid4())}
        return web.Response(text=text, status=status, content_type="application/json", headers=headers)

    def _answer(self, method: str, segments: list[str], headers: Headers, body: Document) -> Answer:
        path = "/".join(segments)
        is_query = headers.get("x-ms-documentdb-isquery", "").lower() == "true"
        match method, segments:
            case "GET", []:
                return 200, _account(headers["host"]), {}
            case "GET", ["dbs", _] | ["dbs", _, "colls", _]:
                return 200, self._resource(segments), {}
            case "POST", ["dbs"] if not is_query:
                return 201, self._create(path, body), {}
            case "POST", ["dbs", _, "colls"] if not is_query:
                self._resource(segments[:2])
                return 201, self._create(path, documents.check_definition(body)), {}
            case "GET", ["dbs", _, "colls", _, "pkranges"]:
                is_known = headers.get("if-none-match") == RANGES_ETAG
                ranges = (
                    None if is_known else {"_rid": "", "PartitionKeyRanges": RANGES, "_count": len(RANGES)}
                )
                return 304 if is_known else 200, ranges, {"etag": RANGES_ETAG}
            case ("POST", [_, _, _, _, "docs"]) | ("GET" | "PUT" | "DELETE", [_, _, _, _, "docs", _]):
                container = Container("/".join(segments[:5]), self._resource(segments[:4]))
                partition = _partition(headers)
                if is_query:
                    return self._query(container, partition, headers, body)
                item_id = documents.check_id(body) if method == "POST" else segments[5]
                return self._item(method, container, (container.feed, partition, item_id), headers, body)
        raise not_supported(f"{method} /{path}{' as a query' if is_query else ''}")

    def _resource(self, segments: list[str]) -> Document:
        """Return a database or container."""
        return self.store.read(("/".join(segments[:-1]), "", segments[-1]))

    def _create(self, feed: str, resource: Document) -> Document:
        address = (feed, "", documents.check_id(resource))
        if self.store.find(address):
            raise CosmosError(409, "Resource with specified id or name already exists.")
        return self.store.write(address, resource, old=None, ttl=None)

    def _item(
        self, method: str, container: Container, address: Address, headers: Headers, body: Document
    ) -> Answer:
        if method in ("POST", "PUT") and container.address_of(body) != address:
            raise CosmosError(400, "Id or partition key of the document differs from that of the request.")
        old = self.store.find(address) if method == "POST" else self.store.read(address)
        if old and headers.get("if-match", "*") not in ("*", old["_etag"]):
            raise CosmosError(412, "One of the specified pre-condition is not met.")
        if old and method == "POST" and headers.get("x-ms-documentdb-is-upsert", "").lower() != "true":
            raise CosmosError(409, "Entity with the specified id already exists in the system.")
        session = {
            "x-ms-alt-content-path": container.feed.removesuffix("/docs"),
            "x-ms-session-token": f"0:-1#{int(self.store.clock() * 1000)}",  # one file: it need only grow
            "x-ms-documentdb-partitionkeyrangeid": "0",
        }
        if method == "GET":
            return 200, old, session
        if method == "DELETE":
            self.store.delete(address)
            return 204, None, session
        return 200 if old else 201, self.store.write(address, body, old, container.ttl_of(body)), session

    def _query(self, container: Container, partition: str, headers: Headers, body: Document) -> Answer:
        size = max(0, int(headers.get("x-ms-max-item-count", "0"))) or DEFAULT_PAGE_SIZE
        token = headers.get("x-ms-continuation")
        found, token = read_page(self.store, container, partition, body, size, token)
        page = {"_rid": "", "Documents": found, "_count": len(found)}
        return 200, page, {"x-ms-continuation": token} if token else {}


def _partition(headers: Headers) -> str:
    """Return the partition of a request for items; refuse what would change its meaning."""
    for header in headers:
        if header.lower().endswith(REFUSED_HEADERS):
            raise not_supported(f"the header {header}")
    key = parse_json(headers.get("x-ms-documentdb-partitionkey", "null"))
    if not isinstance(key, list) or len(key) != 1:
        raise not_supported("cross-partition requests (without one partition key value)")
    return documents.partition_text(key[0])


def _account(host: str) -> Document:
    """One region, at the address that the client used."""
    here = [{"name": "local", "databaseAccountEndpoint": f"http://{host}/"}]
    regions = {"writableLocations": here, "readableLocations": here}
    return {"id": "local", "userConsistencyPolicy": {"defaultConsistencyLevel": "Session"}} | regions
