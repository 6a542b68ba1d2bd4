"""Databases, containers and items: documents in one SQLite file, each at its address.

A commit is in the write-ahead log, and so in the kernel's hands, before it is acknowledged: killing this
process loses nothing. `synchronous = NORMAL` leaves out the fsync per commit: a power cut may lose the
last commits, never consistency. That is right for a laptop, and keeps a write below a millisecond.
"""

import secrets
import sqlite3
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.cosmos.documents import Address, Document, dump_json, parse_json
from local.cosmos.errors import CosmosError

SCHEMA = """
PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS documents (
    position INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: the order of a query without ORDER BY
    feed TEXT NOT NULL, partition TEXT NOT NULL, id TEXT NOT NULL, expires INTEGER, body TEXT NOT NULL,
    UNIQUE (feed, partition, id));
CREATE INDEX IF NOT EXISTS documents_by_expiry ON documents (expires) WHERE expires IS NOT NULL;
"""
OF_ADDRESS = "FROM documents WHERE feed = ? AND partition = ? AND id = ?"


class Store:
    """The file, this process's alone; one thread uses it, so that nothing comes between two statements."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._connection = sqlite3.connect(file, timeout=1, isolation_level=None)
        self._connection.executescript(SCHEMA)

    def execute(self, statement: str, values: Any) -> sqlite3.Cursor:
        """Run one statement; what has expired is gone before it."""
        self._connection.execute("DELETE FROM documents WHERE expires <= ?", (self.clock(),))
        return self._connection.execute(statement, values)

    def find(self, address: Address) -> Document | None:
        """Return the document at an address, or None."""
        row = self.execute(f"SELECT body {OF_ADDRESS}", address).fetchone()
        return dict(parse_json(row[0])) if row else None

    def read(self, address: Address) -> Document:
        """Return the document at an address; 404 if there is none."""
        if document := self.find(address):
            return document
        raise CosmosError(404, "Entity with the specified id does not exist in the system.")

    def write(self, address: Address, document: Document, old: Document | None, ttl: int | None) -> Document:
        """Write a document in place of `old`, if there is one; return it with its system properties."""
        feed, _, name = address
        rid, now = old["_rid"] if old else secrets.token_urlsafe(12), int(self.clock())
        system = {"_rid": rid, "_self": f"{feed}/{name}/", "_etag": f'"{uuid.uuid4()}"', "_ts": now}
        self.execute(
            "INSERT INTO documents (feed, partition, id, expires, body) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET expires = excluded.expires, body = excluded.body",
            (*address, ttl and now + ttl, dump_json(document | system)),
        )
        return document | system

    def delete(self, address: Address) -> None:
        """Delete the document at an address."""
        self.execute(f"DELETE {OF_ADDRESS}", address)
