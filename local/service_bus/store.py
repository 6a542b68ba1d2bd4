"""What the queues hold and what becomes of it: Service Bus semantics over SQLite, without AMQP.

An entity is a queue or its dead-letter queue, by name in lower case. Times are ms since 1970, durations ms.

A commit is in the write-ahead log, and so in the kernel's hands, before it is acknowledged: killing this
process loses nothing. `synchronous = NORMAL` leaves out the fsync per commit: a power cut may lose the last
commits, never consistency.
"""

import math
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from local.service_bus.config import QueueSettings
from local.service_bus.errors import LockLostError, RefusedError, UnsupportedError
from local.service_bus.messages import IncomingMessage, with_properties

DEAD_LETTER_SUFFIX = "/$deadletterqueue"
_MILLISECOND = timedelta(milliseconds=1)

# due_at: when a message changes by itself. A scheduled one is enqueued, a locked one loses its lock, an
# active one expires. AUTOINCREMENT: no sequence number is given out twice, not even after a removal.
_SCHEMA = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS messages (
    sequence_number INTEGER PRIMARY KEY AUTOINCREMENT,
    entity TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('scheduled', 'active', 'locked')),
    due_at INTEGER,
    lock_token TEXT UNIQUE,
    enqueued_at INTEGER NOT NULL,
    time_to_live INTEGER,
    delivery_count INTEGER NOT NULL DEFAULT 0,
    content BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_ready ON messages (entity, sequence_number) WHERE state = 'active';
