import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.resources import SERVICE_BUS_FILE
from local.service_bus.config import QueueSettings, load_queues

CONFORMANCE_QUEUES = Path(__file__).parents[1] / "local_cloud" / "service_bus" / "queues.json"


def load(folder: Path, *queues: dict[str, Any], **namespace: Any) -> dict[str, QueueSettings]:
    path = folder / "config.json"
    content = {"UserConfig": {"Namespaces": [{"Name": "ns", "Queues": queues, **namespace}]}}
    path.write_text(json.dumps(content))
    return load_queues(path)


def queue(name: str = "q", **properties: Any) -> dict[str, Any]:
    return {"Name": name, "Properties": properties}


def test_the_projects_own_queue_is_read() -> None:
    settings = load_queues(SERVICE_BUS_FILE)["analysis-jobs"]
    assert settings.lock_duration == timedelta(minutes=5)
    assert settings.max_delivery_count == 5
    assert settings.requires_duplicate_detection
    assert settings.default_message_time_to_live is None


@pytest.mark.parametrize("file", [SERVICE_BUS_FILE, CONFORMANCE_QUEUES])
def test_the_files_are_within_the_emulators_limits(file: Path) -> None:
    for settings in load_queues(file).values():
        assert timedelta(seconds=5) <= settings.lock_duration <= timedelta(minutes=5)
        assert 1 <= settings.max_delivery_count <= 10
        if settings.default_message_time_to_live:
            assert timedelta(minutes=5) <= settings.default_message_time_to_live <= timedelta(hours=1)
        window = settings.duplicate_detection_history_time_window
        assert timedelta(seconds=20) <= window <= timedelta(minutes=5)  # Azure takes no less than 20 s


def test_what_is_not_said_is_as_in_azure(tmp_path: Path) -> None:
    settings = load(tmp_path, {"Name": "Mixed"})["mixed"]
    assert settings.lock_duration == timedelta(minutes=1)
    assert settings.max_delivery_count == 10
    assert settings.default_message_time_to_live is None
    assert not settings.requires_duplicate_detection


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        ({"RequiresSession": True}, "RequiresSession = True is not supported"),
        ({"ForwardTo": "other"}, "ForwardTo = 'other' is not supported"),
        (
            {"ForwardDeadLetteredMessagesTo": "other"},
            "ForwardDeadLetteredMessagesTo = 'other' is not supported",
        ),
        ({"Colour": "red"}, "Colour = 'red' is not supported"),
        ({"LockDuration": "PT0S"}, "LockDuration = .* greater than 0"),
        ({"LockDuration": "soon"}, "LockDuration = 'soon'"),
        ({"LockDuration": "PT10M"}, "LockDuration = .* less than or equal to 5 minutes"),
        ({"MaxDeliveryCount": 0}, "MaxDeliveryCount = 0"),
    ],
)
def test_what_the_stand_in_cannot_do_is_refused_by_name(
    tmp_path: Path, properties: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=rf"config\.json: UserConfig\..*{problem}"):
        load(tmp_path, queue(**properties))


def test_topics_are_refused_and_an_empty_list_of_them_is_not(tmp_path: Path) -> None:
    load(tmp_path, queue(), Topics=[])
    with pytest.raises(ValueError, match=r"Topics = .* is not supported"):
        load(tmp_path, queue(), Topics=[{"Name": "t"}])


def test_names_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same name"):
        load(tmp_path, queue("jobs"), queue("Jobs"))


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("queues: [a]")
    with pytest.raises(ValueError, match=r"config\.json: .*JSON"):
        load_queues(path)
