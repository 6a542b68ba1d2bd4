"""Runs the benchmarks, prints a table and writes benchmarks/results/NAME.json: `make bench`."""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import separation

RESULTS = Path(__file__).parent / "results"
COLUMNS = ("measure", "value", "baseline", "ratio", "bar", "holds", "note")


def main() -> None:
    RESULTS.mkdir(exist_ok=True)
    for name, run in (("separation", separation.run),):
        rows = run()
        (RESULTS / f"{name}.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        table = Table(*COLUMNS, title=name)
        for row in rows:
            table.add_row(*(str(row[column]) for column in COLUMNS))
        Console(width=140).print(table)


if __name__ == "__main__":
    main()
