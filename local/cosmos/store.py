"""Databases, containers and items in one SQLite file, one table a container.

A commit is in the write-ahead log, and so in the kernel's hands, before it is acknowledged: killing this
process loses nothing. `synchronous = NORMAL` leaves out the fsync per commit: a power cut may lose the
last commits, never consistency. That is right for a laptop, and keeps a write below a millisecond.
"""

import contextlib
import secrets
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from local.cosmos.documents import Container, Document, Partition, dump_json, parse_json
from local.cosmos.errors import CosmosError, not_found

OWNER_NOT_FOUND = 1003  # sub-status
SCHEMA = """
PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS resources (  -- databases (dbs/music) and containers (dbs/music/colls/jobs)
    number INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
"""
# A position is never used twice: it is the order of a query without ORDER BY, and decides among equals.
ITEMS_SCHEMA = """
CREATE TABLE {0} (
    position INTEGER PRIMARY KEY AUTOINCREMENT, range INTEGER NOT NULL, partition TEXT NOT NULL,
    id TEXT NOT NULL, expires INTEGER, body TEXT NOT NULL, UNIQUE (partition, id));
CREATE INDEX {0}_by_partition ON {0} (partition);
CREATE INDEX {0}_by_range ON {0} (range);
CREATE INDEX {0}_by_expiry ON {0} (expires) WHERE expires IS NOT NULL
"""


class Store:
    """The file, this process's alone; one thread uses it, so that nothing comes between two statements."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._connection = sqlite3.connect(file, timeout=1, isolation_level=None)
        self._connection.executescript(SCHEMA)
        # SQLite writes 15 digits of a number, and lowers ASCII alone.
        self._connection.create_function("json_text", 1, _json_text, deterministic=True)
        # It may see a number: SQLite takes for given what another condition asks of a property's kind.
        lower = lambda value: str(value).lower()  # noqa: E731
        self._connection.create_function("lower_text", 1, lower, deterministic=True)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all that the block writes, or nothing of it where it raises."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield

    def create(self, path: str, resource: Document) -> Document:
        """Write a new database or container; return it with its system properties."""
        owner_path, kind, _ = ["", *path.rsplit("/", 2)][-3:]
        owner = self.read(owner_path, OWNER_NOT_FOUND)[1]["_self"] if owner_path else ""
        stored = resource | self._system_properties(f"{owner}{kind}/", secrets.token_hex(4))
        try:
            statement = "INSERT INTO resources (path, body) VALUES (?, ?)"
            number = self._connection.execute(statement, (path, dump_json(stored))).lastrowid
        except sqlite3.IntegrityError as error:
            raise CosmosError(409, "Resource with specified id or name already exists.") from error
        if kind == "colls":
            for statement in ITEMS_SCHEMA.format(f"items_{number}").split(";"):
                self._connection.execute(statement)
        return stored

    def read(self, path: str, sub_status: int = 0) -> tuple[int, Document]:
        """Return number and definition of a database or container; 404 with `sub_status` if there is none."""
        statement = "SELECT number, body FROM resources WHERE path = ?"
        if row := self._connection.execute(statement, (path,)).fetchone():
            return row[0], parse_json(row[1])
        raise not_found(sub_status)

    def drop(self, path: str) -> None:
        """Delete a database or container with all that it holds; 404 if there is none."""
        self.read(path)
        statement = "DELETE FROM resources WHERE path = ?1 OR instr(path, ?1 || '/') = 1 RETURNING number"
        for (number,) in self._connection.execute(statement, (path,)).fetchall():
            self._connection.execute(f"DROP TABLE IF EXISTS items_{number}")

    def container(self, path: str) -> Container:
        """Return the container that a request for items addresses."""
        number, definition = self.read(path, OWNER_NOT_FOUND)
        return Container(path, f"items_{number}", definition)

    def execute(self, container: Container, statement: str, values: Any) -> sqlite3.Cursor:
        """Run one statement; what has expired in the container is gone before it."""
        expired = f"DELETE FROM {container.table} WHERE expires <= ?"  # noqa: S608 - its own name
        self._connection.execute(expired, (self.clock(),))
        return self._connection.execute(statement, values)

    def find(self, container: Container, partition: Partition, item_id: str) -> Document | None:
        """Return an item, or None."""
        statement = f"SELECT body FROM {container.table} WHERE partition = ? AND id = ?"  # noqa: S608
        row = self.execute(container, statement, (partition.text, item_id)).fetchone()
        return dict(parse_json(row[0])) if row else None

    def write(
        self, container: Container, partition: Partition, document: Document, old: Document | None
    ) -> Document:
        """Write an item in place of `old`, if there is one; return it with its system properties."""
        ttl, link = container.ttl_of(document), f"{container.definition['_self']}docs/"
        stored = document | self._system_properties(link, old["_rid"] if old else secrets.token_hex(8))
        expires = ttl and stored["_ts"] + ttl
        self.execute(
            container,
            f"INSERT INTO {container.table} (range, partition, id, expires, body) VALUES (?, ?, ?, ?, ?)"  # noqa: S608
            " ON CONFLICT DO UPDATE SET expires = excluded.expires, body = excluded.body",
            (partition.range, partition.text, stored["id"], expires, dump_json(stored)),
        )
        return stored

    def delete(self, container: Container, partition: Partition, item_id: str | None = None) -> None:
        """Delete an item, or without an id all of the partition."""
        address = (partition.text,) if item_id is None else (partition.text, item_id)
        where = "partition = ? AND id = ?" if len(address) == 2 else "partition = ?"
        self.execute(container, f"DELETE FROM {container.table} WHERE {where}", address)  # noqa: S608

    def add_columns(self, container: Container, columns: Mapping[str, str]) -> None:
        """Name expressions over the stored JSON, where that is not done.

        Such a column takes no room but in an index. Without its name SQLite would not compare a whole row
        of expressions by an index, as going on after a page's last document needs it.
        """
        known = {name for _, name, *_ in self._connection.execute(f"PRAGMA table_xinfo({container.table})")}
        for name in columns.keys() - known:
            self._connection.execute(f"ALTER TABLE {container.table} ADD COLUMN {name} AS ({columns[name]})")

    def index(self, container: Container, order: Sequence[str]) -> str:
        """Return the index of the container's partitions by columns; make it if missing."""
        name = "_by_".join([container.table, *order])
        self._connection.execute(
            f"CREATE INDEX IF NOT EXISTS {name} ON {container.table} ({', '.join(['partition', *order])})"
        )
        return name

    def _system_properties(self, link: str, rid: str) -> Document:
        etag, now = f'"{uuid.uuid4()}"', int(self.clock())
        return {"_rid": rid, "_self": f"{link}{rid}/", "_etag": etag, "_ts": now}


def _json_text(value: Any) -> str | None:
    return None if value is None else dump_json(value)
