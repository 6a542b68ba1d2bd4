import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from proton import Message

from local.service_bus.config import QueueSettings
from local.service_bus.errors import LockLostError, RefusedError, UnsupportedError
from local.service_bus.messages import IncomingMessage
from local.service_bus.store import DEAD_LETTER_SUFFIX, QueueStore, dead_letter_reason

LOCK = 10_000
WINDOW = 60_000
QUEUES = {
    "jobs": QueueSettings(LockDuration="PT10S", MaxDeliveryCount=2),
    "unique": QueueSettings(RequiresDuplicateDetection=True, DuplicateDetectionHistoryTimeWindow="PT1M"),
    "kept": QueueSettings(DefaultMessageTimeToLive="PT5S", DeadLetteringOnMessageExpiration=True),
    "dropped": QueueSettings(DefaultMessageTimeToLive="PT5S"),
}
A, B = (bytes(Message(body=body, inferred=True).encode()) for body in (b"a", b"b"))


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


def settle(store: QueueStore, entity: str, disposition: str) -> None:
    store.settle(entity, lock(store, entity)["lock_token"], disposition, {})


def next_due(store: QueueStore) -> float:
    noticed = store.due_at
    store.advance()
    assert noticed <= store.due_at  # else the broker would sleep too long
    return store.due_at


def properties(row: sqlite3.Row) -> dict[str, object]:
    message = Message()
    message.decode(row["content"])
    return message.properties


def test_messages_are_locked_in_the_order_of_sending_and_only_once(store: QueueStore) -> None:
    numbers = [store.enqueue("jobs", IncomingMessage(content)) for content in (A, B)]
    rows = [lock(store, "jobs"), lock(store, "jobs")]
    assert [row["content"] for row in rows] == [A, B]
    assert [row["sequence_number"] for row in rows] == numbers
    assert rows[0]["lock_token"] != rows[1]["lock_token"]
    assert store.lock_next("jobs") is None


def test_a_lock_holds_until_its_end_and_not_longer(store: QueueStore, clock: Clock) -> None:
    store.enqueue("jobs", IncomingMessage(A))
    row = lock(store, "jobs")
    assert next_due(store) == row["due_at"] == clock.now + LOCK
    clock.forward(LOCK - 1)
    store.advance()
    assert store.lock_next("jobs") is None
    clock.forward(1)
    for disposition in ("completed", "abandoned"):
        with pytest.raises(LockLostError):
            store.settle("jobs", row["lock_token"], disposition, {})
    store.advance()
    again = lock(store, "jobs")
    assert again["delivery_count"] == 1
    for entity, token in (("jobs", row["lock_token"]), ("unique", again["lock_token"])):
        with pytest.raises(LockLostError):
            store.renew(entity, token)
    store.settle("jobs", again["lock_token"], "completed", {})
    assert next_due(store) == math.inf


def test_a_renewed_lock_holds_for_another_duration(store: QueueStore, clock: Clock) -> None:
    store.enqueue("jobs", IncomingMessage(A))
    row = lock(store, "jobs")
    clock.forward(LOCK - 1)
    assert store.renew("jobs", row["lock_token"]) == next_due(store) == clock.now + LOCK
    clock.forward(LOCK - 1)
    store.advance()
    store.settle("jobs", row["lock_token"], "completed", {})


@pytest.mark.parametrize("disposition", ["completed", "released", "abandoned", "suspended"])
def test_a_settled_message_cannot_be_settled_again(store: QueueStore, disposition: str) -> None:
    store.enqueue("jobs", IncomingMessage(A))
    token = lock(store, "jobs")["lock_token"]
    store.settle("jobs", token, disposition, {})
    with pytest.raises(LockLostError):
        store.settle("jobs", token, disposition, {})


@pytest.mark.parametrize("disposition", ["defered", ""])
def test_an_unknown_disposition_is_refused_and_leaves_the_lock(store: QueueStore, disposition: str) -> None:
    store.enqueue("jobs", IncomingMessage(A))
    token = lock(store, "jobs")["lock_token"]
    with pytest.raises(UnsupportedError, match=f"the disposition {disposition} for a message of jobs"):
        store.settle("jobs", token, disposition, {})
    store.settle("jobs", token, "completed", {})


