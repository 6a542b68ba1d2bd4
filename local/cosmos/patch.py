"""Partial document update: RFC 6902 and what Cosmos has beside it, `set` and `incr`."""

from typing import Any

from jsonpatch import JsonPatch, JsonPatchException
from jsonpointer import EndOfList, JsonPointer, JsonPointerException

from local.cosmos.documents import Document
from local.cosmos.errors import CosmosError

MAX_OPERATIONS = 10


def apply(document: Document, operations: list[Document]) -> Document:
    """Return the document with the operations applied in turn; 400 if one can't be."""
    if not operations or len(operations) > MAX_OPERATIONS:
        raise CosmosError(400, f"A patch has 1 to {MAX_OPERATIONS} operations.")
    for operation in operations:
        try:
            document = JsonPatch([_standard(document, operation)]).apply(document)
        except (JsonPatchException, JsonPointerException, LookupError, TypeError, ValueError) as error:
            raise CosmosError(400, f"The patch operation {operation} can't be applied.") from error
    return document


def _standard(document: Document, operation: Document) -> Document:
    """Return an operation on the document in terms of RFC 6902."""
    kind, path = operation["op"], operation["path"]
    if not path.startswith("/") or path.startswith("/_"):
        raise ValueError
    if kind in ("add", "replace", "remove", "move"):
        return operation
    old: Any = JsonPointer(path).resolve(document, EndOfList([]))
    is_there = not isinstance(old, EndOfList)
    value = operation["value"]
    if kind == "incr":
        numbers = {type(value), type(old) if is_there else int}
        if not numbers <= {int, float}:
            raise ValueError
        value += old if is_there else 0
    elif kind != "set":
        raise ValueError
    return {"op": "replace" if is_there else "add", "path": path, "value": value}
