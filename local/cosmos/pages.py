"""A page of a query, and the token that leads to the next one.

The token holds the range, the rows that TOP or LIMIT still allows, and the sort keys of the range's last row
(a keyset), so that items inserted or deleted before that position shift nothing.
"""

import base64
import hashlib
import json
from typing import Any

from local.cosmos import aggregates
from local.cosmos.documents import Container, Document, Partition, dump_json
from local.cosmos.errors import CosmosError
from local.cosmos.query import PLANNED, Query
from local.cosmos.store import Store

NOT_SERVABLE = 1004  # sub-status upon which the SDK asks for a plan
RANGES = 4
Scope = Partition | int | None  # a partition, a range, or (None) all ranges one after the other


def read_page(
    store: Store, container: Container, scope: Scope, request: Document, size: int, token: str | None
) -> tuple[list[str], str | None]:
    """Return up to `size` rows as JSON texts, and the token of the next page if there is one.

    `request` is the body that the SDK sends: {query, parameters: [{name, value}, ...]}. A page of all
    ranges ends where a range does, as in Azure: it may be short, or empty, before the last.
    """
    text, parameters = _query_of(request)
    identity = dump_json([container.definition["_rid"], scope, text, parameters])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    query = Query(text, parameters, container)
    if scope is None and not query.is_streamable:
        message = "The provided cross partition query can not be directly served by the gateway."
        raise CosmosError(400, message, NOT_SERVABLE)
    skipped, most = query.offset or 0, query.limit if query.top is None else query.top
    if query.is_planned and most is not None:
        skipped, most = 0, skipped + most  # the SDK skips, once it has the rows of all ranges
    first_range = scope if isinstance(scope, int) else 0
    of_range, left, last = _decode(token, digest) if token else (first_range, most, [])
    wanted = size if left is None else min(size, left)
    bound = query.bound | {f"last{number}": key for number, key in enumerate(last)}
    bound |= {"begin": last[1]} if last and query.order_by else {}
    bound |= {"wanted": wanted + 1, "skipped": 0 if token else skipped}  # one more: a page follows
    bound |= {"partition": getattr(scope, "text", None), "range": of_range}
    statement = _statement(store, container, query, scope, bool(last))
    rows = store.execute(container, statement, bound).fetchall()
    texts = [_text(query, row[len(query.keys) :]) for row in rows[:wanted]]
    left, following = left and left - wanted, []
    if len(rows) > wanted and left != 0:
        following = [digest, of_range, left, rows[wanted - 1][: len(query.keys)]]
    elif scope is None and of_range < RANGES - 1:
        following = [digest, of_range + 1, None, []]
    page = [text for text in texts if text is not None]
    return page, base64.b64encode(json.dumps(following).encode()).decode() if following else None


def plan(container: Container, request: Document) -> Document:
    """Return what the SDK has to do with the rows that `rewrittenQuery` gets from each range."""
    text, parameters = _query_of(request)
    query = Query(text, parameters, container)
    unknown = "GroupBy" if query.group_by else "NonValueAggregate"
    if query.is_grouped and (query.group_by or not query.is_value):
        message = f"Query contained {unknown}, which the calling client does not support."
        raise CosmosError(400, f"Query contains 1 or more unsupported features. {message}")
    info: Document = {"distinctType": "None", "top": query.top, "offset": query.offset, "limit": query.limit}
    info |= {"orderBy": ["Descending" if query.descending else "Ascending" for _ in query.order_by]}
    info |= {"aggregates": [aggregates.NAMES[name] for name in query.aggregates]}
    info |= {"rewrittenQuery": PLANNED + text, "hasSelectValue": query.is_value}
    everything = {"min": "", "max": "FF", "isMinInclusive": True, "isMaxInclusive": False}
    return {"partitionedQueryExecutionInfoVersion": 2, "queryInfo": info, "queryRanges": [everything]}


def _query_of(request: Document) -> tuple[str, dict[str, Any]]:
    parameters = {each["name"]: each["value"] for each in request.get("parameters") or []}
    return str(request.get("query")), parameters


def _decode(token: str, digest: str) -> tuple[int, int | None, list[Any]]:
    try:
        of_query, of_range, left, last = json.loads(base64.b64decode(token, validate=True))
        if of_query == digest:
            return of_range, left, last
    except (ValueError, TypeError) as error:
        raise CosmosError(400, "Invalid Continuation Token") from error
    raise CosmosError(400, "Invalid Continuation Token: it belongs to another query")


def _statement(store: Store, container: Container, query: Query, scope: Scope, goes_on: bool) -> str:
    """Put the SQL together: fragments made from the query, and names; every value is bound."""
    store.add_columns(container, query.generated)
    table, where = container.table, ["range = :range"]
    if isinstance(scope, Partition):
        where = ["partition = :partition"]
        for each in query.compared:
            if each.is_indexed:
                store.index(container, [each.kind, each.value])
        if query.order_by:
            table += f" INDEXED BY {store.index(container, query.keys[:-1])}"
    if goes_on:
        lasts = ", ".join(f":last{number}" for number in range(len(query.keys)))
        where.append(f"({', '.join(query.keys)}) {'<' if query.descending else '>'} ({lasts})")
    extra = ["body -> '$._rid'", *(each.json for each in query.order_by)]
    clauses = [
        f"SELECT {', '.join([*query.keys, *query.columns.values(), *extra])} FROM {table}",  # noqa: S608
        f"WHERE {' AND '.join([*where, *query.where])}",
        f"GROUP BY {', '.join(query.keys)}" if query.group_by else "",
        f"ORDER BY {', '.join(f'{key} DESC' if query.descending else key for key in query.keys) or 1}",
        "LIMIT :wanted OFFSET :skipped",
    ]
    return " ".join(clauses)


def _text(query: Query, values: tuple[str | None, ...]) -> str | None:
    """Return a row as JSON: what is undefined (None) is left out, or nothing if all of it is."""
    columns, (rid, *sort_values) = values[: len(query.columns)], values[len(query.columns) :]
    row = columns[0]
    if None not in query.columns:
        named = zip(query.columns, columns, strict=True)
        row = ",".join(f"{dump_json(name)}:{value}" for name, value in named if value is not None)
        row = f"{{{row}}}"
    if query.is_planned and query.aggregates:
        return f"[{_item(row)}]"
    if query.is_planned and query.order_by:
        return f'{{"_rid":{rid},"orderByItems":[{",".join(map(_item, sort_values))}],"payload":{row}}}'
    return row


def _item(value: str | None) -> str:
    return "{}" if value is None else f'{{"item":{value}}}'
