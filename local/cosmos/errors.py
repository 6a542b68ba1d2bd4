"""The one exception of the stand-in: an answer other than success."""

PARTITION_KEY_MISMATCH = 1001
OWNER_NOT_FOUND = 1003


class CosmosError(Exception):
    """An error answer with Azure's HTTP status and sub-status."""

    def __init__(self, status: int, message: str, sub_status: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.sub_status = sub_status


def not_supported(feature: str) -> CosmosError:
    """Name what Azure has and this stand-in has not."""
    return CosmosError(400, f"not supported by the local Cosmos stand-in: {feature}")


def not_found(sub_status: int = 0) -> CosmosError:
    """Tell that there is no such resource; sub-status 1003: none around the addressed one."""
    return CosmosError(404, "Entity with the specified id does not exist in the system.", sub_status)
