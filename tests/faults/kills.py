"""Kills stand-ins at random under load, and counts what was lost or doubled."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.conftest import wait_for
from tests.faults.loads import Blobs, Items, Load, Messages, Orchestrations
from tests.faults.stand_ins import NAMES, StandIns


def kill_at_random(folder: Path, kills: int, seed: int) -> tuple[dict[str, int], dict[str, int]]:
    """Return how much was acknowledged by kind, and the faults by kind: all of them should be 0.

    A stand-in is killed again only once clients have got through to it since its last start.
    """
    chance = random.Random(seed)
    with StandIns(folder) as stand_ins:
        items, messages = Items(stand_ins), Messages(stand_ins)
        orchestrations, blobs = Orchestrations(stand_ins), Blobs(stand_ins)
        loads: list[Load] = [items, messages, orchestrations, blobs]
        watched: dict[str, Load] = dict(zip(NAMES, loads, strict=False))
        reached = dict.fromkeys(NAMES, 0)
        stopped = threading.Event()
        with ThreadPoolExecutor(len(loads)) as clients:
            running = [clients.submit(load.go, stopped) for load in loads]
            try:
                for name in _victims(kills, chance):
                    load = watched[name]
                    wanted = reached[name] + chance.randint(2, 20)
                    wait_for(
                        lambda load=load, wanted=wanted: len(load.acknowledged) > wanted, f"{name}'s load"
                    )
                    stand_ins.kill(name)
                    stand_ins.start(name)
                    reached[name] = len(load.acknowledged)
            finally:
                stopped.set()
            for load in running:
                load.result()
        wait_for(orchestrations.is_quiet, "the last orchestration")
        wait_for(lambda: blobs.faults()["blobs lost"] == 0, "the last blob")
        wait_for(lambda: messages.faults()["messages never triggered"] == 0, "the last triggering message")
        acknowledged = {type(load).__name__.lower(): len(load.acknowledged) for load in loads}
        return acknowledged, {kind: count for load in loads for kind, count in load.faults().items()}


def _victims(kills: int, chance: random.Random) -> list[str]:
    """Each stand-in in turn, in a random order each time."""
    rounds = [chance.sample(NAMES, len(NAMES)) for _ in range(kills // len(NAMES) + 1)]
    return [name for each in rounds for name in each][:kills]
