"""Runs the benchmarks, prints a table and writes benchmarks/results/NAME.json: `make bench`."""

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import (
    analysis,
    cosmos,
    demand,
    functions_host,
    kills,
    laptop_cloud,
    library,
    separation,
    service_bus,
    worker_steps,
)

RESULTS = Path(__file__).parent / "results"
COLUMNS = ("measure", "value", "baseline", "ratio", "bar", "holds", "note")


BENCHMARKS = {
    module.__name__.rpartition(".")[2]: module.run
    for module in (
        service_bus,
        cosmos,
        functions_host,
        laptop_cloud,
        library,
        demand,
        worker_steps,
        kills,
        separation,
        analysis,
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all of {', '.join(BENCHMARKS)} without it")
    names = parser.parse_args().names or [*BENCHMARKS]
    if unknown := set(names) - BENCHMARKS.keys():
        parser.error(f"there is no benchmark {min(unknown)}")
    RESULTS.mkdir(exist_ok=True)
    for name in names:
        run = BENCHMARKS[name]
        rows = run()
        (RESULTS / f"{name}.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        table = Table(*COLUMNS, title=name)
        for row in rows:
            table.add_row(*(str(row[column]) for column in COLUMNS))
        Console(width=140).print(table)


if __name__ == "__main__":
    main()
