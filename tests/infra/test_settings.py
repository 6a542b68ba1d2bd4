"""Settings in Bicep are those that the settings classes read, in both directions."""

from typing import Any

import pytest
from pydantic_settings import BaseSettings

from gpu_worker.settings import WorkerSettings
from gpu_worker.settings import load_settings as load_worker_settings
from shared.settings import AppSettings
from shared.settings import load_settings as load_app_settings
from tests.infra.bicep import INFRA, Expression, template

LOCAL_ONLY = {"AUDIO_STORAGE", "SERVICEBUS", "COSMOS_KEY", "TELEMETRY_CONSOLE"}
"""Connection strings and keys are a laptop's."""

OF_THE_PLATFORM = {"WEBSITE_AUTH_ENABLED"}
"""Read by the app, and set by App Service Authentication itself: by hand they would defeat their purpose."""

OF_IDENTITY = {
    "AZURE_CLIENT_ID": "azure.identity",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "the Functions host, the exporter",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "the Functions host, the exporter",
}
OF_THE_HOST = {
    **OF_IDENTITY,
    "AzureWebJobsDisableHomepage": "the Functions host",
    "AzureWebJobsStorage__accountName": "the Functions host",
    "AzureWebJobsStorage__clientId": "the Functions host",
    "AzureWebJobsStorage__credential": "the Functions host",
    "AUDIO_STORAGE__clientId": "the blob trigger",
    "AUDIO_STORAGE__credential": "the blob trigger",
    "AUDIO_STORAGE__queueServiceUri": "the blob trigger",
    "SERVICEBUS__clientId": "the trigger of dead letters",
    "SERVICEBUS__credential": "the trigger of dead letters",
    "PYTHON_ENABLE_OPENTELEMETRY": "the Functions host's Python worker",
    "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID": "App Service Authentication",
}
"""Who reads what the settings classes do not."""

SAMPLES = {
    "serviceBusHost": "sb-abc.servicebus.windows.net",
    "audioBlobEndpoint": "https://staudioabc.blob.core.windows.net/",
    "cosmosEndpoint": "https://cosmos-abc.documents.azure.com:443/",
    "audioContainer": "audio-files",
    "queueName": "analysis-jobs",
    "allowedOrigins": "https://music.example, https://other.example",
    "apiBaseUrl": "https://func-abc.azurewebsites.net",
    "apiScope": "00000000-0000-0000-0000-000000000001/.default",
    "stemModel": "htdemucs",
    "machine.device": "cuda",
    "mode": "drain",
    "songsAtOnce": "2",
}
"""What a deployment gives for the expressions."""


def app() -> dict[str, Any]:
    """Return the Function app's settings."""
    return template(INFRA / "modules" / "functions.bicep").resource("settings").properties


def worker() -> dict[str, Any]:
    """Return the worker's environment."""
    found: dict[str, Any] = template(INFRA / "modules" / "worker.bicep").variables["settings"]
    return found


BOTH = pytest.mark.parametrize(
    ("given", "model", "others"), [(app, AppSettings, OF_THE_HOST), (worker, WorkerSettings, OF_IDENTITY)]
)


@BOTH
def test_what_is_set_is_read(given: Any, model: type[BaseSettings], others: dict[str, str]):
    known = {str(field.validation_alias) for field in model.model_fields.values()}
    assert given().keys() - known <= others.keys()
    assert others.keys() <= given().keys() | known, "a row of use to nobody"


@BOTH
def test_what_is_read_without_a_default_is_set(given: Any, model: type[BaseSettings], others: dict[str, str]):
    for field in model.model_fields.values():
        name = str(field.validation_alias)
        if name in LOCAL_ONLY | OF_THE_PLATFORM:
            assert name not in given(), f"{name} is not for Azure"
        elif field.is_required():
            assert name in given(), f"{name} is missing"


@pytest.mark.parametrize(("given", "load"), [(app, load_app_settings), (worker, load_worker_settings)])
def test_the_settings_load(given: Any, load: Any, monkeypatch: pytest.MonkeyPatch):
    """As in a deployment, all names included, so that none resembles another too much."""
    for name in LOCAL_ONLY:
        monkeypatch.delenv(name, raising=False)
    for name, value in given().items():
        is_known = not isinstance(value, Expression) or value.text in SAMPLES
        sample = SAMPLES.get(value.text, "sample") if isinstance(value, Expression) else value
        if is_known or name in OF_THE_HOST:
            monkeypatch.setenv(name, str(sample))
        else:
            pytest.fail(f"no sample for {name}")
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")
    settings = load()
    assert settings.audio_storage_uri == SAMPLES["audioBlobEndpoint"]
    assert settings.audio_container == SAMPLES["audioContainer"]
    if given is app:
        assert settings.auth_mode == "roles"
        assert len(settings.cors_origins) == 2
    else:
        assert settings.device == "cuda"
        assert settings.worker_mode == "drain"
        assert settings.songs_at_once == 2


def test_schedules_of_timers_are_set_and_are_the_defaults():
    """The host reads them for its timers (`%NAME%`), and knows no defaults."""
    fields = {str(field.validation_alias): field.default for field in AppSettings.model_fields.values()}
    source = (INFRA.parent / "functions" / "sweeps.py").read_text()
    for name in ("STALE_SWEEP_SCHEDULE", "PURGE_SCHEDULE"):
        assert f'schedule="%{name}%"' in source
        assert app()[name] == fields[name]


def test_an_execution_starts_for_as_many_songs_as_a_worker_takes_at_once():
    file = template(INFRA / "modules" / "worker.bicep")
    assert file.variables["songsAtOnce"].text == "machine.device == 'cuda' ? '2' : '1'"
    trigger = file.resource("job").properties["configuration"]["eventTriggerConfig"]
    [rule] = trigger["scale"]["rules"]
    assert rule["metadata"]["messageCount"].text == worker()["SONGS_AT_ONCE"].text == "songsAtOnce"


def test_modes_and_machines_are_those_that_the_worker_knows():
    file = template(INFRA / "modules" / "worker.bicep")
    assert set(WorkerSettings.model_fields["worker_mode"].annotation.__args__) == {"drain", "serve"}  # type: ignore[union-attr]
    main = (INFRA / "main.bicep").read_text()
    assert "@allowed(['drain', 'serve'])" in main
    assert f"@allowed({list(file.variables['machines'])})" in main