CREATE INDEX IF NOT EXISTS messages_due ON messages (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS sent_ids (
    entity TEXT, message_id TEXT, sent_at INTEGER, sequence_number INTEGER, PRIMARY KEY (entity, message_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sent_ids_by_age ON sent_ids (entity, sent_at);
"""
_LOCKED = " FROM messages WHERE lock_token = ? AND entity = ? AND due_at > ?"


class QueueStore:
    """The queues in one SQLite file, which one process at a time may use."""

    def __init__(self, path: Path, queues: Mapping[str, QueueSettings], clock: Callable[[], int]) -> None:
        self._queues = queues
        self.clock = clock
        self._db = sqlite3.connect(path, timeout=1.0)
        self._db.row_factory = sqlite3.Row
        self._db.executescript(_SCHEMA)
        self.commit = self._db.commit
        self.close = self._db.close
        self.due_at: float = 0  # `advance` has nothing to do before
        self._known_empty: set[str] = set()  # spares a waiting receiver's query at each turn of the broker
        for (entity,) in self._db.execute("SELECT DISTINCT entity FROM messages"):
            if entity not in self:
                raise ValueError(f"{path} holds messages of a queue that is not configured: {entity}")

    def __contains__(self, entity: str) -> bool:
        return entity.removesuffix(DEAD_LETTER_SUFFIX) in self._queues

    def enqueue(self, queue: str, message: IncomingMessage) -> int:
        """Add a message, now or at its scheduled time, and return its sequence number.

        A duplicate within the queue's window is dropped, and the first one's number returned.
        """
        now = self.clock()
        settings = self._queues[queue]
        detects = settings.requires_duplicate_detection and message.message_id is not None
        if detects:
            forgotten = now - settings.duplicate_detection_history_time_window // _MILLISECOND
            self._db.execute("DELETE FROM sent_ids WHERE entity = ? AND sent_at <= ?", (queue, forgotten))
            same = "SELECT sequence_number FROM sent_ids WHERE entity = ? AND message_id = ?"
            if first := self._db.execute(same, (queue, message.message_id)).fetchone():
                return int(first["sequence_number"])
        longest = settings.default_message_time_to_live
        lives = (message.time_to_live, longest and longest // _MILLISECOND)
        time_to_live = min((life for life in lives if life), default=None)
        number = self._insert(queue, message.content, now, time_to_live, message.scheduled_at)
        if detects:
            sent = (queue, message.message_id, now, number)
            self._db.execute("INSERT INTO sent_ids VALUES (?, ?, ?, ?)", sent)
        return number

    def cancel(self, queue: str, numbers: Sequence[int]) -> None:
        """Remove scheduled messages: all of them, or none if one is not there."""
        of_queue = "SELECT sequence_number FROM messages WHERE entity = ? AND state = 'scheduled'"
        scheduled = {row["sequence_number"] for row in self._db.execute(of_queue, (queue,))}
        if missing := set(numbers) - scheduled:
            problem = f"There is no scheduled message with the sequence number {min(missing)}."
            raise RefusedError("com.microsoft:message-not-found", problem, 404)
        self._remove(numbers)

    def peek(self, entity: str, first: int, most: int) -> list[sqlite3.Row]:
        """Return messages in whatever state from a sequence number on, in the order of these numbers."""
        there = "SELECT * FROM messages WHERE entity = ? AND sequence_number >= ? ORDER BY 1 LIMIT ?"
        return self._db.execute(there, (entity, first, most)).fetchall()

    def lock_next(self, entity: str) -> sqlite3.Row | None:
        """Lock the first message that is ready, for the queue's lock duration; None if there is none."""
        if entity in self._known_empty:
            return None
        now = self.clock()
        lock_end = now + self._lock_duration(entity)
        # 16 ASCII characters: clients read the 16 bytes of a delivery tag as the GUID of the lock.
        lock_token = secrets.token_urlsafe(12)
        row: sqlite3.Row | None = self._db.execute(
            "UPDATE messages SET state = 'locked', lock_token = ?, due_at = ? WHERE sequence_number = ("
            " SELECT sequence_number FROM messages WHERE entity = ? AND state = 'active'"
            " AND (due_at IS NULL OR due_at > ?) ORDER BY sequence_number LIMIT 1) RETURNING *",
            (lock_token, lock_end, entity, now),
        ).fetchone()
        if row is None:
            self._known_empty.add(entity)
        self.due_at = min(self.due_at, lock_end)
        return row

    def settle(self, entity: str, lock_token: str, disposition: str, changes: Mapping[str, Any]) -> None:
        """Settle a locked message by a disposition, named as in Service Bus's update-disposition.

        It is removed (`completed`), given back as not delivered (`released`) or as a failed delivery, which
        dead-letters it after too many (`abandoned`), or dead-lettered (`suspended`). The changes of its
        application properties, such as the reason of dead-lettering, go with all but the first.
        """
        if disposition == "completed":
            now = self.clock()
            if not self._db.execute("DELETE" + _LOCKED, (lock_token, entity, now)).rowcount:
                raise LockLostError
            return
        row = self._locked(entity, lock_token)
        match disposition:
            case "released":
                self._unlock(row, changes, failed_deliveries=0)
            case "abandoned":
                self._fail_delivery(row, changes)
            case "suspended" if entity in self._queues:
                self._bury(row, changes)
            case _:
                raise UnsupportedError(f"the disposition {disposition} for a message of {entity}")

    def renew(self, entity: str, lock_token: str) -> int:
        """Start the lock's duration anew and return its new end."""
        number = self._locked(entity, lock_token)["sequence_number"]
        end = self.clock() + self._lock_duration(entity)
        self._db.execute("UPDATE messages SET due_at = ? WHERE sequence_number = ?", (end, number))
        return end

    def advance(self) -> None:
        """Do what is due: enqueue scheduled messages, end locks, expire messages."""
        now = self.clock()
        due = "SELECT * FROM messages WHERE due_at <= ? ORDER BY due_at, sequence_number LIMIT 500"
        for row in self._db.execute(due, (now,)).fetchall():
            if row["state"] == "scheduled":
                # It takes its place in the queue, and so its final number, only now.
                self._insert(row["entity"], row["content"], now, row["time_to_live"], None)
                self._remove([row["sequence_number"]])
            elif row["state"] == "locked":
                self._fail_delivery(row, {})
            elif self._queues[row["entity"]].dead_lettering_on_message_expiration:
                description = "The message expired and was dead lettered."
                self._bury(row, dead_letter_reason("TTLExpiredException", description))
            else:
                self._remove([row["sequence_number"]])
        earliest = "SELECT MIN(due_at) FROM messages WHERE due_at IS NOT NULL"
        self.due_at = self._db.execute(earliest).fetchone()[0] or math.inf

    def _lock_duration(self, entity: str) -> int:
        return self._queues[entity.removesuffix(DEAD_LETTER_SUFFIX)].lock_duration // _MILLISECOND

    def _locked(self, entity: str, lock_token: str) -> sqlite3.Row:
        row: sqlite3.Row | None = self._db.execute(
            "SELECT *" + _LOCKED, (lock_token, entity, self.clock())
        ).fetchone()
        if row is None:
            raise LockLostError
        return row

    def _insert(self, queue: str, content: bytes, now: int, ttl: int | None, scheduled_at: int | None) -> int:
        is_later = scheduled_at is not None and scheduled_at > now
        due_at = scheduled_at if is_later else ttl and now + ttl
        number = self._db.execute(
            "INSERT INTO messages (entity, state, due_at, enqueued_at, time_to_live, content)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (queue, "scheduled" if is_later else "active", due_at, now, ttl, content),
        ).lastrowid
        assert number is not None
        self.due_at = min(self.due_at, due_at or math.inf)
        self._known_empty.discard(queue)
        return number

    def _remove(self, numbers: Sequence[int]) -> None:
        of_number = "DELETE FROM messages WHERE sequence_number = ?"
        self._db.executemany(of_number, [(number,) for number in numbers])

    def _unlock(self, row: sqlite3.Row, changes: Mapping[str, Any], *, failed_deliveries: int) -> None:
        expires = row["time_to_live"] is not None and row["entity"] in self._queues
        due_at = row["enqueued_at"] + row["time_to_live"] if expires else None
        self.due_at = min(self.due_at, due_at or math.inf)
        content = with_properties(row["content"], changes)
        self._db.execute(
            "UPDATE messages SET state = 'active', lock_token = NULL, due_at = ?,"
            " delivery_count = delivery_count + ?, content = ? WHERE sequence_number = ?",
            (due_at, failed_deliveries, content, row["sequence_number"]),
        )
        self._known_empty.discard(row["entity"])

    def _fail_delivery(self, row: sqlite3.Row, changes: Mapping[str, Any]) -> None:
        self._unlock(row, changes, failed_deliveries=1)
        deliveries = row["delivery_count"] + 1
        queue = self._queues.get(row["entity"])  # None for a dead-letter queue, which has no maximum
        if queue and deliveries >= queue.max_delivery_count:
            description = f"Message could not be consumed after {deliveries} delivery attempts."
            self._bury(row, {**changes, **dead_letter_reason("MaxDeliveryCountExceeded", description)})

    def _bury(self, row: sqlite3.Row, changes: Mapping[str, Any]) -> None:
        entity = row["entity"] + DEAD_LETTER_SUFFIX
        self._db.execute(
            "UPDATE messages SET entity = ?, state = 'active', lock_token = NULL, due_at = NULL, content = ?"
            " WHERE sequence_number = ?",
            (entity, with_properties(row["content"], changes), row["sequence_number"]),
        )
        self._known_empty.discard(entity)


def dead_letter_reason(reason: str | None, description: str | None) -> dict[str, str]:
    """Return the application properties that say why a message is in a dead-letter queue."""
    named = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
    return {name: text for name, text in named.items() if text}
