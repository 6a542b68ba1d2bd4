"""The rules for documents, and what their container's definition decides about them."""

import json
import re
import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

import mmh3

from local.cosmos.errors import CosmosError, not_supported

Document = dict[str, Any]
MAX_DOCUMENT_BYTES = 2 * 1024 * 1024
MAX_ID_BYTES = 1023
DEFAULT_POLICY = {"includedPaths": [{"path": "/*"}], "excludedPaths": [{"path": '/"_etag"/?'}]}
KNOWN_OF_POLICY = {"indexingMode", "automatic", "includedPaths", "excludedPaths", "compositeIndexes"}
NUL_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


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
    if r"\u0000" in text and NUL_ESCAPE.search(text):
        raise not_supported("U+0000 in texts (SQLite's JSON functions cut them there)")
    return text


class Partition(NamedTuple):
    """A logical partition: one text for equal key values (1 and 1.0), and the physical range it lies in."""

    text: str
    range: int

    @classmethod
    def of(cls, value: Any) -> "Partition":
        """Return the partition of a key value; an absent value is `{}`, as in the SDK.

        The SDK hashes too: to know whose session token to send, and which range holds an item.
        """
        match value:
            case None | bool():
                hashed = {None: b"\x01", False: b"\x02", True: b"\x03"}[value]
            case int() | float():
                value = float(value)
                hashed = b"\x05" + struct.pack("<d", value)
            case str():
                hashed = b"\x08" + value.encode(errors="replace") + b"\xff"
            case dict() if not value:
                hashed = b"\x00"
            case _:
                raise CosmosError(400, "A partition key is a text, number, boolean or null.")
        return cls(dump_json(value), mmh3.hash128(hashed) >> 124 & 3)


def check_id(resource: Document) -> str:
    """Return the id of a resource, unless Azure would refuse it."""
    name = resource.get("id")
    if not isinstance(name, str) or not re.fullmatch(r"[^/\\?#]*[^/\\?# \n]", name):
        raise CosmosError(400, "An id is a text that is not empty, has no / \\ ? # and no space at its end.")
    if len(name.encode(errors="replace")) > MAX_ID_BYTES:
        raise CosmosError(400, f"An id has up to {MAX_ID_BYTES} bytes.")
    return name


def check_definition(definition: Document) -> Document:
    """Complete a container's definition with the default indexing policy, or refuse it."""
    for name in definition.keys() - {"id", "partitionKey", "indexingPolicy", "defaultTtl"}:
        raise not_supported(f"container property {name}")
    key = definition.get("partitionKey", {})
    paths = key.get("paths", [])
    if len(paths) != 1 or not re.fullmatch(r"/\w+", paths[0]) or key.get("version") != 2:
        raise not_supported("anything but one partition key path such as /id, of version 2")
    _check_ttl(definition.get("defaultTtl"))
    policy = DEFAULT_POLICY | definition.get("indexingPolicy", {})
    unknown = [name for name in policy.keys() - KNOWN_OF_POLICY if policy[name]]
    if policy.get("indexingMode", "consistent") != "consistent" or not policy.get("automatic", True):
        unknown.append("a mode other than consistent and automatic")
    if unknown:
        raise not_supported(f"in an indexing policy {', '.join(unknown)}")
    return definition | {"indexingPolicy": policy}


def _check_ttl(ttl: Any) -> int | None:
    if ttl is not None and (type(ttl) is not int or not (ttl == -1 or 0 < ttl < 2**31)):
        raise CosmosError(400, f"A time to live is -1 or a positive number of seconds, not {ttl}.")
    return ttl


@dataclass(frozen=True)
class Container:
    """A stored container."""

    path: str  # `dbs/music/colls/jobs`
    table: str  # where SQLite has its items
    definition: Document

    def partition_of(self, document: Document) -> Partition:
        """Return the partition that a document belongs to."""
        return Partition.of(document.get(self.definition["partitionKey"]["paths"][0][1:], {}))

    def ttl_of(self, document: Document) -> int | None:
        """Return the seconds from its writing after which a document expires; None: never."""
        own, default = _check_ttl(document.get("ttl")), self.definition.get("defaultTtl")
        ttl = default if own is None else own
        return None if default is None or ttl == -1 else ttl

    def is_indexed(self, path: str) -> bool:
        """Tell whether the indexing policy covers a property such as `/bpm`; the longest rule decides."""

        def precision(rule: dict[str, str]) -> int:
            base, kind = rule["path"].replace('"', "").rsplit("/", 1)
            covers = path == base or (kind == "*" and path.startswith(base + "/"))
            return 2 * len(base) + (kind == "?") if covers else -1

        policy = self.definition["indexingPolicy"]
        included = max(map(precision, policy["includedPaths"]), default=-1)
        excluded = max(map(precision, policy["excludedPaths"]), default=-1)
        return path in ("/id", "/_ts") or included > excluded

    def has_composite_index(self, paths: list[str]) -> bool:
        """Tell whether the policy has an index for ORDER BY these paths, as in Azure in this very order."""
        for index in self.definition["indexingPolicy"].get("compositeIndexes", []):
            directions = {rule.get("order", "ascending") for rule in index}
            if [rule["path"].replace('"', "") for rule in index] == paths and len(directions) == 1:
                return True
        return False
