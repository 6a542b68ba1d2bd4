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


def test_no_event_leads_out_of_a_terminal_state():
    assert not [status for status, _ in TRANSITIONS if status in TERMINAL_STATUSES]


def test_only_a_running_job_ends():
    into_an_end = {status for (status, _), after in TRANSITIONS.items() if after in TERMINAL_STATUSES}
    assert into_an_end == {JobStatus.RUNNING}
