"""The one exception of the stand-in: an answer other than success."""


class CosmosError(Exception):
    """An error answer with Azure's HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def not_supported(feature: str) -> CosmosError:
    """Name what Azure has and this stand-in has not."""
    return CosmosError(400, f"not supported by the local Cosmos stand-in: {feature}")