def test_a_failed_delivery_counts_and_one_given_back_unused_does_not(store: QueueStore) -> None:
    store.enqueue("jobs", IncomingMessage(A))
    for disposition, count in (("released", 0), ("abandoned", 0), ("released", 1)):
        row = lock(store, "jobs")
        assert row["delivery_count"] == count
        store.settle("jobs", row["lock_token"], disposition, {})


def test_changes_of_properties_stay(store: QueueStore) -> None:
    store.enqueue("jobs", IncomingMessage(A))
    store.settle("jobs", lock(store, "jobs")["lock_token"], "abandoned", {"tried": 1})
    row = lock(store, "jobs")
    assert properties(row) == {"tried": 1}
    store.settle("jobs", row["lock_token"], "suspended", dead_letter_reason("why", "what exactly"))
    dead = lock(store, "jobs" + DEAD_LETTER_SUFFIX)
    reasons = {"DeadLetterReason": "why", "DeadLetterErrorDescription": "what exactly"}
    assert properties(dead) == {"tried": 1, **reasons}


@pytest.mark.parametrize("fails", ["abandoned", "lock ends"])
def test_the_last_failed_delivery_dead_letters(store: QueueStore, clock: Clock, fails: str) -> None:
    store.enqueue("jobs", IncomingMessage(A))
    for _ in range(2):
        assert store.lock_next("jobs" + DEAD_LETTER_SUFFIX) is None
        row = lock(store, "jobs")
        if fails == "abandoned":
            store.settle("jobs", row["lock_token"], "abandoned", {})
        else:
            clock.forward(LOCK)
        store.advance()
    assert store.lock_next("jobs") is None
    dead = lock(store, "jobs" + DEAD_LETTER_SUFFIX)
    assert dead["sequence_number"] == row["sequence_number"]
    assert dead["delivery_count"] == 2
    assert properties(dead)["DeadLetterReason"] == "MaxDeliveryCountExceeded"


def test_a_dead_lettered_message_stays_until_it_is_completed(store: QueueStore, clock: Clock) -> None:
    store.enqueue("kept", IncomingMessage(A))
    settle(store, "kept", "suspended")
    dead = "kept" + DEAD_LETTER_SUFFIX
    for count in range(12):
        clock.forward(WINDOW)
        store.advance()
        row = lock(store, dead)
        assert (row["delivery_count"], row["time_to_live"]) == (count, 5_000)
        store.settle(dead, row["lock_token"], "abandoned", {})
    settle(store, dead, "completed")
    assert store.lock_next(dead) is None
    assert next_due(store) == math.inf


def test_a_duplicate_is_dropped_within_the_window_and_not_after_it(store: QueueStore, clock: Clock) -> None:
    message = IncomingMessage(A, message_id="m")
    number = store.enqueue("unique", message)
    clock.forward(WINDOW - 1)
    assert store.enqueue("unique", message) == number
    settle(store, "unique", "completed")
    store.enqueue("unique", message)
    assert store.lock_next("unique") is None
    clock.forward(1)
    assert store.enqueue("unique", message) > number  # a number is never given out twice
    lock(store, "unique")


def test_without_detection_or_without_id_nothing_is_dropped(store: QueueStore) -> None:
    for queue, message in (("jobs", IncomingMessage(A, message_id="m")), ("unique", IncomingMessage(A))):
        for _ in range(2):
            store.enqueue(queue, message)
        lock(store, queue)
        lock(store, queue)


def test_a_scheduled_message_is_queued_at_its_time_behind_what_came_before(
    store: QueueStore, clock: Clock
) -> None:
    at = clock.now + 500
    number = store.enqueue("jobs", IncomingMessage(B, scheduled_at=at))
    assert next_due(store) == at
    clock.forward(499)
    store.advance()
    assert store.lock_next("jobs") is None
    store.enqueue("jobs", IncomingMessage(A, scheduled_at=clock.now - 1))  # that is, now
    clock.forward(1)
    store.advance()
    assert lock(store, "jobs")["content"] == A
    row = lock(store, "jobs")
    assert (row["content"], row["enqueued_at"]) == (B, at)
    assert row["sequence_number"] > number


