"""The rules for documents, and what their container's definition decides about them."""

import json
import re
import uuid
from dataclasses import dataclass
from typing import Any

from local.cosmos.errors import PARTITION_KEY_MISMATCH, CosmosError, not_supported

MAX_DOCUMENT_BYTES = 2 * 1024 * 1024
DEFAULT_POLICY = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [{"path": "/*"}],
    "excludedPaths": [{"path": '/"_etag"/?'}],
}
NUL_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def parse_json(raw: bytes | str, kind: type = object) -> Any:
    """Read JSON of a kind; integers too long for SQLite are doubles, as all numbers are in Azure."""
    try:
        value = json.loads(raw, parse_int=lambda digits: int(digits) if len(digits) < 19 else float(digits))
    except (ValueError, RecursionError) as error:
        raise CosmosError(400, f"Invalid JSON: {error}") from error
    if not isinstance(value, kind):
        raise CosmosError(400, f"JSON of another kind than {kind.__name__}.")
    return value


def dump_json(value: Any) -> str:
    """Write JSON that SQLite's functions read back unchanged."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except ValueError as error:
        raise CosmosError(400, f"Not expressible as JSON: {error}") from error
    if size > MAX_DOCUMENT_BYTES:
        raise CosmosError(413, "Request size is too large.")
    if NUL_ESCAPE.search(text):
        raise not_supported("U+0000 in texts (SQLite's JSON functions cut them there)")
    return text


def partition_text(value: Any) -> str:
    """Return one text for equal partition key values (1 and 1.0); an absent value is `{}`, as in the SDK."""
    if isinstance(value, dict | list) and value != {}:
        raise CosmosError(400, "A partition key is a text, number, boolean or null.", PARTITION_KEY_MISMATCH)
    return dump_json(float(value) if type(value) is int else value)


def check_id(resource: dict[str, Any]) -> str:
    """Return the id of a resource, unless Azure would refuse it."""
    name = resource.get("id")
    if not isinstance(name, str) or not name:
        raise CosmosError(400, "The required properties - 'id; ' - are missing.")
    if re.search(r"[/\\?#]|[ \n]$", name) or len(name.encode()) > 1023:
        raise CosmosError(400, "An id has up to 1023 bytes, no / \\ ? #, and no space at its end.")
    return name


def _check_ttl(ttl: Any) -> int | None:
    if ttl is not None and (type(ttl) is not int or not (ttl == -1 or 0 < ttl < 2**31)):
        raise CosmosError(400, f"A time to live is -1 or a positive number of seconds, not {ttl}.")
    return ttl


def check_definition(definition: dict[str, Any]) -> dict[str, Any]:
    """Complete a container's definition with the default indexing policy, or refuse it."""
    for name in definition.keys() - {"id", "partitionKey", "indexingPolicy", "defaultTtl"}:
        raise not_supported(f"container property {name}")
    key = definition.get("partitionKey") or {}
    if len(key.get("paths", [])) != 1 or key.get("kind", "Hash") != "Hash":
        raise not_supported("anything but one partition key path of kind Hash")
    _check_ttl(definition.get("defaultTtl"))
    policy = DEFAULT_POLICY | definition.get("indexingPolicy", {})
    return definition | {"indexingPolicy": policy}


def system_properties(link: str, rid: str, now: float) -> dict[str, Any]:
    """Return what Azure adds to a resource that is written now; `link` is that of its kind in its owner."""
    return {"_rid": rid, "_self": f"{link}{rid}/", "_etag": f'"{uuid.uuid4()}"', "_ts": int(now)}


@dataclass(frozen=True)
class Container:
    """A stored container."""

    path: str
    definition: dict[str, Any]

    def partition_of(self, document: dict[str, Any]) -> str:
        """Return the partition that a document belongs to."""
        value: Any = document
        for name in self.definition["partitionKey"]["paths"][0].strip("/").split("/"):
            value = value.get(name.strip('"'), {}) if isinstance(value, dict) else {}
        return partition_text(value)

    def expiry_of(self, document: dict[str, Any], ts: int) -> int | None:
        """Return the second in which a document written at `ts` expires; None: never."""
        own, default = _check_ttl(document.get("ttl")), self.definition.get("defaultTtl")
        ttl = default if own is None else own
        return None if default is None or ttl is None or ttl == -1 else ts + ttl

    def is_indexed(self, path: str) -> bool:
        """Tell whether the indexing policy covers a property such as `/bpm`; the longest path decides."""

        def precision(rule: dict[str, str]) -> int:
            base, kind = rule["path"].replace('"', "").rsplit("/", 1)
            covers = path == base or (kind == "*" and path.startswith(base + "/"))
            return 2 * len(base) + (kind == "?") if covers else -1

        policy = self.definition["indexingPolicy"]
        included = max(map(precision, policy["includedPaths"]), default=-1)
        excluded = max(map(precision, policy["excludedPaths"]), default=-1)
        return policy["indexingMode"] == "consistent" and (path in ("/id", "/_ts") or included > excluded)
