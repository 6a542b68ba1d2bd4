"""Roles, as App Service Authentication hands them over from Entra app roles."""

import base64
import binascii
import json
from enum import StrEnum

import azure.functions as func

from shared.errors import ForbiddenError, UnauthenticatedError

PRINCIPAL_HEADER = "X-MS-CLIENT-PRINCIPAL"


class Role(StrEnum):
    """App roles of the deployment."""

    READ = "Read"
    WRITE = "Write"
    WORKER = "Worker"
    """The GPU worker; no user role opens its routes."""


def check_role(req: func.HttpRequest, role: Role) -> None:
    """Let the caller pass only with `role`.

    Raises
    ------
    UnauthenticatedError
        If the request carries no principal that can be read.
    ForbiddenError
        If the principal lacks the role.
    """
    header = req.headers.get(PRINCIPAL_HEADER)
    if not header:
        raise UnauthenticatedError
    try:
        principal = json.loads(base64.b64decode(header, validate=True))
        role_type = principal.get("role_typ", "roles")
        claims = [(claim["typ"], claim["val"]) for claim in principal["claims"]]
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        raise UnauthenticatedError("The principal that came with the request can't be read.") from None
    if not any(kind in (role_type, "roles") and value == role for kind, value in claims):
        raise ForbiddenError(f"This route asks for the role {role}.")
