"""Durable orchestrations on the Functions host, by the SDK's client."""

import pytest

from tests.local_cloud.functions_host.conftest import Host, StandIn, eventually, only_stand_in

# As in Azure, the client's own JSON text is the event (azure-functions-durable-python issue 295).
DECIDED = '{"by": "me"}'


def test_a_timer_then_an_activity(host: Host) -> None:
    answer = host.begin("later", "quick", seconds=0.5, name="quick")
    assert answer.status_code == 202
    assert answer.json()["id"] == "quick"
    status = host.ended("quick")
    assert (status["runtimeStatus"], status["output"]) == ("Completed", {"worked on": "quick"})
    assert status["input"] == '{"seconds": 0.5, "name": "quick"}'
    assert status["createdTime"] < status["lastUpdatedTime"]
    assert len(host.runs("work", "quick")) == 1
    assert host.http.get(answer.headers["location"]).status_code == 200


def test_an_instance_without_an_id_gets_one(host: Host) -> None:
    answer = host.http.post("/api/orchestrations/later", json={"seconds": 0, "name": "anonymous"})
    assert host.ended(answer.json()["id"])["output"] == {"worked on": "anonymous"}


def test_a_running_instance_is_not_started_again_and_a_finished_one_is(host: Host) -> None:
    assert host.begin("later", "twice", seconds=0, name="gated twice").status_code == 202
    again = host.begin("later", "twice", seconds=0, name="gated twice")
    assert again.status_code == 409
    assert "An Orchestration instance with the status" in again.text
    host.open_gate("gated twice")
    host.ended("twice")
    assert host.begin("later", "twice", seconds=0, name="gated twice").status_code == 202
    eventually(lambda: len(host.runs("work", "gated twice")) == 2)
    assert host.ended("twice")["runtimeStatus"] == "Completed"


def test_activities_side_by_side(host: Host) -> None:
    names = [f"gated beside {number}" for number in range(3)]
    assert host.begin("fan_out", "beside", name="gated beside").status_code == 202
    eventually(lambda: all(host.runs("work", name) for name in names))
    for name in reversed(names):
        host.open_gate(name)
    assert host.ended("beside")["output"] == [{"worked on": name} for name in names]


def test_an_activity_is_tried_as_often_as_its_options_say(host: Host) -> None:
    assert host.begin("retried", "third time lucky", attempts=3, name="lucky").status_code == 202
    assert host.ended("third time lucky")["output"] == [3, {"worked on": "lucky"}]
    assert host.begin("retried", "too few", attempts=2, name="unlucky").status_code == 202
    status = host.ended("too few")
    assert status["runtimeStatus"] == "Failed"
    assert "ValueError: attempt 2" in status["output"]
    assert len(host.runs("flaky", "unlucky")) == 2


def test_an_event_wins_over_a_timer_that_is_cancelled(host: Host) -> None:
    host.begin("approval", "asked")
    eventually(lambda: host.status("asked")["customStatus"] == "waiting")
    assert host.status("asked")["runtimeStatus"] == "Running"
    assert host.act("asked", "decide").status_code == 200
    status = host.ended("asked")
    assert (status["runtimeStatus"], status["output"]) == ("Completed", DECIDED)
    assert "is gone" in host.act("asked", "decide").text
    assert "No instance" in host.act("nobody", "decide").text


def test_a_terminated_instance_stays_so_and_can_be_purged(host: Host) -> None:
    host.begin("later", "gated ended", seconds=0, name="gated ended")
    eventually(lambda: host.runs("work", "gated ended"))
    assert host.act("gated ended", "purge").status_code == 409
    assert host.act("gated ended", "terminate").status_code == 200
    status = host.ended("gated ended")
    assert (status["runtimeStatus"], status["output"]) == ("Terminated", "no longer wanted")
    host.open_gate("gated ended")
    assert host.act("gated ended", "purge").text == "1"
    assert host.http.get("/api/orchestrations/gated ended").status_code == 404
    assert host.act("gated ended", "purge").text == "0"


def test_what_does_not_exist_is_named(host: Host) -> None:
    assert "'nobody' doesn't exist" in host.begin("nobody", "none").text
    assert host.http.get("/api/orchestrations/none").status_code == 404


@only_stand_in
@pytest.mark.parametrize("action", ["history", "all", "rewind", "suspend"])
def test_a_call_that_is_not_supported_is_named(host: StandIn, action: str) -> None:
    host.begin("later", "long", seconds=3600, name="long")
    said = len(host.log)
    assert host.act("long", action).status_code == 409
    refusal = "not supported by the local Functions host: "
    eventually(lambda: any(refusal in line and "/durabletask/" in line for line in host.log[said:]))
    assert host.status("long")["runtimeStatus"] in ("Pending", "Running")


@only_stand_in
def test_an_action_that_is_not_supported_is_named(host: StandIn) -> None:
    host.begin("nested", "outer")
    refusal = "not supported by the local Functions host: call_sub_orchestrator (function nested)"
    assert refusal in host.ended("outer")["output"]


@only_stand_in
def test_orchestrations_outlive_a_kill(host: StandIn) -> None:
    host.begin("later", "killed", seconds=2, name="killed")
    host.begin("later", "due meanwhile", seconds=0.2, name="due meanwhile")
    host.begin("later", "gated beyond a kill", seconds=0, name="gated beyond a kill")
    host.begin("approval", "asked before")
    eventually(lambda: host.runs("work", "gated beyond a kill"))
    eventually(lambda: host.status("asked before")["customStatus"] == "waiting")
    host.act("asked before", "decide")
    host.program.kill()
    host.start()
    host.open_gate("gated beyond a kill")
    for instance in ("killed", "due meanwhile", "gated beyond a kill"):
        assert host.ended(instance)["output"] == {"worked on": instance}
    assert len(host.runs("work", "killed")) == 1
    assert len(host.runs("work", "gated beyond a kill")) == 2  # An activity that a kill cut short runs again.
    assert host.ended("asked before")["output"] == DECIDED
