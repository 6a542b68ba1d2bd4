import pytest

from shared.settings import SettingsError, load_settings

GOOD = {
    "AUDIO_STORAGE": "UseDevelopmentStorage=true",
    "SERVICEBUS": "Endpoint=sb://127.0.0.1;SharedAccessKeyName=x;SharedAccessKey=y",
    "COSMOS_ENDPOINT": "http://127.0.0.1:8081/",
    "COSMOS_KEY": "a2V5",
    "AUTH_MODE": "off",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch):
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_defaults_are_those_of_the_design():
    settings = load_settings()
    policy = settings.job_policy
    assert (policy.completed_ttl.total_seconds(), policy.retention.days, policy.max_retries) == (30, 7, 3)
    assert (settings.audio_container, settings.analysis_queue) == ("audio-files", "analysis-jobs")


@pytest.mark.parametrize("name", ["COSMOS_ENDPOINT", "AUDIO_STORAGE", "SERVICEBUS"])
def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.delenv(name)
    with pytest.raises(SettingsError, match=name):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COMPLETED_JOB_TTL_SECONDS", "soon"),
        ("MAX_RETRIES", "-1"),
        ("AUTH_MODE", "none"),
        ("LEASE_SECONDS", "0"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load_settings()


def test_two_ways_to_one_resource_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SERVICEBUS__fullyQualifiedNamespace", "x.servicebus.windows.net")
    with pytest.raises(SettingsError, match="exactly one of SERVICEBUS"):
        load_settings()


def test_a_misspelt_setting_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COMPLETED_JOB_TTL_SECOND", "60")
    with pytest.raises(SettingsError, match="did you mean COMPLETED_JOB_TTL_SECONDS"):
        load_settings()


def test_roles_need_platform_authentication(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AUTH_MODE")
    with pytest.raises(SettingsError, match="WEBSITE_AUTH_ENABLED"):
        load_settings()
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")
    assert load_settings().auth_mode == "roles"


def test_origins_are_listed_with_commas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://music.example, http://localhost:3000")
    assert load_settings().cors_origins == {"https://music.example", "http://localhost:3000"}


@pytest.mark.parametrize("origin", ["*", "music.example", "https://music.example/", "https://*.example"])
def test_what_is_no_origin_stops_the_start(monkeypatch: pytest.MonkeyPatch, origin: str):
    monkeypatch.setenv("ALLOWED_ORIGINS", origin)
    with pytest.raises(SettingsError, match="ALLOWED_ORIGINS"):
        load_settings()
