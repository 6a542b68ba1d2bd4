"""Service Bus triggers of the Functions host, on a queue of two deliveries at most and its dead letters."""

from pathlib import Path

from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSender

from local.process import free_port
from tests.local_cloud.functions_host.conftest import (
    Host,
    StandIn,
    bus_connection,
    eventually,
    only_stand_in,
    start_bus,
)


def test_a_message_runs_its_function_once(host: Host, sender: ServiceBusSender) -> None:
    properties = {"attempt": 1, "word": "ä"}
    sender.send_messages(
        ServiceBusMessage("plain", message_id="job:1", subject="a subject", application_properties=properties)
    )
    eventually(lambda: host.runs("on_message done", "plain"))
    (run,) = host.runs("on_message done", "plain")
    assert (run["id"], run["subject"], run["properties"]) == ("job:1", "a subject", properties)
    sender.send_messages(ServiceBusMessage("after"))
    eventually(lambda: host.runs("on_message done", "after"))
    assert [run["delivery"] for run in host.runs("on_message", "plain")] == [1]
    assert not host.runs("on_dead_letter", "plain")


def test_a_message_whose_function_raises_comes_again(host: Host, sender: ServiceBusSender) -> None:
    sender.send_messages(ServiceBusMessage("fails once"))
    eventually(lambda: host.runs("on_message done", "fails once"))
    assert [run["delivery"] for run in host.runs("on_message", "fails once")] == [1, 2]
    assert not host.runs("on_dead_letter", "fails once")


def test_a_message_that_fails_to_the_last_ends_among_the_dead_letters(
    host: Host, sender: ServiceBusSender
) -> None:
    sender.send_messages([ServiceBusMessage("bad"), ServiceBusMessage("good")])
    eventually(lambda: host.runs("on_dead_letter", "bad") and host.runs("on_message done", "good"))
    (run,) = host.runs("on_dead_letter", "bad")
    assert run["reason"] == "MaxDeliveryCountExceeded"
    assert [run["delivery"] for run in host.runs("on_message", "bad")] == [1, 2]


def test_messages_run_beside_each_other(host: Host, sender: ServiceBusSender) -> None:
    names = [f"gated message {number}" for number in range(4)]
    sender.send_messages([ServiceBusMessage(name) for name in names])
    eventually(lambda: all(host.runs("on_message", name) for name in names))
    host.open_gate("gated message")
    eventually(lambda: all(host.runs("on_message done", name) for name in names))


@only_stand_in
def test_a_kill_gives_a_message_back(host: StandIn, sender: ServiceBusSender) -> None:
    sender.send_messages(ServiceBusMessage("gated kill"))
    eventually(lambda: host.runs("on_message", "gated kill"))
    host.program.kill()
    host.start()
    host.open_gate("gated kill")
    eventually(lambda: host.runs("on_message done", "gated kill"))


@only_stand_in
def test_a_bus_that_comes_back_is_listened_to_again(connections: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "bus").mkdir()
    program = start_bus(tmp_path / "bus", port)
    host = StandIn(tmp_path, **connections | {"BUS": bus_connection(port)})
    try:
        eventually(lambda: host.runs("new_year"))  # It has begun to listen.
        program.kill()
        eventually(lambda: host.said("The queue sample can't be read"))
        assert host.http.get("/api/thread").status_code == 200
        program = start_bus(tmp_path / "bus", port)
        with (
            ServiceBusClient.from_connection_string(bus_connection(port)) as client,
            client.get_queue_sender("sample") as sender,
        ):
            sender.send_messages(ServiceBusMessage("after the kill"))
        eventually(lambda: host.runs("on_message done", "after the kill"))
    finally:
        program.kill()
        host.stop()
