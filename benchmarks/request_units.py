"""What requests to Cosmos DB would be charged in Azure: computed by its published rules, not measured there.

The rules and the table of sizes are those of "Understand Request Units Consumption in Azure Cosmos DB"
(Microsoft, April 2026): a create costs what its size does and 0.2 for each indexed term; a replace deletes
and creates, with the terms that differ; a patch is a replace with 0.4 for each operation; a delete costs as a
create does. For queries no formula is published; assumed is a charge of its own for each page, and each
document of the answer at the price of a point read.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.recorder import Exchange
from local.resources import INFRA

SIZES = (
    (1, 1.00, 4.95),
    (2, 1.04, 6.29),
    (4, 1.14, 6.67),
    (8, 1.33, 7.04),
    (16, 1.67, 9.52),
    (32, 2.19, 11.23),
)
"""Kilobytes, charge of a read, charge of a write."""
TERM, OPERATION = 0.2, 0.4
PAGE = 2.5
"""Assumed charge of a page of a query beside its documents; a query by index over one partition."""

Document = dict[str, Any]
Place = tuple[str, str, str]


@dataclass
class Meter:
    """Adds up charges; it remembers the documents seen, since a replace depends on the last one."""

    documents: dict[Place, Document] = field(default_factory=dict)
    charges: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By container."""
    operations: Counter[str] = field(default_factory=Counter)
    """By kind."""

    def add(self, exchanges: Iterable[Exchange]) -> "Meter":
        """Charge for these requests."""
        for exchange in exchanges:
            parts = exchange.path.strip("/").split("/")
            if "docs" in parts:
                self._add(parts[3], parts[5:], exchange)
        return self

    @property
    def total(self) -> float:
        """All charges."""
        return sum(self.charges.values())

    def _add(self, container: str, item: list[str], exchange: Exchange) -> None:
        headers, answer = exchange.headers, exchange.received
        partition = headers.get("x-ms-documentdb-partitionkey", "")
        if headers.get("x-ms-cosmos-is-query-plan-request"):
            return  # the SDK's own preparation: free
        if headers.get("x-ms-documentdb-isquery"):
            found = json.loads(answer).get("Documents", [])
            across = "a partition" if partition else "a range of all partitions"
            self._charge(
                container, f"query of {across}", PAGE + sum(read_charge(_size(one)) for one in found)
            )
        elif headers.get("x-ms-cosmos-is-batch-request"):
            operations, results = json.loads(exchange.sent), json.loads(answer)
            for operation, result in zip(operations, results, strict=True):
                place = (container, partition, operation.get("id") or operation["resourceBody"]["id"])
                kind = operation["operationType"].lower()
                self._write(place, kind, operation.get("resourceBody"), result["statusCode"], "in a batch")
        elif exchange.method == "GET":
            self._charge(container, "point read", read_charge(exchange.received_bytes))
        else:
            body = json.loads(exchange.sent) if exchange.sent else None
            kind = {"PUT": "replace", "DELETE": "delete", "PATCH": "patch", "POST": "create"}[exchange.method]
            self._write(
                (container, partition, item[0] if item else body["id"]), kind, body, exchange.status, ""
            )

    def _write(self, place: Place, kind: str, body: Any, status: int, how: str) -> None:
        before = self.documents.get(place)
        if status >= 400:
            return self._charge(place[0], f"refused {kind}", read_charge(0))
        if kind == "delete":
            charge = write_charge(_size(before)) + TERM * len(_terms(place[0], before))
            self.documents.pop(place, None)
        else:
            steps = 0
            if kind == "patch":
                steps = len(body["operations"] if isinstance(body, dict) else body)
                body = before or {}
            new, old = _terms(place[0], body), _terms(place[0], before)
            charge = write_charge(_size(body)) + TERM * len(new - old) + OPERATION * steps
            if before is not None:
                charge += write_charge(_size(before)) + TERM * len(old - new)
            self.documents[place] = body
        return self._charge(place[0], f"{kind} {how}".strip(), charge)

    def _charge(self, container: str, kind: str, charge: float) -> None:
        self.charges[container] += charge
        self.operations[kind] += 1


def read_charge(size: int) -> float:
    """Return the charge of a point read of so many bytes."""
    return _by_size(size, 1)


def write_charge(size: int) -> float:
    """Return the charge of writing so many bytes, without indexed terms."""
    return _by_size(size, 2)


def _by_size(size: int, column: int) -> float:
    for step in SIZES:
        if size <= 1024 * step[0]:
            return step[column]
    raise ValueError(f"documents of {size} bytes are not expected here")


def _size(document: Document | None) -> int:
    return len(json.dumps(document, separators=(",", ":")).encode()) if document else 0


def _terms(container: str, document: Document | None) -> set[tuple[str, str]]:
    indexed = INDEXED[container]
    return {(name, json.dumps(value)) for name, value in (document or {}).items() if name in indexed}


INDEXED = {
    each["id"]: {path["path"].strip("/?") for path in each["indexingPolicy"]["includedPaths"]}
    for each in json.loads((INFRA / "cosmos.json").read_text(encoding="utf-8"))["containers"]
}
