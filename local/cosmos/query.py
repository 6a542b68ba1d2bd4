"""Queries within one partition: parsed with lark, translated to SQL over the stored JSON, read in pages.

A comparison holds only within one kind: what is undefined, or of another kind, meets none, not even `!=`.
"""

import base64
import hashlib
import json
from typing import Any

from lark import Lark, Token, UnexpectedInput

from local.cosmos.documents import Container, Document, dump_json, parse_json
from local.cosmos.errors import CosmosError, not_supported
from local.cosmos.store import Store

PARSER = Lark(
    r"""
    start: "SELECT"i "*" "FROM"i NAME ["WHERE"i conditions] ["ORDER"i "BY"i PROPERTY [DIRECTION]]
    conditions: comparison ("AND"i comparison)*
    comparison: PROPERTY OPERATOR (PARAMETER | STRING | NUMBER | WORD)

    DIRECTION: /(asc|desc)\b/i
    OPERATOR: "<=" | ">=" | "!=" | "<>" | "=" | "<" | ">"
    PARAMETER: /@[a-z_]\w*/i
    NUMBER: /-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?/i
    WORD: /(true|false|null)\b/i
    STRING: /'[^'\\]*'|"[^"\\]*"/
    PROPERTY: NAME "." NAME
    // As in Azure a reserved word is no name.
    NAME: /(?!(select|top|value|from|where|order|by|offset|limit|as|in|and|or|not|between|asc|desc|true|false
        |null|undefined|distinct|group|join|like|escape|exists|array|udf)\b)[a-z_]\w*/xi
    %ignore /\s+/
    """,
    parser="lalr",
)
KNOWN = "SELECT * FROM c [WHERE c.x = @x AND ...] [ORDER BY c.y [DESC]]"
# Their order is that of ORDER BY across kinds; kind 0 is undefined.
KINDS = {"null": 1, "true": 2, "false": 2, "integer": 3, "real": 3, "text": 4, "array": 5, "object": 6}
KIND_CASES = " ".join(f"WHEN '{name}' THEN {kind}" for name, kind in KINDS.items())
KINDS_OF_CONSTANTS = {type(None): 1, bool: 2, int: 3, float: 3, str: 4}


def read_page(
    store: Store, container: Container, partition: str, request: Document, size: int, token: str | None
) -> tuple[list[Document], str | None]:
    """Return up to `size` documents, and the continuation token of the next page if there is one.

    `request` is the body that the SDK sends: {query, parameters: [{name, value}, ...]}. The token is bound
    to its query and holds the sort keys of the last document (a keyset), so that documents inserted or
    deleted before that position shift nothing. Spliced into the SQL are fragments made here and names that
    the grammar allows; every value is bound.
    """
    text = str(request.get("query"))
    parameters = {each["name"]: each["value"] for each in request.get("parameters") or []}
    identity = dump_json([container.definition["_rid"], partition, text, parameters])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    source, conditions, order_by, direction = _parse(text)
    bound: dict[str, Any] = {"feed": container.feed, "partition": partition, "wanted": size}
    where = ["feed = :feed", "partition = :partition"]
    for comparison in conditions.children if conditions else []:
        subject, operator, constant = comparison.children
        value = _constant(constant, parameters)
        if type(value) not in KINDS_OF_CONSTANTS:
            raise not_supported("comparing with an array or object")
        kind_of, value_of = _kind_and_value(_name(subject, source))
        name = f"constant{len(bound)}"
        bound[name] = 0 if value is None else value
        where.append(f"{kind_of} = {KINDS_OF_CONSTANTS[type(value)]} AND {value_of} {operator} :{name}")
    keys = ["position"]
    if order_by:
        name = _name(order_by, source)
        if not container.is_indexed(name):
            raise CosmosError(400, "The index path corresponding to the specified order-by item is excluded.")
        keys = [*_kind_and_value(name), "position"]
    descending = str(direction).upper() == "DESC"
    if token:
        bound |= {f"last{number}": key for number, key in enumerate(_keys_of(token, digest))}
        last = ", ".join(f":last{number}" for number in range(len(keys)))
        where.append(f"({', '.join(keys)}) {'<' if descending else '>'} ({last})")
    order = ", ".join(f"{key} DESC" if descending else key for key in keys)
    statement = f"SELECT {', '.join(keys)}, body FROM documents WHERE {' AND '.join(where)} ORDER BY {order}"  # noqa: S608
    # One more than wanted tells that a page follows.
    rows = store.execute(f"{statement} LIMIT :wanted + 1", bound).fetchall()
    documents = [parse_json(body) for *_, body in rows[:size]]
    if len(rows) <= size:
        return documents, None
    return documents, base64.b64encode(json.dumps([digest, rows[size - 1][:-1]]).encode()).decode()


def _parse(text: str) -> list[Any]:
    """Return source, conditions, ORDER BY and its direction, the last three None where they are missing."""
    try:
        return PARSER.parse(text).children
    except UnexpectedInput as error:
        rest = text[error.pos_in_stream or 0 :]
        raise not_supported(f"{rest!r} in the query {text!r}; it knows {KNOWN}") from error


def _name(subject: str, source: str) -> str:
    """Return the name of a property such as `c.bpm`."""
    root, name = subject.split(".")
    if root != source:
        raise CosmosError(400, f"Identifier '{root}' could not be resolved.")
    return name


def _kind_and_value(name: str) -> tuple[str, str]:
    """Return SQL of a property's kind, and of its value: never NULL, comparable within a kind."""
    kind = f"CASE json_type(body, '$.{name}') {KIND_CASES} ELSE 0 END"
    return kind, f"ifnull(json_extract(body, '$.{name}'), 0)"


def _constant(token: Token, parameters: dict[str, Any]) -> Any:
    if token.type == "STRING":
        return token[1:-1]
    if token.type != "PARAMETER":
        return parse_json(token.lower())
    if token not in parameters:
        raise CosmosError(400, f"The parameter {token} has no value.")
    return parameters[token]


def _keys_of(token: str, digest: str) -> list[Any]:
    try:
        of_query, keys = json.loads(base64.b64decode(token, validate=True))
    except (ValueError, TypeError) as error:
        raise CosmosError(400, "Invalid Continuation Token") from error
    if of_query != digest:
        raise CosmosError(400, "Invalid Continuation Token: it belongs to another query")
    return list(keys)
