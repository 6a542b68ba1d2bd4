"""The one exception hierarchy; each error puts itself into problem details (RFC 9457)."""

from dataclasses import dataclass
from typing import Any, ClassVar

PROBLEM_MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, kw_only=True)
class FieldFault:
    """One field of a request that cannot be taken."""

    field: str
    """Wire name, dotted where nested (`confidence.bpm`)."""
    message: str
    """What is wrong with it, for the caller."""


class StemLibraryError(Exception):
    """The request can't be served."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self, detail: str = "", *, faults: list[FieldFault] | None = None, **extensions: Any
    ) -> None:
        self.detail = detail or (type(self).__doc__ or "")
        self.faults = faults or []
        self.extensions = extensions
        super().__init__(self.detail)

    def to_problem(self, instance: str) -> dict[str, Any]:
        """Return the members of an RFC 9457 problem for the resource `instance`."""
        problem: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            **self.extensions,
        }
        if self.faults:
            problem["errors"] = [{"field": fault.field, "message": fault.message} for fault in self.faults]
        return problem


class InvalidInputError(StemLibraryError):
    """The request has fields that can't be taken."""

    status = 400
    title = "Invalid input"


class UnauthenticatedError(StemLibraryError):
    """Sign in first: the request carries no principal."""

    status = 401
    title = "Not signed in"


class ForbiddenError(StemLibraryError):
    """The caller lacks the role that this route asks for."""

    status = 403
    title = "Role missing"


class NotFoundError(StemLibraryError):
    """There is no such record."""

    status = 404
    title = "Not found"


class BeingDeletedError(NotFoundError):
    """The record's deletion has begun."""


class ConflictError(StemLibraryError):
    """The record is in a state that does not allow this."""

    status = 409
    title = "Conflict"


class AlreadyExistsError(ConflictError):
    """A record of this id exists already."""


class ChangedMeanwhileError(ConflictError):
    """The record was changed by somebody else meanwhile; read it again."""

    status = 412
    title = "Changed meanwhile"


class TooLargeError(StemLibraryError):
    """The content is larger than this deployment takes."""

    status = 413
    title = "Too large"
