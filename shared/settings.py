"""Every setting of the Function app, read from its environment and validated at start."""

import difflib
import os
import re
from datetime import timedelta
from typing import Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.job_states import JobPolicy


class SettingsError(Exception):
    """The settings can't be taken; the message names each one."""


class TelemetrySettings(BaseSettings):
    """Where traces, metrics and logs go, of Function app and worker; to all that are set, else nowhere.

    The standard variables of OpenTelemetry hold too, such as `OTEL_TRACES_SAMPLER` (all traces by default),
    `OTEL_METRIC_EXPORT_INTERVAL` (60,000 ms) and `OTEL_EXPORTER_OTLP_HEADERS`.
    """

    application_insights: str | None = Field(None, validation_alias="APPLICATIONINSIGHTS_CONNECTION_STRING")
    """Says where, and is no key: sending takes the role Monitoring Metrics Publisher of the identity."""
    otlp_endpoint: str | None = Field(None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """Base address of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318."""
    telemetry_console: bool = Field(False, validation_alias="TELEMETRY_CONSOLE")
    """Print spans and metrics, a line of JSON each."""

    @property
    def has_destination(self) -> bool:
        """Whether any is set."""
        return bool(self.application_insights or self.otlp_endpoint or self.telemetry_console)


class AppSettings(TelemetrySettings):
    """Settings of the Function app under the names of DESIGN section 8.

    A connection is either a connection string (`SERVICEBUS`) or, in Azure, the resource's address
    (`SERVICEBUS__fullyQualifiedNamespace`), which is reached with the managed identity.
    """

    model_config = SettingsConfigDict(case_sensitive=True, extra="ignore", frozen=True)

    audio_storage: str | None = Field(None, validation_alias="AUDIO_STORAGE")
    audio_storage_uri: str | None = Field(None, validation_alias="AUDIO_STORAGE__blobServiceUri")
    service_bus: str | None = Field(None, validation_alias="SERVICEBUS")
    service_bus_namespace: str | None = Field(None, validation_alias="SERVICEBUS__fullyQualifiedNamespace")
    cosmos_endpoint: str = Field(validation_alias="COSMOS_ENDPOINT")
    cosmos_key: str | None = Field(None, validation_alias="COSMOS_KEY")
    audio_container: str = Field("audio-files", validation_alias="AUDIO_CONTAINER", min_length=3)
    analysis_queue: str = Field("analysis-jobs", validation_alias="ANALYSIS_QUEUE", min_length=1)
    completed_job_ttl_seconds: int = Field(30, validation_alias="COMPLETED_JOB_TTL_SECONDS", ge=1)
    failed_job_retention_days: int = Field(7, validation_alias="FAILED_JOB_RETENTION_DAYS", ge=1)
    heartbeat_timeout_minutes: float = Field(30, validation_alias="HEARTBEAT_TIMEOUT_MINUTES", gt=0)
    stale_sweep_schedule: str = Field("0 */5 * * * *", validation_alias="STALE_SWEEP_SCHEDULE")
    purge_schedule: str = Field("0 0 * * * *", validation_alias="PURGE_SCHEDULE")
    lease_seconds: int = Field(90, validation_alias="LEASE_SECONDS", ge=1)
    max_retries: int = Field(3, validation_alias="MAX_RETRIES", ge=0, le=100)
    retry_backoff_seconds: float = Field(10, validation_alias="RETRY_BACKOFF_SECONDS", gt=0)
    max_upload_mb: int = Field(500, validation_alias="MAX_UPLOAD_MB", ge=1)
    auth_mode: Literal["roles", "off"] = Field("roles", validation_alias="AUTH_MODE")
    platform_auth: bool = Field(False, validation_alias="WEBSITE_AUTH_ENABLED")
    allowed_origins: str = Field("", validation_alias="ALLOWED_ORIGINS")
    """Of web pages elsewhere that may call the API (CORS), comma separated."""

    @model_validator(mode="after")
    def _one_way_to_each_resource(self) -> "AppSettings":
        for name, text, address in (
            ("AUDIO_STORAGE", self.audio_storage, self.audio_storage_uri),
            ("SERVICEBUS", self.service_bus, self.service_bus_namespace),
        ):
            if (text is None) == (address is None):
                other = "blobServiceUri" if name == "AUDIO_STORAGE" else "fullyQualifiedNamespace"
                raise ValueError(f"set exactly one of {name} (connection string) and {name}__{other}")
        return self

    @model_validator(mode="after")
    def _roles_need_platform_authentication(self) -> "AppSettings":
        if self.auth_mode == "roles" and not self.platform_auth:
            raise ValueError(
                "AUTH_MODE=roles trusts the header that App Service Authentication sets, but platform "
                "authentication is off (WEBSITE_AUTH_ENABLED); switch it on, or set AUTH_MODE=off on a laptop"
            )
        return self

    @model_validator(mode="after")
    def _origins_are_origins(self) -> "AppSettings":
        for origin in self.cors_origins:
            if not re.fullmatch(r"https?://[^/?#@\s*]+", origin):
                raise ValueError(f"ALLOWED_ORIGINS: {origin!r} is no origin, such as https://music.example")
        return self

    @property
    def cors_origins(self) -> frozenset[str]:
        """The origins of `allowed_origins`."""
        return frozenset(filter(None, map(str.strip, self.allowed_origins.split(","))))

    @property
    def job_policy(self) -> JobPolicy:
        """The periods and limits of a job's life."""
        return JobPolicy(
            completed_ttl=timedelta(seconds=self.completed_job_ttl_seconds),
            retention=timedelta(days=self.failed_job_retention_days),
            lease=timedelta(seconds=self.lease_seconds),
            heartbeat_timeout=timedelta(minutes=self.heartbeat_timeout_minutes),
            max_retries=self.max_retries,
            first_backoff=timedelta(seconds=self.retry_backoff_seconds),
        )


def load_settings() -> AppSettings:
    """Read the settings from the environment.

    Raises
    ------
    SettingsError
        One sentence for each setting that is missing, wrong or misspelt.
    """
    known = [str(field.validation_alias) for field in AppSettings.model_fields.values()]
    refuse_misspelt(known)
    try:
        return AppSettings()
    except ValidationError as error:
        raise SettingsError(describe(error)) from None


def describe(error: ValidationError) -> str:
    """Return one line that names every setting at fault."""
    faults = (
        f"{'.'.join(str(part) for part in fault['loc']) or 'settings'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)
    )
    return "; ".join(faults)


def refuse_misspelt(known: list[str]) -> None:
    """Refuse environment variables that are nearly, but not quite, the name of a setting.

    The platform sets hundreds of variables of its own, so an unknown name alone is no fault.

    Raises
    ------
    SettingsError
        Naming the variable and the setting that it resembles.
    """
    by_folded_name = {name.casefold().replace("_", ""): name for name in known}
    for variable in os.environ.keys() - set(known):
        folded = variable.casefold().replace("_", "")
        near = difflib.get_close_matches(folded, by_folded_name, n=1, cutoff=0.95)
        if near:
            raise SettingsError(f"{variable} is no setting; did you mean {by_folded_name[near[0]]}?")
