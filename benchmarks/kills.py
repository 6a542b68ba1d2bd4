"""A hundred kills of the laptop cloud's stand-ins under load: nothing acknowledged may be lost."""

import random
import tempfile
from pathlib import Path

from benchmarks.rows import Row, row
from tests.faults.kills import kill_at_random

KILLS = 100


def run() -> list[Row]:
    seed = random.SystemRandom().randrange(2**32)
    with tempfile.TemporaryDirectory() as folder:
        acknowledged, faults = kill_at_random(Path(folder), KILLS, seed)
    done = ", ".join(f"{count} {kind}" for kind, count in acknowledged.items())
    note = f"{KILLS} kills, seed {seed}; acknowledged: {done}"
    return [row(kind, count, None, at_most=0, note=note) for kind, count in faults.items()]
