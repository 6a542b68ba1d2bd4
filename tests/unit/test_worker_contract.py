"""What the worker says of a job: no clock but the server's decides about leases, staleness and deletion."""

import datetime
from typing import get_args

import pytest
from pydantic import ValidationError

from shared.models import WireModel
from shared.worker_contract import AnalysisMessage, ClaimRequest, Completion, Failure, Heartbeat


@pytest.mark.parametrize("call", [ClaimRequest, Heartbeat, Completion, Failure, AnalysisMessage])
def test_no_call_of_the_worker_carries_a_time(call: type[WireModel]):
    """So a worker whose clock is wrong, by a minute or a day, changes nothing."""
    for field in call.model_fields.values():
        types = {field.annotation, *get_args(field.annotation)}
        assert types.isdisjoint({datetime.datetime, datetime.timedelta, datetime.date})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metadata": {"x": float("nan")}}, "metadata"),
        ({"metadata": {"x": "\0"}}, "metadata"),
        ({"metadata": {"x": "y" * 20_000}}, "metadata"),
        ({"title": "x" * 301}, "title"),
        ({"artist": "\0"}, "artist"),
        ({"artworkUri": "x" * 3000}, "artworkUri"),
        ({"durationSeconds": float("inf")}, "durationSeconds"),
        ({"attempt": 0}, "attempt"),
    ],
)
def test_what_a_completion_cannot_say_is_refused_by_name(change: dict[str, object], field: str):
    body = {"attempt": 1, "workerId": "w", "contentHash": "0" * 64, **WHOLE, **change}
    with pytest.raises(ValidationError) as refusal:
        Completion.model_validate(body)
    assert [fault["loc"] for fault in refusal.value.errors()] == [(field,)]


WHOLE: dict[str, object] = {"durationSeconds": 1, "sampleRate": 44_100, "channels": 2, "song": {}}


@pytest.mark.parametrize(
    ("unchanged", "result", "is_taken"),
    [
        (False, WHOLE, True),
        (True, {}, True),
        (True, WHOLE, False),
        (False, {}, False),
        (False, {name: value for name, value in WHOLE.items() if name != "song"}, False),
    ],
)
def test_a_completion_is_whole_or_unchanged(unchanged: bool, result: dict[str, object], is_taken: bool):
    body = {"attempt": 1, "workerId": "w", "contentHash": "0" * 64, "unchanged": unchanged, **result}
    if is_taken:
        assert Completion.model_validate(body).unchanged is unchanged
    else:
        with pytest.raises(ValidationError, match="needed, unless unchanged"):
            Completion.model_validate(body)
