"""Every setting of the worker, read from its environment and validated at start."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from shared.settings import SettingsError, TelemetrySettings, describe, refuse_misspelt


class WorkerSettings(TelemetrySettings):
    """Settings of the worker; connections and telemetry as in shared/settings.py."""

    model_config = SettingsConfigDict(case_sensitive=True, extra="ignore", frozen=True)

    api_base_url: str = Field(validation_alias="API_BASE_URL")
    api_scope: str | None = Field(None, validation_alias="API_SCOPE")
    """Entra scope of the API; without it requests carry no token, as on a laptop."""
    audio_storage: str | None = Field(None, validation_alias="AUDIO_STORAGE")
    audio_storage_uri: str | None = Field(None, validation_alias="AUDIO_STORAGE__blobServiceUri")
    audio_container: str = Field("audio-files", validation_alias="AUDIO_CONTAINER")
    service_bus: str | None = Field(None, validation_alias="SERVICEBUS")
    service_bus_namespace: str | None = Field(None, validation_alias="SERVICEBUS__fullyQualifiedNamespace")
    analysis_queue: str = Field("analysis-jobs", validation_alias="ANALYSIS_QUEUE")
    max_upload_mb: int = Field(500, validation_alias="MAX_UPLOAD_MB", ge=1)
    max_duration_minutes: float = Field(60, validation_alias="MAX_DURATION_MINUTES", gt=0)
    heartbeat_seconds: float = Field(30, validation_alias="HEARTBEAT_SECONDS", gt=0)
    stem_model: str = Field("htdemucs", validation_alias="STEM_MODEL", min_length=1)
    stem_model_repo: Path | None = Field(None, validation_alias="STEM_MODEL_REPO")
    beat_model: str = Field("final0", validation_alias="BEAT_MODEL", pattern=r"^[\w.-]*$")
    """Weights of Beat This that are taken if they are at hand; empty: none."""
    beat_model_repo: Path | None = Field(None, validation_alias="BEAT_MODEL_REPO")
    """Folder of its weights instead of PyTorch's cache; they must be there."""
    device: str = Field("auto", validation_alias="DEVICE")
    worker_mode: Literal["drain", "serve"] = Field("drain", validation_alias="WORKER_MODE")
    songs_at_once: int = Field(1, validation_alias="SONGS_AT_ONCE", ge=1)
    """Of which one is separated at a time: for a GPU, which else idles while a song is analysed. On a CPU a
    second song would take its memory and bring nothing, since both need the same cores."""
    recycle_after_jobs: int = Field(50, validation_alias="RECYCLE_AFTER_JOBS", ge=1)
    health_file: Path | None = Field(None, validation_alias="HEALTH_FILE")
    """Where the worker says how it is, for the probe `python -m gpu_worker.health`; the image sets it."""
    compiled_functions: Path | None = Field(None, validation_alias="COMPILED_FUNCTIONS")
    """Folder of what numba compiled when the image was built (compiled.py); the image sets it."""

    @model_validator(mode="after")
    def _one_way_to_each_resource(self) -> "WorkerSettings":
        for name, given in (
            ("AUDIO_STORAGE or AUDIO_STORAGE__blobServiceUri", (self.audio_storage, self.audio_storage_uri)),
            (
                "SERVICEBUS or SERVICEBUS__fullyQualifiedNamespace",
                (self.service_bus, self.service_bus_namespace),
            ),
        ):
            if given.count(None) != 1:
                raise ValueError(f"set exactly one of {name}")
        return self


def load_settings() -> WorkerSettings:
    """Read the settings from the environment.

    Raises
    ------
    SettingsError
        One sentence for each setting that is missing, wrong or misspelt.
    """
    refuse_misspelt([str(field.validation_alias) for field in WorkerSettings.model_fields.values()])
    try:
        return WorkerSettings()
    except ValidationError as error:
        raise SettingsError(describe(error)) from None
