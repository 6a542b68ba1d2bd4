"""Lists that lie in several partitions of the search index: pages, and opaque tokens between them.

Each partition is in order by itself, and the database continues it exactly; a list is a walk from one
partition to the next. So a page never repeats or loses an item that was there throughout.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.errors import FieldFault, InvalidInputError

Document = dict[str, Any]

PARTITIONS_A_PAGE = 100
"""A page ends here even if it is not full: filters that nothing fits must not hold a request for ever."""
STARTS_AT_ONCE = 50


@dataclass(frozen=True)
class Cursor:
    """Where the next page of a list starts: in a partition, after what the database's continuation names."""

    partition: str
    continuation: str | None = None

    def to_token(self, query: Mapping[str, Any]) -> str:
        """Return the cursor as an opaque token for this query only."""
        content = [_digest(query), self.partition, self.continuation]
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    @classmethod
    def from_token(cls, token: str, query: Mapping[str, Any]) -> "Cursor":
        """Return the cursor of a token.

        Raises
        ------
        InvalidInputError
            If it is not a token of this query.
        """
        try:
            padded = token + "=" * (-len(token) % 4)
            digest, partition, continuation = json.loads(
                base64.b64decode(padded, altchars=b"-_", validate=True)
            )
            texts = (partition, continuation or "")
            if digest != _digest(query) or not all(text.isascii() and text.isprintable() for text in texts):
                raise ValueError
            return cls(partition, continuation)
        except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
            raise unusable_token() from None


def unusable_token() -> InvalidInputError:
    """Return the error for a token that does not continue its query."""
    fault = FieldFault(field="pageToken", message="is not a token of this query; follow nextLink as it is")
    return InvalidInputError("The page token can't be taken.", faults=[fault])


def _digest(query: Mapping[str, Any]) -> str:
    text = json.dumps(sorted(query.items()), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Selection:
    """Which documents of a partition, and in which order."""

    order: str
    """Wire name of an indexed field."""
    descending: bool
    conditions: Sequence[str] = ()
    """Of the query language, over `c`; all must hold."""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DocumentPage:
    """Some documents of one partition, and the database's continuation after them."""

    documents: list[Document]
    continuation: str | None


@dataclass(frozen=True)
class Series:
    """Partitions `{name}:{start}` that a directory lists, in the order of their starts (months, tempos)."""

    name: str
    ranges: Sequence[tuple[str, str]] = (("", "~"),)
    """Which starts, inclusive and in order; `~` is behind all of them."""
    descending: bool = False

    def includes(self, start: str) -> bool:
        """Return whether the partition that starts here is of the series."""
        return any(low <= start <= high for low, high in self.ranges)


class ListIndex(Protocol):
    """What a walk needs of the search index."""

    async def page(
        self, partition: str, selection: Selection, limit: int, continuation: str | None
    ) -> DocumentPage:
        """Return a page of one partition."""
        ...

    async def starts(self, series: Series, after: str | None, limit: int) -> list[str]:
        """Return the next starts of a series."""
        ...


async def walk(
    index: ListIndex,
    partitions: Sequence[str] | Series,
    selection: Selection,
    *,
    limit: int,
    cursor: Cursor | None,
) -> tuple[list[Document], Cursor | None]:
    """Return a page of a list, and the cursor of the next page if there is one.

    Past a full page it looks one document ahead, so that the last page is known to be the last.

    Raises
    ------
    InvalidInputError
        If the cursor is not one of this list.
    """
    found: list[Document] = []
    number = 0
    async for partition in _from(index, partitions, cursor):
        if number == PARTITIONS_A_PAGE:
            return found, Cursor(partition)
        number += 1
        continuation = cursor.continuation if cursor and cursor.partition == partition else None
        while True:
            page = await index.page(partition, selection, max(1, limit - len(found)), continuation)
            if len(found) == limit and page.documents:
                return found, Cursor(partition, continuation)
            found += page.documents
            continuation = page.continuation
            if continuation is None:
                break
    return found, None


async def _from(
    index: ListIndex, partitions: Sequence[str] | Series, cursor: Cursor | None
) -> AsyncIterator[str]:
    """Yield the list's partitions in order, from the cursor's on."""
    if not isinstance(partitions, Series):
        if cursor and cursor.partition not in partitions:
            raise unusable_token()
        for partition in partitions[partitions.index(cursor.partition) if cursor else 0 :]:
            yield partition
        return
    last = None
    if cursor:
        name, _, last = cursor.partition.partition(":")
        if name != partitions.name or not partitions.includes(last):
            raise unusable_token()
        yield cursor.partition
    while True:
        starts = await index.starts(partitions, last, STARTS_AT_ONCE)
        for start in filter(partitions.includes, starts):
            yield f"{partitions.name}:{start}"
        if len(starts) < STARTS_AT_ONCE:
            return
        last = starts[-1]
