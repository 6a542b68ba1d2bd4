"""The one exception of the stand-in: an answer other than success."""

from typing import Any


class CosmosError(Exception):
    """An error answer: Azure's HTTP status and sub-status, and a content that is more than the message."""

    def __init__(self, status: int, message: str, sub_status: int = 0, content: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.sub_status = sub_status
        self.content = content


def not_supported(feature: str) -> CosmosError:
    """Name what Azure has and this stand-in has not."""
    return CosmosError(400, f"not supported by the local Cosmos stand-in: {feature}")


def not_found(sub_status: int = 0) -> CosmosError:
    """Tell that there is no such resource."""
    return CosmosError(404, "Entity with the specified id does not exist in the system.", sub_status)
