import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.service_bus.config import QueueSettings
from local.service_bus.errors import RefusedError
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
    for content in (b"a", b"b"):
        store.enqueue("jobs", IncomingMessage(content))
    rows = [lock(store, "jobs"), lock(store, "jobs")]
    assert [row["content"] for row in rows] == [b"a", b"b"]
    assert rows[0]["lock_token"] != rows[1]["lock_token"]
    assert store.lock_next("jobs") is None


def test_a_lock_holds_until_its_end_and_not_longer(store: QueueStore, clock: Clock) -> None:
    store.enqueue("jobs", IncomingMessage(b"a"))
    row = lock(store, "jobs")
    assert row["locked_until"] == clock.now + LOCK
    clock.forward(LOCK - 1)
    store.advance()
    assert store.lock_next("jobs") is None
    clock.forward(1)
    with pytest.raises(RefusedError, match="lock ended"):
        store.complete("jobs", row["lock_token"])
    store.advance()
    again = lock(store, "jobs")
    assert again["delivery_count"] == 1
    with pytest.raises(RefusedError, match="lock ended"):
        store.renew("jobs", row["lock_token"])
    store.complete("jobs", again["lock_token"])


def test_a_renewed_lock_holds_for_another_duration(store: QueueStore, clock: Clock) -> None:
    store.enqueue("jobs", IncomingMessage(b"a"))
    row = lock(store, "jobs")
    clock.forward(LOCK - 1)
    assert store.renew("jobs", row["lock_token"]) == clock.now + LOCK
    clock.forward(LOCK - 1)
    store.advance()
    store.complete("jobs", row["lock_token"])


def test_a_settled_message_cannot_be_settled_again(store: QueueStore) -> None:
    store.enqueue("jobs", IncomingMessage(b"a"))
    token = lock(store, "jobs")["lock_token"]
    store.complete("jobs", token)
    for settle in (
        lambda: store.complete("jobs", token),
        lambda: store.give_back("jobs", token, failed=False),
        lambda: store.dead_letter("jobs", token, None, None),
    ):
        with pytest.raises(RefusedError, match="lock ended"):
            settle()


def test_a_lock_belongs_to_its_queue(store: QueueStore) -> None:
    store.enqueue("jobs", IncomingMessage(b"a"))
    with pytest.raises(RefusedError, match="lock ended"):
        store.complete("unique", lock(store, "jobs")["lock_token"])


def test_a_failed_delivery_counts_and_one_given_back_unused_does_not(store: QueueStore) -> None:
    store.enqueue("jobs", IncomingMessage(b"a"))
    for failed, count in ((False, 0), (True, 0), (False, 1)):
        row = lock(store, "jobs")
        assert row["delivery_count"] == count
        store.give_back("jobs", row["lock_token"], failed=failed)


@pytest.mark.parametrize("fails", ["abandoned", "lock ends"])
def test_the_last_failed_delivery_dead_letters(store: QueueStore, clock: Clock, fails: str) -> None:
    store.enqueue("jobs", IncomingMessage(b"a"))
    for _ in range(2):
        assert store.lock_next("jobs" + DEAD_LETTER_SUFFIX) is None
        token = lock(store, "jobs")["lock_token"]
        if fails == "abandoned":
            store.give_back("jobs", token, failed=True)
        else:
            clock.forward(LOCK)
        store.advance()
    assert store.lock_next("jobs") is None
    row = lock(store, "jobs" + DEAD_LETTER_SUFFIX)
    assert row["delivery_count"] == 2
    assert row["dead_letter_reason"] == "MaxDeliveryCountExceeded"


def test_a_dead_lettered_message_stays_until_it_is_completed(store: QueueStore, clock: Clock) -> None:
    store.enqueue("kept", IncomingMessage(b"a"))
    store.dead_letter("kept", lock(store, "kept")["lock_token"], "why", "what exactly")
    dead = "kept" + DEAD_LETTER_SUFFIX
    for count in range(12):
        clock.forward(WINDOW)
        store.advance()
        row = lock(store, dead)
        assert row["delivery_count"] == count
        assert (row["dead_letter_reason"], row["dead_letter_description"]) == ("why", "what exactly")
        store.give_back(dead, row["lock_token"], failed=True)
    store.complete(dead, lock(store, dead)["lock_token"])
    assert store.lock_next(dead) is None


