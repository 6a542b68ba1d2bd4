import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.service_bus.config import ConfigError, QueueSettings
from local.service_bus.errors import LockLostError, UnsupportedError
from local.service_bus.messages import IncomingMessage
from local.service_bus.store import DEAD_LETTER_SUFFIX, QueueStore

LOCK = 10_000
WINDOW = 60_000
QUEUES = {
    "jobs": QueueSettings(LockDuration="PT10S", MaxDeliveryCount=2),
    "unique": QueueSettings(RequiresDuplicateDetection=True, DuplicateDetectionHistoryTimeWindow="PT1M"),
    "kept": QueueSettings(DefaultMessageTimeToLive="PT5S", DeadLetteringOnMessageExpiration=True),
    "dropped": QueueSettings(DefaultMessageTimeToLive="PT5S"),
}


class Clock:
    now = 1_000_000

    def __call__(self) -> int:
        return self.now

    def forward(self, milliseconds: int) -> None:
        self.now += milliseconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[QueueStore]:
    store = QueueStore(tmp_path / "store.db", QUEUES, clock)
    yield store
    store.close()


def lock(store: QueueStore, entity: str) -> sqlite3.Row:
    row = store.lock_next(entity)
    assert row is not None
    return row


def test_messages_are_locked_in_the_order_of_sending_and_only_once(store: QueueStore) -> None:
    numbers = [store.enqueue("jobs", IncomingMessage(content)) for content in (b"a", b"b")]
    rows = [lock(store, "jobs"), lock(store, "jobs")]
    assert [row["sequence_number"] for row in rows] == numbers
    assert rows[0]["lock_token"] != rows[1]["lock_token"]
    assert store.lock_next("jobs") is None


def test_a_lock_holds_until_its_end_and_not_longer(store: QueueStore, clock: Clock) -> None:
    store.enqueue("jobs", IncomingMessage(b"a"))
    row = lock(store, "jobs")
    assert store.next_due() == row["due_at"] == clock.now + LOCK
    clock.forward(LOCK - 1)
    store.advance()
    assert store.lock_next("jobs") is None
    clock.forward(1)
    with pytest.raises(LockLostError):
        store.settle("jobs", row["lock_token"], "completed")
    store.advance()
    again = lock(store, "jobs")
    assert again["delivery_count"] == 1
    with pytest.raises(LockLostError):
        store.renew("jobs", row["lock_token"])
    store.settle("jobs", again["lock_token"], "completed")
    assert store.next_due() is None


def test_a_renewed_lock_holds_for_another_duration(store: QueueStore, clock: Clock) -> None:
    store.enqueue("jobs", IncomingMessage(b"a"))
    row = lock(store, "jobs")
    clock.forward(LOCK - 1)
    assert store.renew("jobs", row["lock_token"]) == clock.now + LOCK
    clock.forward(LOCK - 1)
    store.advance()
    store.settle("jobs", row["lock_token"], "completed")


def test_a_settled_message_cannot_be_settled_again(store: QueueStore) -> None:
    store.enqueue("jobs", IncomingMessage(b"a"))
    token = lock(store, "jobs")["lock_token"]
    store.settle("jobs", token, "completed")
    for disposition in ("completed", "released", "abandoned", "suspended"):
        with pytest.raises(LockLostError):
            store.settle("jobs", token, disposition)


def test_a_lock_belongs_to_its_queue(store: QueueStore) -> None:
    store.enqueue("jobs", IncomingMessage(b"a"))
    with pytest.raises(LockLostError):
        store.settle("unique", lock(store, "jobs")["lock_token"], "completed")


def test_a_released_delivery_does_not_count_and_an_abandoned_one_does(store: QueueStore) -> None:
    store.enqueue("jobs", IncomingMessage(b"a"))
    for disposition, count in (("released", 0), ("abandoned", 0), ("released", 1)):
        row = lock(store, "jobs")
        assert row["delivery_count"] == count
        store.settle("jobs", row["lock_token"], disposition)


@pytest.mark.parametrize("fails", ["abandoned", "lock ends"])
def test_the_last_failed_delivery_dead_letters(store: QueueStore, clock: Clock, fails: str) -> None:
    number = store.enqueue("jobs", IncomingMessage(b"a"))
    for _ in range(2):
        assert store.lock_next("jobs" + DEAD_LETTER_SUFFIX) is None
        token = lock(store, "jobs")["lock_token"]
        if fails == "abandoned":
            store.settle("jobs", token, "abandoned")
        else:
            clock.forward(LOCK)
            store.advance()
    assert store.lock_next("jobs") is None
    row = lock(store, "jobs" + DEAD_LETTER_SUFFIX)
    assert (row["sequence_number"], row["delivery_count"]) == (number, 2)
    assert row["dead_letter_reason"] == "MaxDeliveryCountExceeded"


def test_a_dead_lettered_message_stays_until_it_is_completed(store: QueueStore, clock: Clock) -> None:
    store.enqueue("kept", IncomingMessage(b"a"))
    store.settle("kept", lock(store, "kept")["lock_token"], "suspended", "why", "what exactly")
    dead = "kept" + DEAD_LETTER_SUFFIX
    for count in range(12):
        clock.forward(WINDOW)
        store.advance()
        row = lock(store, dead)
        assert row["delivery_count"] == count
        assert (row["dead_letter_reason"], row["dead_letter_description"]) == ("why", "what exactly")
        store.settle(dead, row["lock_token"], "abandoned")
    row = lock(store, dead)
    with pytest.raises(UnsupportedError, match="suspended"):
        store.settle(dead, row["lock_token"], "suspended")
    store.settle(dead, row["lock_token"], "completed")
    assert store.lock_next(dead) is None


