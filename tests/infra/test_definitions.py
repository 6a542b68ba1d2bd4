"""Queue, containers, events and CORS in Azure are what the code and the laptop's cloud use."""

import json
import re
from datetime import timedelta

from gpu_worker.consumer import LONGEST_JOB_SECONDS
from shared.ids import DERIVED_FOLDERS, parse_upload_name, stem_blob_name
from shared.settings import AppSettings
from shared.storage.cosmos import DATABASE
from tests.infra.bicep import INFRA, template

ROOT = INFRA.parent
QUEUES = json.loads((INFRA / "service_bus.json").read_text())["UserConfig"]["Namespaces"][0]["Queues"]
COSMOS = json.loads((INFRA / "cosmos.json").read_text())
INSTRUMENTS = ROOT / "shared" / "instruments.py"
ALERTS = template(INFRA / "modules" / "alerts.bicep")


def test_queues_are_those_of_the_laptop_property_by_property():
    file = template(INFRA / "modules" / "service_bus.bicep")
    assert file.variables["queues"].text == (
        "loadJsonContent('../service_bus.json').UserConfig.Namespaces[0].Queues"
    )
    queue = file.resource("queue")
    assert queue.value.items.text == "queues"
    assert queue.body["name"].text == "item.Name"
    given = dict(queue.properties)
    # The emulator's own limit is an hour.
    assert given.pop("defaultMessageTimeToLive") == "P14D"
    for name in QUEUES[0]["Properties"]:
        assert given.pop(name[0].lower() + name[1:]).text == f"item.Properties.{name}"
    assert not given
    assert all(entry["Properties"].keys() == QUEUES[0]["Properties"].keys() for entry in QUEUES)


def test_a_message_outlives_its_job():
    settings = AppSettings.model_fields
    assert timedelta(days=14) > timedelta(days=settings["failed_job_retention_days"].default)


def test_containers_are_those_of_the_laptop_whole():
    file = template(INFRA / "modules" / "cosmos.bicep")
    assert file.variables["definition"].text == "loadJsonContent('../cosmos.json')"
    container = file.resource("container")
    assert container.value.items.text == "definition.containers"
    assert container.properties["resource"].text == "item"
    assert container.body["name"].text == "item.id"
    assert file.resource("database").properties["resource"]["id"].text == "definition.database"
    assert COSMOS["database"] == DATABASE
    # What a container may have in Azure: a property of another name would be refused there.
    known = {
        "id",
        "partitionKey",
        "indexingPolicy",
        "defaultTtl",
        "uniqueKeyPolicy",
        "conflictResolutionPolicy",
    }
    assert all(entry.keys() <= known for entry in COSMOS["containers"])


def test_names_are_the_defaults_of_the_settings():
    main = template(INFRA / "main.bicep")
    fields = {str(field.validation_alias): field.default for field in AppSettings.model_fields.values()}
    assert main.variables["audioContainer"] == fields["AUDIO_CONTAINER"]
    assert [queue["Name"] for queue in QUEUES] == [fields["ANALYSIS_QUEUE"]]


def test_events_of_uploads_reach_the_trigger_and_those_of_stems_do_not():
    """The filters of the subscription, applied as Event Grid does, to names as the code makes them."""
    script = (INFRA / "hooks" / "subscribe_to_uploads.sh").read_text()
    begin = re.search(r'--subject-begins-with "(\S+)"', script)
    filtered = re.search(r"--advanced-filter subject StringNotContains (.+?) \\", script)
    assert begin and filtered
    excluded = filtered[1].split()
    assert {part.strip("/") for part in excluded} == set(DERIVED_FOLDERS)

    def is_delivered(blob_name: str, container: str = "audio-files") -> bool:
        subject = f"/blobServices/default/containers/{container}/blobs/{blob_name}"
        prefix = begin[1].replace("$AUDIO_CONTAINER", "audio-files")
        return subject.startswith(prefix) and not any(part in subject.lower() for part in excluded)

    song = "0f0e0d0c-0b0a-0908-0706-050403020100"
    stem = stem_blob_name(song, "Drums", job_id="9c6b8f0e-aaaa-bbbb-cccc-0123456789ab", attempt=1)
    names = ["song.mp3", f"{song}/song.mp3", f"{song}/analysis/abc.json.gz", stem]
    assert [is_delivered(name) for name in names] == [True, True, False, False]
    assert [parse_upload_name(name) is not None for name in names] == [True, True, False, False]
    assert not is_delivered("released-package.zip", "app-package")
    assert "Host.Functions.on_upload&code=" in script


def test_the_trigger_asks_for_event_grid():
    """Flex Consumption knows no other source of blob events."""
    source = (ROOT / "functions" / "on_upload.py").read_text()
    assert "source=func.BlobSource.EVENT_GRID" in source
    assert re.search(r"async def on_upload\(", source)


def test_the_page_may_upload():
    rule = template(INFRA / "modules" / "storage.bicep")
    account = next(r for r in rule.resources if r.symbol == "blobs")
    text = account.properties["cors"]["corsRules"].text
    allowed = re.search(r"allowedHeaders: \[(.+)\]", text)
    assert allowed
    headers = set(re.findall(r"'([\w-]+)'", allowed[1]))
    upload = (ROOT / "web" / "upload.js").read_text()
    sent = {name.lower() for name in re.findall(r'setRequestHeader\("([\w-]+)"', upload)}
    assert sent | {"content-type"} <= headers
    methods = re.search(r"allowedMethods: \[(.+)\]", text)
    assert methods and set(re.findall(r"'(\w+)'", methods[1])) == {"PUT", "GET", "HEAD"}
    assert "allowedOrigins: corsOrigins" in text
    assert "*" not in text


def test_no_worker_is_cut_off_before_the_longest_job():
    worker = template(INFRA / "modules" / "worker.bicep")
    configuration = worker.resource("job").properties["configuration"]
    assert configuration["replicaTimeout"] >= LONGEST_JOB_SECONDS
    scale = configuration["eventTriggerConfig"]["scale"]
    assert scale["minExecutions"] == 0
    rule = scale["rules"][0]
    assert rule["type"] == "azure-servicebus"
    assert rule["identity"].text == "scalerIdentityId"
    # A scaled app would be killed in the middle of its work.
    scale = worker.resource("app").properties["template"]["scale"]
    assert scale.keys() == {"minReplicas", "maxReplicas"}
    assert scale["minReplicas"].text == scale["maxReplicas"].text


def test_alerts_watch_what_the_issue_names():
    names = {rule["name"] for rule in ALERTS.variables["rules"]}
    assert {"oldest-message", "dead-letters", "failed-jobs", "stale-jobs", "server-errors"} <= names
    budget = template(INFRA / "modules" / "budget.bicep").resource("budget").properties
    assert budget["amount"].text == "monthlyBudget"
    assert {notice["thresholdType"] for notice in budget["notifications"].values()} == {
        "Actual",
        "Forecasted",
    }


def test_alerts_ask_for_metrics_that_there_are():
    metrics = {
        name
        for rule in ALERTS.variables["rules"]
        for name in re.findall(r'Name == "([\w.]+)"', rule["query"])
    }
    assert metrics
    told = set(re.findall(r'"(stem_library\.[\w.]+)"', INSTRUMENTS.read_text()))
    assert metrics <= told
