import itertools

import pytest

from shared.job_states import TRANSITIONS, JobEvent, TransitionRefusedError, next_status
from shared.models import TERMINAL_STATUSES, JobStatus


@pytest.mark.parametrize(("status", "event"), [*itertools.product(JobStatus, JobEvent)])
def test_every_pair_has_a_state_or_a_refusal(status: JobStatus, event: JobEvent):
    if (status, event) in TRANSITIONS:
        assert next_status(status, event) is TRANSITIONS[status, event]
        return
    with pytest.raises(TransitionRefusedError) as refused:
        next_status(status, event)
    assert refused.value.status == 409
    assert refused.value.to_problem("/x")["jobStatus"] == status


def test_a_completed_job_never_changes_and_other_ended_ones_only_by_a_retry():
    ways_out = {(status, event) for status, event in TRANSITIONS if status in TERMINAL_STATUSES}
    assert ways_out == {(JobStatus.FAILED, JobEvent.RETRY), (JobStatus.CANCELLED, JobEvent.RETRY)}


def test_only_a_running_job_completes():
    assert [pair for pair, after in TRANSITIONS.items() if after is JobStatus.COMPLETED] == [
        (JobStatus.RUNNING, JobEvent.COMPLETE)
    ]


@pytest.mark.parametrize("status", sorted(set(JobStatus) - TERMINAL_STATUSES))
def test_every_live_job_can_be_cancelled(status: JobStatus):
    assert next_status(status, JobEvent.CANCEL) is JobStatus.CANCELLED
