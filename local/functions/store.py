"""What outlives the host, in SQLite: orchestrations, and when timers last ran."""

import json
import sqlite3
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Event = dict[str, Any]


@dataclass
class Instance:
    """An orchestration. `history` is what its orchestrator has seen, `inbox` what it has not seen yet."""

    id: str
    name: str
    input: str  # JSON text
    created: str
    status: str = "Pending"
    output: Any = None
    custom_status: Any = None
    history: list[Event] = field(default_factory=list)
    inbox: list[Event] = field(default_factory=list)

    @property
    def is_finished(self) -> bool:
        """Whether it has come to its end, whatever that was."""
        return self.status not in ("Pending", "Running")


class Store:
    """What a method wrote outlives a kill of the process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._execute = sqlite3.connect(folder / "host.sqlite", isolation_level=None).execute
        self._execute("PRAGMA journal_mode = WAL")
        self._execute("CREATE TABLE IF NOT EXISTS instances (id PRIMARY KEY, is_finished, record)")
        self._execute("CREATE TABLE IF NOT EXISTS timers (name PRIMARY KEY, status)")

    def save(self, instance: Instance) -> None:
        """Write an instance with all its history, in one step."""
        row = (instance.id, instance.is_finished, json.dumps(asdict(instance)))
        self._execute("INSERT OR REPLACE INTO instances VALUES (?, ?, ?)", row)

    def find(self, instance_id: str) -> Instance | None:
        """Return an instance, or None where there is none of this id."""
        row = self._execute("SELECT record FROM instances WHERE id = ?", (instance_id,)).fetchone()
        return Instance(**json.loads(row[0])) if row else None

    def unfinished(self) -> list[Instance]:
        """Return the instances that are to go on."""
        rows = self._execute("SELECT record FROM instances WHERE NOT is_finished")
        return [Instance(**json.loads(record)) for (record,) in rows]

    def delete(self, instance_id: str) -> None:
        """Forget an instance."""
        self._execute("DELETE FROM instances WHERE id = ?", (instance_id,))

    def timer(self, name: str) -> dict[str, str] | None:
        """Return the status of a timer."""
        row = self._execute("SELECT status FROM timers WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def save_timer(self, name: str, status: dict[str, str]) -> None:
        """Write the status of a timer."""
        self._execute("INSERT OR REPLACE INTO timers VALUES (?, ?)", (name, json.dumps(status)))
