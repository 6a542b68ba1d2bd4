"""What the queues hold and what becomes of it: Service Bus semantics over SQLite, without AMQP.

An entity is a queue or its dead-letter queue, by name in lower case. Times are ms since 1970, durations ms.
Changes last once `commit` has returned.
"""

import secrets
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from local.service_bus.config import ConfigError, QueueSettings
from local.service_bus.errors import LockLostError, UnsupportedError
from local.service_bus.messages import IncomingMessage

DEAD_LETTER_SUFFIX = "/$deadletterqueue"

# due_at: when a message changes by itself. A scheduled one is enqueued, a locked one loses its lock, an
# active one expires. AUTOINCREMENT: no sequence number is given out twice, not even after a removal.
_SCHEMA = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS messages (
    sequence_number INTEGER PRIMARY KEY AUTOINCREMENT,
    entity TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('scheduled', 'active', 'locked')),
    due_at INTEGER,
    lock_token TEXT UNIQUE,
    enqueued_at INTEGER NOT NULL,
    time_to_live INTEGER,
    delivery_count INTEGER NOT NULL DEFAULT 0,
    dead_letter_reason TEXT,
    dead_letter_description TEXT,
    content BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_in_order ON messages (entity, state, sequence_number);
CREATE INDEX IF NOT EXISTS messages_due ON messages (due_at);
CREATE TABLE IF NOT EXISTS sent_ids (
    entity TEXT, message_id TEXT, sent_at INTEGER, sequence_number INTEGER, PRIMARY KEY (entity, message_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sent_ids_by_age ON sent_ids (entity, sent_at);
"""


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
        for (entity,) in self._db.execute("SELECT DISTINCT entity FROM messages"):
            if entity not in self:
                raise ConfigError(f"{path} holds messages of a queue that is not configured: {entity}")

    def __contains__(self, entity: str) -> bool:
        return entity.removesuffix(DEAD_LETTER_SUFFIX) in self._queues

    def enqueue(self, queue: str, message: IncomingMessage) -> int:
        """Add a message, now or at its scheduled time, and return its sequence number.

        A duplicate within the queue's window is dropped, and the first one's number returned.
        """
        now = self._clock()
        settings = self._queues[queue]
        detects = settings.requires_duplicate_detection and message.message_id is not None
        if detects:
            forgotten = now - settings.duplicate_detection_history_time_window
            self._db.execute("DELETE FROM sent_ids WHERE entity = ? AND sent_at <= ?", (queue, forgotten))
            first = self._db.execute(
                "SELECT sequence_number FROM sent_ids WHERE entity = ? AND message_id = ?",
                (queue, message.message_id),
            ).fetchone()
            if first:
                return int(first["sequence_number"])
        limits = (message.time_to_live, settings.default_message_time_to_live)
        time_to_live = min((limit for limit in limits if limit is not None), default=None)
        number = self._insert(queue, message.content, now, time_to_live, message.scheduled_at)
        if detects:
            sent = (queue, message.message_id, now, number)
            self._db.execute("INSERT INTO sent_ids VALUES (?, ?, ?, ?)", sent)
        return number

    def lock_next(self, entity: str) -> sqlite3.Row | None:
        """Lock the first message that is ready, for the queue's lock duration; None if there is none."""
        now = self._clock()
        # 16 ASCII characters: clients read the 16 bytes of a delivery tag as the GUID of the lock.
        lock_token = secrets.token_urlsafe(12)
        locked = self._db.execute(
            "UPDATE messages SET state = 'locked', lock_token = ?, due_at = ? WHERE sequence_number = ("
            " SELECT sequence_number FROM messages WHERE entity = ? AND state = 'active'"
            " AND (due_at IS NULL OR due_at > ?) ORDER BY sequence_number LIMIT 1)",
            (lock_token, now + self._lock_duration(entity), entity, now),
        )
        return self._locked(entity, lock_token) if locked.rowcount else None

    def settle(
        self,
        entity: str,
        lock_token: str,
        disposition: str,
        reason: str | None = None,
        description: str | None = None,
    ) -> None:
        """Settle a locked message by a disposition, named as in Service Bus's update-disposition.

        It is removed (`completed`), given back as not delivered (`released`) or as a failed delivery, which
        dead-letters it after too many (`abandoned`), or dead-lettered for a reason (`suspended`).
        """
        row = self._locked(entity, lock_token)
        match disposition:
            case "completed":
                self._remove(row)
            case "released":
                self._unlock(row, failed_deliveries=0)
            case "abandoned":
                self._fail_delivery(row)
            case "suspended" if entity in self._queues:
                self._bury(row, reason, description)
            case _:
                raise UnsupportedError(f"the disposition {disposition} for a message of {entity}")

    def renew(self, entity: str, lock_token: str) -> int:
        """Start the lock's duration anew and return its new end."""
        number = self._locked(entity, lock_token)["sequence_number"]
        end = self._clock() + self._lock_duration(entity)
        self._db.execute("UPDATE messages SET due_at = ? WHERE sequence_number = ?", (end, number))
        return end

    def next_due(self) -> int | None:
        """Return when `advance` has something to do next, None if never."""
        due: int | None = self._db.execute("SELECT MIN(due_at) FROM messages").fetchone()[0]
        return due

    def advance(self) -> None:
        """Do what is due: enqueue scheduled messages, end locks, expire messages."""
        now = self._clock()
        due = "SELECT * FROM messages WHERE due_at <= ? ORDER BY due_at, sequence_number LIMIT 500"
        for row in self._db.execute(due, (now,)).fetchall():
            if row["state"] == "scheduled":
                # It takes its place in the queue, and so its final number, only now.
                self._insert(row["entity"], row["content"], now, row["time_to_live"], None)
                self._remove(row)
            elif row["state"] == "locked":
                self._fail_delivery(row)
            elif self._queues[row["entity"]].dead_lettering_on_message_expiration:
                self._bury(row, "TTLExpiredException", "The message expired and was dead lettered.")
            else:
                self._remove(row)

    def _lock_duration(self, entity: str) -> int:
        return self._queues[entity.removesuffix(DEAD_LETTER_SUFFIX)].lock_duration

    def _locked(self, entity: str, lock_token: str) -> sqlite3.Row:
        row: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM messages WHERE lock_token = ? AND entity = ? AND due_at > ?",
            (lock_token, entity, self._clock()),
        ).fetchone()
        if row is None:
            raise LockLostError
        return row

    def _insert(self, queue: str, content: bytes, now: int, ttl: int | None, scheduled_at: int | None) -> int:
        number = self._db.execute(
            "INSERT INTO messages (entity, content, enqueued_at, time_to_live, state, due_at)"
            " VALUES (:queue, :content, :now, :ttl, iif(:at > :now, 'scheduled', 'active'),"
            " iif(:at > :now, :at, :now + :ttl))",
            {"queue": queue, "content": content, "now": now, "ttl": ttl, "at": scheduled_at},
        ).lastrowid
        assert number is not None
        return number

    def _remove(self, row: sqlite3.Row) -> None:
        self._db.execute("DELETE FROM messages WHERE sequence_number = ?", (row["sequence_number"],))

    def _unlock(self, row: sqlite3.Row, *, failed_deliveries: int) -> None:
        self._db.execute(
            "UPDATE messages SET state = 'active', lock_token = NULL, due_at = enqueued_at + time_to_live,"
            " delivery_count = delivery_count + ? WHERE sequence_number = ?",
            (failed_deliveries, row["sequence_number"]),
        )

    def _fail_delivery(self, row: sqlite3.Row) -> None:
        self._unlock(row, failed_deliveries=1)
        deliveries = row["delivery_count"] + 1
        queue = self._queues.get(row["entity"])  # None for a dead-letter queue, which has no maximum
        if queue and deliveries >= queue.max_delivery_count:
            description = f"Message could not be consumed after {deliveries} delivery attempts."
            self._bury(row, "MaxDeliveryCountExceeded", description)

    def _bury(self, row: sqlite3.Row, reason: str | None, description: str | None) -> None:
        # time_to_live: messages in a dead-letter queue do not expire.
        self._db.execute(
            "UPDATE messages SET entity = entity || ?, state = 'active', lock_token = NULL, due_at = NULL,"
            " time_to_live = NULL, dead_letter_reason = ?, dead_letter_description = ?"
            " WHERE sequence_number = ?",
            (DEAD_LETTER_SUFFIX, reason, description, row["sequence_number"]),
        )