def test_an_unknown_disposition_is_refused_and_changes_nothing(store: QueueStore) -> None:
    store.enqueue("jobs", IncomingMessage(b"a"))
    token = lock(store, "jobs")["lock_token"]
    with pytest.raises(UnsupportedError, match="defered"):
        store.settle("jobs", token, "defered")
    store.settle("jobs", token, "completed")


def test_a_duplicate_is_dropped_within_the_window_and_not_after_it(store: QueueStore, clock: Clock) -> None:
    message = IncomingMessage(b"a", message_id="m")
    first = store.enqueue("unique", message)
    clock.forward(WINDOW - 1)
    assert store.enqueue("unique", message) == first
    store.settle("unique", lock(store, "unique")["lock_token"], "completed")
    assert store.enqueue("unique", message) == first
    assert store.lock_next("unique") is None
    clock.forward(1)
    assert store.enqueue("unique", message) != first
    lock(store, "unique")


def test_without_detection_or_without_id_nothing_is_dropped(store: QueueStore) -> None:
    for queue, message in (
        ("jobs", IncomingMessage(b"a", message_id="m")),
        ("unique", IncomingMessage(b"a")),
    ):
        assert store.enqueue(queue, message) != store.enqueue(queue, message)
        lock(store, queue)
        lock(store, queue)


def test_a_scheduled_message_is_queued_at_its_time_behind_what_came_before(
    store: QueueStore, clock: Clock
) -> None:
    at = clock.now + 500
    scheduled = store.enqueue("jobs", IncomingMessage(b"scheduled", scheduled_at=at))
    clock.forward(499)
    store.advance()
    assert store.lock_next("jobs") is None
    store.enqueue("jobs", IncomingMessage(b"sent"))
    clock.forward(1)
    assert store.next_due() == at
    store.advance()
    assert lock(store, "jobs")["content"] == b"sent"
    row = lock(store, "jobs")
    assert row["content"] == b"scheduled"
    assert row["enqueued_at"] == at
    assert row["sequence_number"] > scheduled


def test_a_time_in_the_past_means_now(store: QueueStore, clock: Clock) -> None:
    store.enqueue("jobs", IncomingMessage(b"a", scheduled_at=clock.now))
    lock(store, "jobs")


@pytest.mark.parametrize(("queue", "dead_lettered"), [("kept", True), ("dropped", False)])
def test_a_message_expires_by_the_shorter_limit(
    store: QueueStore, clock: Clock, queue: str, dead_lettered: bool
) -> None:
    store.enqueue(queue, IncomingMessage(b"own", time_to_live=1_000))
    store.enqueue(queue, IncomingMessage(b"the queue's", time_to_live=100_000))
    clock.forward(4_999)
    store.advance()
    assert lock(store, queue)["content"] == b"the queue's"
    row = store.lock_next(queue + DEAD_LETTER_SUFFIX)
    assert (row is not None) == dead_lettered
    if row:
        assert (row["content"], row["dead_letter_reason"]) == (b"own", "TTLExpiredException")


def test_a_locked_message_does_not_expire_before_it_is_given_back(store: QueueStore, clock: Clock) -> None:
    store.enqueue("kept", IncomingMessage(b"a"))
    token = lock(store, "kept")["lock_token"]
    clock.forward(6_000)
    store.advance()
    store.settle("kept", token, "released")
    assert store.lock_next("kept") is None
    store.advance()
    assert lock(store, "kept" + DEAD_LETTER_SUFFIX)["dead_letter_reason"] == "TTLExpiredException"


def test_what_was_committed_is_there_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    store = QueueStore(tmp_path / "store.db", QUEUES, clock)
    for content in (b"locked", b"waiting"):
        store.enqueue("jobs", IncomingMessage(content))
    token = lock(store, "jobs")["lock_token"]
    store.commit()
    lost = store.enqueue("jobs", IncomingMessage(b"not committed"))
    store.close()
    store = QueueStore(tmp_path / "store.db", QUEUES, clock)
    assert lock(store, "jobs")["content"] == b"waiting"
    assert store.lock_next("jobs") is None
    store.settle("jobs", token, "completed")
    assert store.enqueue("jobs", IncomingMessage(b"new")) == lost
    store.close()


def test_a_number_is_never_given_out_twice(tmp_path: Path, clock: Clock) -> None:
    store = QueueStore(tmp_path / "store.db", QUEUES, clock)
    first = store.enqueue("jobs", IncomingMessage(b"a"))
    store.settle("jobs", lock(store, "jobs")["lock_token"], "completed")
    store.commit()
    store.close()
    store = QueueStore(tmp_path / "store.db", QUEUES, clock)
    assert store.enqueue("jobs", IncomingMessage(b"b")) > first
    store.close()


def test_messages_of_a_queue_that_is_no_longer_configured_stop_the_start(
    tmp_path: Path, clock: Clock
) -> None:
    store = QueueStore(tmp_path / "store.db", QUEUES, clock)
    store.enqueue("jobs", IncomingMessage(b"a"))
    store.commit()
    store.close()
    with pytest.raises(ConfigError, match="not configured: jobs"):
        QueueStore(tmp_path / "store.db", {"unique": QUEUES["unique"]}, clock)
