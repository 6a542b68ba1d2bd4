"""What the queues hold and what becomes of it: Service Bus semantics over SQLite, without AMQP.

An entity is a queue or its dead-letter queue, by name in lower case. Times are ms since 1970, durations ms.
Changes last once `commit` has returned.
"""

import secrets
import sqlite3
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from local.service_bus.config import QueueSettings
from local.service_bus.errors import RefusedError
from local.service_bus.messages import IncomingMessage

DEAD_LETTER_SUFFIX = "/$deadletterqueue"
_MILLISECOND = timedelta(milliseconds=1)

# A scheduled message is one whose enqueued_at lies ahead; a locked one has a lock token.
# AUTOINCREMENT: no sequence number is given out twice, not even after a removal.
_SCHEMA = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS messages (
    sequence_number INTEGER PRIMARY KEY AUTOINCREMENT,
    entity TEXT NOT NULL,
    content BLOB NOT NULL,
    enqueued_at INTEGER NOT NULL,
    expires_at INTEGER,
    delivery_count INTEGER NOT NULL DEFAULT 0,
    lock_token TEXT UNIQUE,
    locked_until INTEGER,
    dead_letter_reason TEXT,
    dead_letter_description TEXT
);
CREATE INDEX IF NOT EXISTS messages_in_order ON messages (entity, enqueued_at);
CREATE TABLE IF NOT EXISTS sent_ids (
    entity TEXT, message_id TEXT, sent_at INTEGER, PRIMARY KEY (entity, message_id)
) WITHOUT ROWID;
"""
_UNLOCK = "UPDATE messages SET lock_token = NULL, locked_until = NULL, delivery_count = delivery_count + ?"
# expires_at: messages in a dead-letter queue do not expire.
_BURY = (
    "UPDATE messages SET entity = entity || '/$deadletterqueue', lock_token = NULL, locked_until = NULL,"
    " expires_at = NULL, dead_letter_reason = ?, dead_letter_description = ?"
)
_REMOVE = "DELETE FROM messages"


class QueueStore:
    """The queues in one SQLite file, which one process at a time may use."""

    def __init__(self, path: Path, queues: Mapping[str, QueueSettings], clock: Callable[[], int]) -> None:
        self._queues = queues
        self._clock = clock
        self._db = sqlite3.connect(path, timeout=1.0)
        self._db.row_factory = sqlite3.Row
        self._db.executescript(_SCHEMA)
        self.commit = self._db.commit
        self.close = self._db.close

    def __contains__(self, entity: str) -> bool:
        return entity.removesuffix(DEAD_LETTER_SUFFIX) in self._queues

    def enqueue(self, queue: str, message: IncomingMessage) -> None:
        """Add a message, for now or its scheduled time; drop it if its id came within the queue's window."""
        now = self._clock()
        settings = self._queues[queue]
        if settings.requires_duplicate_detection and message.message_id is not None:
            forgotten = now - settings.duplicate_detection_history_time_window // _MILLISECOND
            self._db.execute("DELETE FROM sent_ids WHERE entity = ? AND sent_at <= ?", (queue, forgotten))
            sent = (queue, message.message_id, now)
            if not self._db.execute("INSERT OR IGNORE INTO sent_ids VALUES (?, ?, ?)", sent).rowcount:
                return
        enqueued_at = max(now, message.scheduled_at or now)
        time_to_live = settings.default_message_time_to_live
        expires_at = enqueued_at + time_to_live // _MILLISECOND if time_to_live else None
        self._db.execute(
            "INSERT INTO messages (entity, content, enqueued_at, expires_at) VALUES (?, ?, ?, ?)",
            (queue, message.content, enqueued_at, expires_at),
        )

    def lock_next(self, entity: str) -> sqlite3.Row | None:
        """Lock the first message that is ready, for the queue's lock duration; None if there is none."""
        # 16 ASCII characters: clients read the 16 bytes of a delivery tag as the GUID of the lock.
        lock_token = secrets.token_urlsafe(12)
        row: sqlite3.Row | None = self._db.execute(
            "UPDATE messages SET lock_token = ?, locked_until = ? WHERE sequence_number = ("
            " SELECT sequence_number FROM messages WHERE entity = ? AND enqueued_at <= ?"
            " AND lock_token IS NULL ORDER BY enqueued_at, sequence_number LIMIT 1) RETURNING *",
            (lock_token, self._lock_end(entity), entity, self._clock()),
        ).fetchone()
        return row

    def complete(self, entity: str, lock_token: str) -> None:
        """Remove a locked message."""
        self._change_locked(entity, lock_token, _REMOVE)

    def give_back(self, entity: str, lock_token: str, *, failed: bool) -> None:
        """End a lock, and count the delivery if it failed."""
        self._change_locked(entity, lock_token, _UNLOCK, failed)

    def dead_letter(self, queue: str, lock_token: str, reason: str | None, description: str | None) -> None:
        """Move a locked message to its queue's dead-letter queue."""
        self._change_locked(queue, lock_token, _BURY, reason, description)

    def renew(self, entity: str, lock_token: str) -> int:
        """Start the lock's duration anew and return its new end."""
        end = self._lock_end(entity)
        self._change_locked(entity, lock_token, "UPDATE messages SET locked_until = ?", end)
        return end

    def advance(self) -> None:
        """Do what is due: end locks, dead-letter what failed too often, expire messages."""
        now = self._clock()
        self._db.execute(f"{_UNLOCK} WHERE locked_until <= ?", (1, now))
        for queue, settings in self._queues.items():
            most = settings.max_delivery_count
            failed = ("MaxDeliveryCountExceeded", f"Message could not be consumed after {most} attempts.")
            self._db.execute(f"{_BURY} WHERE entity = ? AND delivery_count >= ?", (*failed, queue, most))
            expired = "WHERE entity = ? AND expires_at <= ? AND lock_token IS NULL"
            if settings.dead_lettering_on_message_expiration:
                reason = ("TTLExpiredException", "The message expired and was dead lettered.")
                self._db.execute(f"{_BURY} {expired}", (*reason, queue, now))
            else:
                self._db.execute(f"{_REMOVE} {expired}", (queue, now))

    def _lock_end(self, entity: str) -> int:
        settings = self._queues[entity.removesuffix(DEAD_LETTER_SUFFIX)]
        return self._clock() + settings.lock_duration // _MILLISECOND

    def _change_locked(self, entity: str, lock_token: str, change: str, *values: object) -> None:
        changed = self._db.execute(
            f"{change} WHERE entity = ? AND lock_token = ? AND locked_until > ?",
            (*values, entity, lock_token, self._clock()),
        )
        if not changed.rowcount:
            raise RefusedError("com.microsoft:message-lock-lost", "The lock ended, or it was settled.", 410)
