"""A page of a query, and the continuation token that leads to the next one.

The token holds the sort keys of the last row (a keyset), so that items inserted or deleted before that
position shift nothing.
"""

import base64
import hashlib
import json
from typing import Any

from local.cosmos.documents import dump_json
from local.cosmos.errors import CosmosError
from local.cosmos.query import Query, translate
from local.cosmos.store import Address, Store


def read_page(
    store: Store, address: Address, request: dict[str, Any], size: int, token: str | None
) -> tuple[list[str], str | None]:
    """Return up to `size` rows as JSON texts, and the token of the next page if there is one.

    `request` is the body that the SDK sends: {query, parameters: [{name, value}, ...]}.
    """
    container, partition, _ = address
    try:
        parameters = {each["name"]: each["value"] for each in request.get("parameters") or []}
        text = str(request["query"])
    except (KeyError, TypeError) as error:
        raise CosmosError(400, "The request body is not a query with parameters.") from error
    identity = dump_json([container.definition["_rid"], partition, text, parameters])
    query = translate(text, parameters, container.is_indexed)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    keys = [*query.sort_keys, "position"]
    left, last_keys = (query.limit, []) if token is None else _decode(token, digest, len(keys))
    wanted = size if left is None else min(size, left)
    rows = store.connection.execute(
        _sql(query, keys, is_first=token is None),
        query.bound
        | {f"last{number}": key for number, key in enumerate(last_keys)}
        | {"container": container.path, "partition": partition, "now": store.clock(), "wanted": wanted},
    ).fetchall()
    page = [_text(query, row[len(keys) :]) for row in rows[:wanted]]
    if len(rows) <= wanted or left == wanted:
        return page, None
    next_start = [digest, left and left - wanted, rows[wanted - 1][: len(keys)]]
    return page, base64.b64encode(json.dumps(next_start).encode()).decode()


def _decode(token: str, digest: str, key_count: int) -> tuple[int | None, list[Any]]:
    try:
        of_query, left, keys = json.loads(base64.b64decode(token, validate=True))
        if of_query == digest and len(keys) == key_count:
            return left, keys
    except (ValueError, TypeError) as error:
        raise CosmosError(400, "Invalid Continuation Token") from error
    raise CosmosError(400, "Invalid Continuation Token: it belongs to another query")


def _sql(query: Query, keys: list[str], *, is_first: bool) -> str:
    """Put the statement together; it selects one row more than wanted, which tells that a page follows."""
    last = ", ".join(f":last{number}" for number in range(len(keys)))
    after = "1" if is_first else f"({', '.join(keys)}) {'<' if query.descending else '>'} ({last})"
    order = ", ".join(f"{key} DESC" if query.descending else key for key in keys)
    # Spliced are SQL fragments of query.py alone; every value is bound.
    return (
        f"SELECT {', '.join([*keys, *query.columns.values()])} FROM items"  # noqa: S608
        " WHERE container = :container AND partition = :partition AND ifnull(expires > :now, 1)"
        f" AND {query.where} AND {after}"
        f" ORDER BY {order} LIMIT :wanted + 1 OFFSET {query.offset if is_first else 0}"
    )


def _text(query: Query, values: tuple[str | None, ...]) -> str:
    """Join the columns' JSON texts; what is undefined (None) is left out."""
    if None in query.columns:
        return str(values[0])
    named = zip(query.columns, values, strict=True)
    return "{" + ",".join(f"{dump_json(name)}:{value}" for name, value in named if value is not None) + "}"
