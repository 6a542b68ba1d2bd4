"""Durable state in SQLite: one row an orchestration instance, with its history of events."""

import json
import sqlite3
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Event = dict[str, Any]

UNFINISHED = ("Pending", "Running")


@dataclass
class Instance:
    """An orchestration. `input` is a JSON text, `output` and `custom_status` are values."""

    id: str
    name: str
    input: str
    created: str
    updated: str
    status: str = "Pending"
    output: Any = None
    custom_status: Any = None
    history: list[Event] = field(default_factory=list)

    @property
    def is_finished(self) -> bool:
        """Whether it has come to its end, whatever that was."""
        return self.status not in UNFINISHED


class DurableStore:
    """What a method wrote outlives a kill of the process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("CREATE TABLE IF NOT EXISTS instances (id PRIMARY KEY, status, record)")

    def save(self, instance: Instance) -> None:
        """Write an instance with all its history, in one step."""
        row = (instance.id, instance.status, json.dumps(asdict(instance)))
        self._database.execute("INSERT OR REPLACE INTO instances VALUES (?, ?, ?)", row)

    def get(self, instance_id: str) -> Instance | None:
        """Return an instance, or None where there is none of this id."""
        query = "SELECT record FROM instances WHERE id = ?"
        row = self._database.execute(query, (instance_id,)).fetchone()
        return Instance(**json.loads(row[0])) if row else None

    def unfinished(self) -> list[Instance]:
        """Return the instances that are to go on."""
        query = "SELECT record FROM instances WHERE status IN (?, ?)"
        return [Instance(**json.loads(record)) for (record,) in self._database.execute(query, UNFINISHED)]

    def delete(self, instance_id: str) -> None:
        """Forget an instance."""
        self._database.execute("DELETE FROM instances WHERE id = ?", (instance_id,))