def test_a_duplicate_is_dropped_within_the_window_and_not_after_it(store: QueueStore, clock: Clock) -> None:
    message = IncomingMessage(b"a", message_id="m")
    store.enqueue("unique", message)
    clock.forward(WINDOW - 1)
    store.enqueue("unique", message)
    store.complete("unique", lock(store, "unique")["lock_token"])
    store.enqueue("unique", message)
    assert store.lock_next("unique") is None
    clock.forward(1)
    store.enqueue("unique", message)
    lock(store, "unique")


def test_without_detection_or_without_id_nothing_is_dropped(store: QueueStore) -> None:
    for queue, message in (
        ("jobs", IncomingMessage(b"a", message_id="m")),
        ("unique", IncomingMessage(b"a")),
    ):
        for _ in range(2):
            store.enqueue(queue, message)
        lock(store, queue)
        lock(store, queue)


def test_a_scheduled_message_is_queued_at_its_time_behind_what_came_before(
    store: QueueStore, clock: Clock
) -> None:
    at = clock.now + 500
    store.enqueue("jobs", IncomingMessage(b"scheduled", scheduled_at=at))
    clock.forward(499)
    assert store.lock_next("jobs") is None
    store.enqueue("jobs", IncomingMessage(b"sent"))
    clock.forward(1)
    assert lock(store, "jobs")["content"] == b"sent"
    row = lock(store, "jobs")
    assert row["content"] == b"scheduled"
    assert row["enqueued_at"] == at


def test_a_time_in_the_past_means_now(store: QueueStore, clock: Clock) -> None:
    store.enqueue("jobs", IncomingMessage(b"a", scheduled_at=clock.now - 1))
    assert lock(store, "jobs")["enqueued_at"] == clock.now


@pytest.mark.parametrize(("queue", "dead_lettered"), [("kept", True), ("dropped", False)])
def test_a_message_expires(store: QueueStore, clock: Clock, queue: str, dead_lettered: bool) -> None:
    store.enqueue(queue, IncomingMessage(b"old"))
    clock.forward(4_999)
    store.advance()
    store.give_back(queue, lock(store, queue)["lock_token"], failed=False)
    clock.forward(1)
    store.advance()
    assert store.lock_next(queue) is None
    row = store.lock_next(queue + DEAD_LETTER_SUFFIX)
    assert (row and row["dead_letter_reason"]) == ("TTLExpiredException" if dead_lettered else None)


def test_a_locked_message_does_not_expire_before_it_is_given_back(store: QueueStore, clock: Clock) -> None:
    store.enqueue("kept", IncomingMessage(b"a"))
    token = lock(store, "kept")["lock_token"]
    clock.forward(6_000)
    store.advance()
    store.give_back("kept", token, failed=False)
    store.advance()
    assert store.lock_next("kept") is None
    assert lock(store, "kept" + DEAD_LETTER_SUFFIX)["dead_letter_reason"] == "TTLExpiredException"


def test_what_was_committed_is_there_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    store = QueueStore(tmp_path / "store.db", QUEUES, clock)
    for content in (b"locked", b"waiting"):
        store.enqueue("jobs", IncomingMessage(content))
    token = lock(store, "jobs")["lock_token"]
    store.commit()
    store.enqueue("jobs", IncomingMessage(b"not committed"))
    store.close()
    store = QueueStore(tmp_path / "store.db", QUEUES, clock)
    assert lock(store, "jobs")["content"] == b"waiting"
    assert store.lock_next("jobs") is None
    store.complete("jobs", token)
    store.close()


def test_a_number_is_never_given_out_twice(store: QueueStore) -> None:
    numbers = []
    for _ in range(2):
        store.enqueue("jobs", IncomingMessage(b"a"))
        row = lock(store, "jobs")
        numbers.append(row["sequence_number"])
        store.complete("jobs", row["lock_token"])
    assert numbers[1] > numbers[0]
