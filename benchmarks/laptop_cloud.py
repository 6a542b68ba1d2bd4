"""The laptop cloud with a worker: seconds from start to ready, and what it costs while nothing happens."""

import os
import tempfile
import time
from pathlib import Path

from benchmarks.rows import Row, row
from local import azurite
from local.process import Program, free_port
from tests.conftest import start_cloud

STARTS = 3
SETTLING_SECONDS = 20.0
IDLE_SECONDS = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


def run() -> list[Row]:
    alone = min(_azurite_start() for _ in range(STARTS))
    with tempfile.TemporaryDirectory() as folder:
        starts = []
        for number in range(STARTS):
            began = time.monotonic()
            cloud = start_cloud(Path(folder) / "data", *(["--no-worker"] if number < STARTS - 1 else []))
            starts.append(time.monotonic() - began)
            if number < STARTS - 1:
                cloud.program.stop(grace=30)
        time.sleep(SETTLING_SECONDS)
        before = _cpu_seconds(cloud.program.pid)
        time.sleep(IDLE_SECONDS)
        after = _cpu_seconds(cloud.program.pid)
        cloud.program.stop(grace=30)
    shares = {name: 100 * (after[name] - before[name]) / IDLE_SECONDS for name in after}
    parts = ", ".join(f"{name} {share:.2f}" for name, share in sorted(shares.items(), key=lambda i: -i[1]))
    return [
        row(
            "start to ready, slowest seconds",
            max(starts),
            alone,
            at_most=8,
            note=f"of {STARTS}: empty folder, a second start, with a worker; baseline: Azurite alone",
        ),
        row(
            "idle, % of one core",
            sum(shares.values()),
            shares["azurite.js"],
            at_most=3,
            note=f"over {IDLE_SECONDS:.0f} s; {parts}; baseline: Azurite's share of it",
        ),
    ]


def _azurite_start() -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = azurite.command(Path(folder), free_port(), free_port(), free_port())
        began = time.monotonic()
        program = Program("azurite", command, ready=azurite.READY, closed=azurite.CLOSED).wait_ready()
        seconds = time.monotonic() - began
        program.stop()
    return seconds


def _cpu_seconds(supervisor: int) -> dict[str, float]:
    """Processor time of the supervisor and of every process that descends from it, by what it runs."""
    parents, seconds, names = {}, {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            words = (entry / "cmdline").read_bytes().decode().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(entry.name)] = int(fields[1])
        seconds[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS
        names[int(entry.name)] = (
            words[2] if words[1:2] == ["-m"] else Path(words[min(1, len(words) - 1)]).name
        )
    shares: dict[str, float] = {}
    for process in seconds:
        ancestor = process
        while ancestor in parents and ancestor != supervisor:
            ancestor = parents[ancestor]
        if ancestor == supervisor:
            shares[names[process]] = shares.get(names[process], 0.0) + seconds[process]
    return shares


def main() -> None:
    for each in run():
        print(each)


if __name__ == "__main__":
    main()
