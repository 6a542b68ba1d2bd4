"""What outlives the host, in SQLite."""

import json
import sqlite3
from pathlib import Path
from typing import Any


class Table:
    """JSON records by their names. What was written outlives a kill of the process."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._execute = sqlite3.connect(folder / f"{name}.sqlite", isolation_level=None).execute
        self._execute("PRAGMA journal_mode = WAL")
        self._execute("CREATE TABLE IF NOT EXISTS records (name PRIMARY KEY, record)")

    def read(self) -> dict[str, Any]:
        """Return all records."""
        return {name: json.loads(record) for name, record in self._execute("SELECT * FROM records")}

    def write(self, name: str, record: Any) -> None:
        """Write a record, in one step."""
        self._execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (name, json.dumps(record)))

    def delete(self, name: str) -> None:
        """Forget a record."""
        self._execute("DELETE FROM records WHERE name = ?", (name,))
