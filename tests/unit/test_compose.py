"""Microsoft's emulators by compose: they stand where the sample settings look for them."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
COMPOSE = ROOT / "compose.yaml"
SAMPLE = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def published() -> dict[str, list[str]]:
    """Ports of this machine by service; all of them on the loopback alone."""
    ports = {}
    for name, service in services().items():
        parts = [port.split(":") for port in service.get("ports", [])]
        assert all(host == "127.0.0.1" for host, _, _ in parts)
        ports[name] = [outer for _, outer, _ in parts]
    return ports


def test_the_emulators_stand_at_the_addresses_of_the_sample_settings():
    ports = published()
    assert SAMPLE["AUDIO_STORAGE"] == "UseDevelopmentStorage=true"
    assert ports["azurite"] == ["10000", "10001", "10002"]
    assert re.search(r"//127\.0\.0\.1:(\d+)/", SAMPLE["COSMOS_ENDPOINT"]).group(1) in ports["cosmos"]
    assert re.search(r"//127\.0\.0\.1:(\d+);", SAMPLE["SERVICEBUS"]).group(1) in ports["service-bus"]


def test_the_emulator_takes_the_queue_file_of_the_laptop():
    (mount,) = services()["service-bus"]["volumes"]
    default, target = re.fullmatch(r"\$\{SERVICE_BUS_QUEUES:-(.+)\}:(.+):ro", mount).groups()
    assert target == "/ServiceBus_Emulator/ConfigFiles/Config.json"
    queues = json.loads((COMPOSE.parent / default).read_text())
    assert [each["Name"] for each in queues["UserConfig"]["Namespaces"]] == ["sbemulatorns"]


def test_azurite_is_the_version_that_the_laptop_runs():
    locked = json.loads((ROOT / "local/package-lock.json").read_text())["packages"]
    version = locked["node_modules/azurite"]["version"]
    assert services()["azurite"]["image"].endswith(f":{version}")
