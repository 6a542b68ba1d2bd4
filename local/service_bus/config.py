"""The queues, read from a file in the format of Microsoft's Service Bus emulator."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_pascal

_Duration = Annotated[timedelta, Field(gt=timedelta())]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_pascal)


class QueueSettings(_Section):
    """Properties of one queue, named, limited and defaulted as in Azure."""

    lock_duration: _Duration = Field(timedelta(minutes=1), le=timedelta(minutes=5))
    max_delivery_count: int = Field(10, ge=1, le=2000)
    dead_lettering_on_message_expiration: bool = False
    default_message_time_to_live: _Duration | None = None
    requires_duplicate_detection: bool = False
    duplicate_detection_history_time_window: _Duration = Field(timedelta(minutes=10), le=timedelta(days=7))
    requires_session: Literal[False] = False
    forward_to: Literal[""] = ""
    forward_dead_lettered_messages_to: Literal[""] = ""


class _Queue(_Section):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length=260)
    properties: QueueSettings = QueueSettings()


class _Namespace(_Section):
    name: str
    queues: list[_Queue] = Field(min_length=1)
    topics: list[Any] = Field([], max_length=0)


class _UserConfig(_Section):
    namespaces: list[_Namespace] = Field(min_length=1, max_length=1)
    logging: Any = None


class _File(_Section):
    user_config: _UserConfig


def load_queues(path: Path) -> dict[str, QueueSettings]:
    """Return the settings of each queue by its name in lower case, or raise ValueError that says why not."""
    try:
        (namespace,) = _File.model_validate_json(path.read_bytes()).user_config.namespaces
    except ValidationError as invalid:
        first = invalid.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "content"
        problem = f"{where} = {first['input']!r:.80} is not supported: {first['msg']}"
        raise ValueError(f"{path}: {problem}") from invalid
    by_name = {queue.name.lower(): queue.properties for queue in namespace.queues}
    if len(by_name) < len(namespace.queues):
        raise ValueError(f"{path}: two queues have the same name (upper and lower case are alike)")
    return by_name
