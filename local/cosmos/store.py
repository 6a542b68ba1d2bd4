"""Databases, containers and their items in one SQLite file.

A commit is in the write-ahead log, and so in the kernel's hands, before it is acknowledged: killing this
process loses nothing. `synchronous = NORMAL` leaves out the fsync per commit: a power cut may lose the
last commits, never consistency. That is right for a laptop, and keeps a write below a millisecond.
"""

import contextlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from local.cosmos.documents import Container, check_id, dump_json, parse_json, system_properties
from local.cosmos.errors import OWNER_NOT_FOUND, PARTITION_KEY_MISMATCH, CosmosError, not_found

SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (  -- databases (dbs/music) and containers (dbs/music/colls/jobs)
    path TEXT PRIMARY KEY, parent TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    position INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: the order of a query without ORDER BY
    container TEXT NOT NULL REFERENCES resources ON DELETE CASCADE,
    partition TEXT NOT NULL, id TEXT NOT NULL, etag TEXT NOT NULL, expires INTEGER, body TEXT NOT NULL,
    UNIQUE (container, partition, id));
CREATE INDEX IF NOT EXISTS items_by_partition ON items (container, partition);
CREATE INDEX IF NOT EXISTS items_by_expiry ON items (expires) WHERE expires IS NOT NULL;
"""
OF_ADDRESS = "FROM items WHERE container = ? AND partition = ? AND id = ?"


class Address(NamedTuple):
    """Where an item lies, or (without an id) a partition."""

    container: Container
    partition: str
    item_id: str

    @property
    def columns(self) -> tuple[str, str, str]:
        """The values that `OF_ADDRESS` takes."""
        return self.container.path, self.partition, self.item_id


class Item(NamedTuple):
    """A stored document."""

    rid: str
    etag: str
    body: str


class Store:
    """The database file; its methods may be called from any thread."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._file = file
        self._thread = threading.local()
        self._writer = threading.Lock()
        self.connection.executescript("PRAGMA journal_mode = WAL;" + SCHEMA)

    @property
    def connection(self) -> sqlite3.Connection:
        """The calling thread's own connection: readers do not wait for each other."""
        if not hasattr(self._thread, "connection"):
            self._thread.connection = sqlite3.connect(self._file, isolation_level=None)
            self._thread.connection.executescript("PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON")
        connection: sqlite3.Connection = self._thread.connection
        return connection

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write; what has expired, and no read returns any more, goes on this occasion."""
        with self._writer, self.connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM items WHERE expires <= ?", (self.clock(),))
            yield connection

    def create_resource(self, parent: str, kind: str, resource: dict[str, Any]) -> dict[str, Any]:
        """Create a database (kind dbs, parent "") or a container (kind colls) in a database."""
        path = "/".join(filter(None, (parent, kind, check_id(resource))))
        with self._transaction() as connection:
            owner = self.read_resource(parent, OWNER_NOT_FOUND)["_self"] if parent else ""
            rid = secrets.token_urlsafe(6)
            stored = resource | system_properties(f"{owner}{kind}/", rid, self.clock())
            try:
                connection.execute(
                    "INSERT INTO resources VALUES (?, ?, ?)", (path, parent, dump_json(stored))
                )
            except sqlite3.IntegrityError as error:
                raise CosmosError(409, "Resource with specified id or name already exists.") from error
        return stored

    def read_resource(self, path: str, sub_status: int = 0) -> dict[str, Any]:
        """Return a database or container; 404 with `sub_status` if there is none."""
        row = self.connection.execute("SELECT body FROM resources WHERE path = ?", (path,)).fetchone()
        if row is None:
            raise not_found(sub_status)
        body: dict[str, Any] = parse_json(row[0])
        return body

    def list_resources(self, parent: str) -> list[dict[str, Any]]:
        """Return all databases (parent ""), or a database's containers."""
        rows = self.connection.execute("SELECT body FROM resources WHERE parent = ? ORDER BY path", (parent,))
        return [parse_json(body) for (body,) in rows]

    def delete_resource(self, path: str) -> None:
        """Delete a database or container with all that it holds."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM resources WHERE parent = ?", (path,))
            if not connection.execute("DELETE FROM resources WHERE path = ?", (path,)).rowcount:
                raise not_found()

    def container(self, path: str) -> Container:
        """Return the container that a request for items addresses."""
        return Container(path, self.read_resource(path, OWNER_NOT_FOUND))

    def _find(self, address: Address, if_match: str | None = None) -> Item | None:
        row = self.connection.execute(
            f"SELECT body ->> '$._rid', etag, body {OF_ADDRESS} AND ifnull(expires > ?, 1)",
            (*address.columns, self.clock()),
        ).fetchone()
        if row and if_match not in (None, "*", row[1]):
            raise CosmosError(412, "One of the specified pre-condition is not met.")
        return Item(*row) if row else None

    def read_item(self, address: Address) -> Item:
        """Return an item; an expired one is not found."""
        if item := self._find(address):
            return item
        raise not_found()

    def write_item(
        self, address: Address, document: dict[str, Any], creates: bool, replaces: bool, if_match: str | None
    ) -> tuple[bool, Item]:
        """Create, replace or (doing both) upsert a document; return whether it is new, and the item."""
        container, own_id = address.container, check_id(document)
        if container.partition_of(document) != address.partition or address.item_id not in ("", own_id):
            message = "Id or PartitionKey of the document doesn't match the one specified in the request."
            raise CosmosError(400, message, PARTITION_KEY_MISMATCH)
        address = address._replace(item_id=own_id)
        with self._transaction() as connection:
            old = self._find(address, if_match)
            if old and not replaces:
                raise CosmosError(409, "Entity with the specified id already exists in the system.")
            if not old and not creates:
                raise not_found()
            rid, now = old.rid if old else secrets.token_urlsafe(12), self.clock()
            system = system_properties(f"{container.definition['_self']}docs/", rid, now)
            item = Item(rid, system["_etag"], dump_json(document | system))
            connection.execute(
                "INSERT INTO items (container, partition, id, etag, expires, body) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET etag=excluded.etag, expires=excluded.expires, body=excluded.body",
                (*address.columns, item.etag, container.expiry_of(document, int(now)), item.body),
            )
        return old is None, item

    def delete_item(self, address: Address, if_match: str | None) -> None:
        """Delete an item."""
        with self._transaction() as connection:
            if not self._find(address, if_match):
                raise not_found()
            connection.execute(f"DELETE {OF_ADDRESS}", address.columns)
