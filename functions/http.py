"""HTTP conventions of every route: who may call, bodies, records with ETag, and errors as problem details."""

import functools
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import azure.durable_functions as df
import azure.functions as func
from pydantic import BaseModel, ValidationError

from functions.roles import Role, check_role
from shared.errors import PROBLEM_MEDIA_TYPE, FieldFault, InvalidInputError, StemLibraryError
from shared.models import WireModel
from shared.settings import AppSettings

logger = logging.getLogger(__name__)

Handler = Callable[..., Awaitable[func.HttpResponse]]
Body = TypeVar("Body", bound=BaseModel)

JSON_MEDIA_TYPE = "application/json"


class ApiBlueprint(df.Blueprint):  # type: ignore[misc]  # the package is untyped
    """A blueprint whose HTTP routes state who may call them."""

    def __init__(self, settings: AppSettings) -> None:
        super().__init__(http_auth_level=func.AuthLevel.ANONYMOUS)
        self._settings = settings

    def api(
        self, method: str, route: str, *, role: Role | None, durable_client: bool = False
    ) -> Callable[[Handler], Handler]:
        """Register the handler of `method` on `route`, for callers with `role` (None: anyone).

        With `durable_client` the handler gets the orchestration client as the argument `client`.
        """

        def register(handler: Handler) -> Handler:
            @functools.wraps(handler)
            async def guarded(req: func.HttpRequest, **bindings: Any) -> func.HttpResponse:
                try:
                    if role is not None and self._settings.auth_mode == "roles":
                        check_role(req, role)
                    return await handler(req, **bindings)
                except StemLibraryError as error:
                    return problem(req, error)
                except Exception:
                    # Whatever it is, the caller gets a problem and the log the traceback.
                    logger.exception("Unexpected error in %s %s", method, route)
                    return problem(
                        req, StemLibraryError("An unexpected error; the log of this time has more.")
                    )

            registered: Any = guarded
            if durable_client:
                registered = self.durable_client_input(client_name="client")(registered)
            self.route(route=route, methods=[method])(registered)
            return handler

        return register


def read_body(req: func.HttpRequest, model: type[Body]) -> Body:
    """Return the request's JSON body as `model`.

    Raises
    ------
    InvalidInputError
        Naming each field that can't be taken.
    """
    try:
        return model.model_validate_json(req.get_body())
    except ValidationError as error:
        faults = [
            FieldFault(field=".".join(map(str, fault["loc"])) or "body", message=fault["msg"])
            for fault in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise InvalidInputError("The body can't be taken.", faults=faults) from None


def read_number(req: func.HttpRequest, name: str, *, default: int, low: int, high: int) -> int:
    """Return the query parameter as a whole number in `low..high`.

    Raises
    ------
    InvalidInputError
        If it is anything else.
    """
    text = req.params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and low <= int(text[:9]) <= high):
        fault = FieldFault(field=name, message=f"must be a whole number from {low} to {high}")
        raise InvalidInputError(f"{name} can't be taken.", faults=[fault])
    return int(text)


def json_response(
    value: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> func.HttpResponse:
    """Return JSON."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return func.HttpResponse(body, status_code=status, headers=headers, mimetype=JSON_MEDIA_TYPE)


def is_known(req: func.HttpRequest, etag: str) -> bool:
    """Return whether the caller has this version already (If-None-Match)."""
    # A proxy that compresses turns the tag into a weak one.
    known = (tag.strip().removeprefix("W/") for tag in req.headers.get("If-None-Match", "").split(","))
    return etag in known


def record_response(
    req: func.HttpRequest, record: WireModel, *, etag: str, headers: dict[str, str] | None = None
) -> func.HttpResponse:
    """Return a record with its ETag, or 304 where the caller has this version already."""
    headers = {"ETag": etag, **(headers or {})}
    if is_known(req, etag):
        return func.HttpResponse(status_code=304, headers=headers)
    return json_response(record.to_wire(), headers=headers)


def problem(req: func.HttpRequest, error: StemLibraryError) -> func.HttpResponse:
    """Return the error as problem details."""
    body = json.dumps(error.to_problem(instance=req.url), ensure_ascii=False, default=str)
    return func.HttpResponse(body, status_code=error.status, mimetype=PROBLEM_MEDIA_TYPE)
