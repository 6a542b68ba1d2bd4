"""The rules for documents, and what their container's definition decides about them."""

import json
import re
from dataclasses import dataclass
from typing import Any

from local.cosmos.errors import CosmosError, not_supported

Document = dict[str, Any]
Address = tuple[str, str, str]  # feed (`dbs/music/colls`), partition or "", id
MAX_DOCUMENT_BYTES = 2 * 1024 * 1024
DEFAULT_POLICY = {"includedPaths": [{"path": "/*"}], "excludedPaths": [{"path": '/"_etag"/?'}]}


def parse_json(raw: bytes | str) -> Any:
    """Read JSON; integers too long for SQLite are doubles, as all numbers are in Azure."""
    try:
        return json.loads(raw, parse_int=lambda digits: int(digits) if len(digits) < 19 else float(digits))
    except (ValueError, RecursionError) as error:
        raise CosmosError(400, f"Invalid JSON: {error}") from error


def dump_json(value: Any) -> str:
    """Write JSON that SQLite's functions read back unchanged."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except ValueError as error:
        raise CosmosError(400, f"Not expressible as JSON: {error}") from error
    if size > MAX_DOCUMENT_BYTES:
        raise CosmosError(413, "Request size is too large.")
    if "\\u0000" in text:
        raise not_supported("U+0000 in texts (SQLite's JSON functions cut them there)")
    return text


def partition_text(value: Any) -> str:
    """Return one text for equal partition key values (1 and 1.0); an absent value is `{}`, as in the SDK."""
    if isinstance(value, dict | list) and value != {}:
        raise CosmosError(400, "A partition key is a text, number, boolean or null.")
    return dump_json(float(value) if type(value) is int else value)


def check_id(resource: Document) -> str:
    """Return the id of a resource, unless Azure would refuse it."""
    name = resource.get("id")
    if not isinstance(name, str) or not re.fullmatch(r"[^/\\?#]{0,254}[^/\\?# \n]", name):
        raise CosmosError(400, "An id is a text of 1 to 255 characters, no / \\ ? #, no space at its end.")
    return name


def check_definition(definition: Document) -> Document:
    """Complete a container's definition with the default indexing policy, or refuse it."""
    for name in definition.keys() - {"id", "partitionKey", "indexingPolicy", "defaultTtl"}:
        raise not_supported(f"container property {name}")
    paths = definition.get("partitionKey", {}).get("paths", [])
    if len(paths) != 1 or not re.fullmatch(r"/\w+", paths[0]):
        raise not_supported("anything but one partition key path such as /id")
    policy = DEFAULT_POLICY | definition.get("indexingPolicy", {})
    if policy.get("indexingMode", "consistent") != "consistent":
        raise not_supported(f"indexing mode {policy['indexingMode']}")
    return definition | {"indexingPolicy": policy}


@dataclass(frozen=True)
class Container:
    """A stored container."""

    feed: str  # the path of its documents: `dbs/music/colls/jobs/docs`
    definition: Document

    def address_of(self, document: Document) -> Address:
        """Return where a document belongs."""
        key = self.definition["partitionKey"]["paths"][0].removeprefix("/")
        return self.feed, partition_text(document.get(key, {})), check_id(document)

    def ttl_of(self, document: Document) -> int | None:
        """Return the seconds from its writing after which a document expires; None: never."""
        own, default = document.get("ttl"), self.definition.get("defaultTtl")
        ttl = default if own is None else own
        if ttl is not None and (type(ttl) is not int or not (ttl == -1 or 0 < ttl < 2**31)):
            raise CosmosError(400, f"A time to live is -1 or a positive number of seconds, not {ttl}.")
        return None if default is None or ttl == -1 else ttl

    def is_indexed(self, name: str) -> bool:
        """Tell whether the indexing policy covers a property; the most precise rule decides."""
        included, excluded = (
            {rule["path"].replace('"', "") for rule in self.definition["indexingPolicy"][kind]}
            for kind in ("includedPaths", "excludedPaths")
        )
        rules = [rule for rule in (f"/{name}/?", f"/{name}/*", "/*") if rule in included | excluded]
        return name in ("id", "_ts") or any(rule in included - excluded for rule in rules[:1])