def test_scheduled_messages_are_cancelled_all_or_none(store: QueueStore, clock: Clock) -> None:
    later = IncomingMessage(A, scheduled_at=clock.now + 500)
    first, second = (store.enqueue("jobs", later) for _ in range(2))
    active = store.enqueue("jobs", IncomingMessage(B))
    for others in ([active], [active + 1], [store.enqueue("unique", later)]):
        with pytest.raises(RefusedError, match=f"number {others[0]}"):
            store.cancel("jobs", [first, *others])
    store.cancel("jobs", [first, second])
    assert [row["sequence_number"] for row in store.peek("jobs", 1, 9)] == [active]


@pytest.mark.parametrize(("queue", "dead_lettered"), [("kept", True), ("dropped", False)])
def test_a_message_expires(store: QueueStore, clock: Clock, queue: str, dead_lettered: bool) -> None:
    store.enqueue(queue, IncomingMessage(A))
    clock.forward(4_999)
    store.advance()
    settle(store, queue, "released")
    assert next_due(store) == clock.now + 1
    clock.forward(1)
    assert store.lock_next(queue) is None
    store.advance()
    row = store.lock_next(queue + DEAD_LETTER_SUFFIX)
    reason = properties(row)["DeadLetterReason"] if row else None
    assert reason == ("TTLExpiredException" if dead_lettered else None)


@pytest.mark.parametrize(("own", "lives"), [(None, 5_000), (2_000, 2_000), (9_000, 5_000)])
def test_the_shorter_time_to_live_counts(
    store: QueueStore, clock: Clock, own: int | None, lives: int
) -> None:
    store.enqueue("dropped", IncomingMessage(A, time_to_live=own))
    assert next_due(store) == clock.now + lives
    (row,) = store.peek("dropped", 1, 1)
    assert row["time_to_live"] == lives


def test_the_life_of_a_scheduled_message_begins_at_its_time(store: QueueStore, clock: Clock) -> None:
    store.enqueue("dropped", IncomingMessage(A, scheduled_at=clock.now + 60_000))
    clock.forward(60_000)
    store.advance()
    assert next_due(store) == clock.now + 5_000


def test_a_locked_message_does_not_expire_before_it_is_given_back(store: QueueStore, clock: Clock) -> None:
    store.enqueue("kept", IncomingMessage(A))
    token = lock(store, "kept")["lock_token"]
    clock.forward(6_000)
    store.advance()
    store.settle("kept", token, "released", {})
    store.advance()
    assert store.lock_next("kept") is None
    assert properties(lock(store, "kept" + DEAD_LETTER_SUFFIX))["DeadLetterReason"] == "TTLExpiredException"


def test_what_was_committed_is_there_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    store = QueueStore(tmp_path / "store.db", QUEUES, clock)
    for content in (A, B):
        store.enqueue("jobs", IncomingMessage(content))
    token = lock(store, "jobs")["lock_token"]
    store.commit()
    store.enqueue("jobs", IncomingMessage(A))  # and not committed
    store.close()
    store = QueueStore(tmp_path / "store.db", QUEUES, clock)
    assert lock(store, "jobs")["content"] == B
    assert store.lock_next("jobs") is None
    store.settle("jobs", token, "completed", {})
    store.close()


def test_messages_of_a_queue_that_is_no_longer_configured_stop_the_start(
    tmp_path: Path, clock: Clock
) -> None:
    store = QueueStore(tmp_path / "store.db", QUEUES, clock)
    store.enqueue("jobs", IncomingMessage(A))
    store.commit()
    store.close()
    others = {name: settings for name, settings in QUEUES.items() if name != "jobs"}
    with pytest.raises(ValueError, match="a queue that is not configured: jobs"):
        QueueStore(tmp_path / "store.db", others, clock)
