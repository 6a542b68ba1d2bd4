"""What outlives the host, in SQLite: orchestrations, and receipts of blobs."""

import json
import sqlite3
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

UNFINISHED = ("Pending", "Running")


@dataclass
class Instance:
    """An orchestration, and its history: what it has asked for, and how that ended."""

    id: str
    name: str
    input: str  # JSON text
    created: str
    status: str = "Pending"
    output: Any = None
    actions: list[dict[str, Any]] = field(default_factory=list)  # in the SDK's words
    outcomes: list[dict[str, Any]] = field(default_factory=list)  # events; none yet of what is under way


class Store:
    """All `instances` by id, and the versions of blobs that have `receipts`; read when it is opened."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(folder / "functions.sqlite", isolation_level=None)
        self._database.execute("CREATE TABLE IF NOT EXISTS instances (id PRIMARY KEY, record)")
        self._database.execute("CREATE TABLE IF NOT EXISTS receipts (version PRIMARY KEY)")
        records = self._database.execute("SELECT id, record FROM instances")
        self.instances = {number: Instance(**json.loads(record)) for number, record in records}
        self.receipts = {version for (version,) in self._database.execute("SELECT version FROM receipts")}

    def save(self, instance: Instance) -> None:
        """Write an orchestration, in one step that outlives a kill."""
        self.instances[instance.id] = instance
        row = (instance.id, json.dumps(asdict(instance)))
        self._database.execute("INSERT OR REPLACE INTO instances VALUES (?, ?)", row)

    def add_receipt(self, version: str) -> None:
        """Note for good that a version of a blob is done with."""
        self._database.execute("INSERT OR IGNORE INTO receipts VALUES (?)", (version,))
