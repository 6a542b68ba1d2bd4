"""Timer triggers of the Functions host."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.local_cloud.functions_host.conftest import StandIn, eventually, only_stand_in

pytestmark = only_stand_in


@pytest.fixture(scope="module")
def host(connections: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    stand_in = StandIn(tmp_path_factory.mktemp("timers"), **connections, QUEUE="other", BEAT="* * * * * *")
    stand_in.open_gate("beat may end")
    yield stand_in
    stand_in.stop()


def pretend_status(host: StandIn, timer: str, updated: datetime, due: datetime) -> None:
    """Leave what a host leaves that ran long ago."""
    status = {"Last": updated.isoformat(), "Next": due.isoformat(), "LastUpdated": updated.isoformat()}
    with closing(sqlite3.connect(host.data / "timers.sqlite")) as database, database:
        database.execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (timer, json.dumps(status)))


def test_a_timer_runs_each_time_it_is_due(host: StandIn) -> None:
    eventually(lambda: len(host.runs("beat")) >= 3)
    assert not any(run["past_due"] for run in host.runs("beat"))


def test_run_on_startup_runs_once_and_knows_the_next_time(host: StandIn) -> None:
    eventually(lambda: host.runs("new_year"))
    (run,) = host.runs("new_year")
    assert run["past_due"] is False
    due = datetime.fromisoformat(run["next"])
    assert due == datetime(due.year, 1, 1, 3, tzinfo=UTC)
    assert timedelta(minutes=-10) < due - datetime.now(UTC) <= timedelta(days=366), "it ran a moment ago"


def test_what_was_missed_is_made_up_for_once(host: StandIn) -> None:
    before = len(host.runs("new_year"))
    host.program.kill()
    long_ago = datetime(2024, 5, 1, tzinfo=UTC)
    pretend_status(host, "new_year", long_ago, datetime(2025, 1, 1, 3, tzinfo=UTC))
    host.start()
    eventually(lambda: len(host.runs("new_year")) > before)
    assert host.runs("new_year")[-1]["past_due"] is True
    host.program.kill()
    host.start()
    eventually(lambda: len(host.runs("new_year")) == before + 2)
    assert host.runs("new_year")[-1]["past_due"] is False


def test_neither_another_schedules_past_nor_that_of_each_second_is_made_up_for(host: StandIn) -> None:
    before = {timer: len(host.runs(timer)) for timer in ("new_year", "beat")}
    host.program.kill()
    long_ago = datetime(2024, 5, 1, tzinfo=UTC)
    pretend_status(host, "new_year", long_ago, long_ago + timedelta(days=1))
    pretend_status(host, "beat", long_ago, long_ago + timedelta(seconds=1))
    host.start()
    eventually(lambda: len(host.runs("beat")) > before["beat"] + 2)
    assert len(host.runs("new_year")) == before["new_year"] + 1  # on startup
    assert not any(host.runs(timer)[-1]["past_due"] for timer in before)
