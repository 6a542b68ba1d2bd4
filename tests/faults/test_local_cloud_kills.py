"""`kill -9` of the stand-ins under load; `make bench` does it a hundred times."""

from pathlib import Path

from tests.faults.kills import kill_at_random


def test_kills_under_load_lose_nothing_and_double_nothing(tmp_path: Path):
    acknowledged, faults = kill_at_random(tmp_path, kills=6, seed=1)
    assert min(acknowledged.values()) > 10
    assert set(faults.values()) == {0}, faults
