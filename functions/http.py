"""HTTP routes: one declaration each, for routing, roles, parsing, answers and the API document.

A handler's signature says the rest. Its first arguments are the parts of the path in braces, in order; then
it may ask for `query` and `body` (their annotations are the models that read them), `if_match` (the ETag of
If-Match) and `client` (of durable orchestrations). What its return annotation names is what the caller sees,
and no more.
"""

import logging
import re
import types
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import azure.durable_functions as df
import azure.functions as func
from opentelemetry.trace import SpanKind
from pydantic import BaseModel, TypeAdapter

from functions.answers import Answer, File, Redirect, problem, response_to
from functions.requests import path_of, read_body, read_if_match, read_parameter, read_query
from functions.roles import Role, check_role
from shared import telemetry
from shared.errors import NotFoundError, StemLibraryError, UnauthenticatedError
from shared.models import Stored, WireModel
from shared.queries import Page
from shared.settings import AppSettings

logger = logging.getLogger(__name__)

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])

PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")
FORMS = {"guid": "[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", None: "[^/]+"}
"""What parts of a path may look like, by the constraint in its template."""
PREFLIGHT_SECONDS = 3600


class MethodNotAllowedError(StemLibraryError):
    """There is no such method at this address."""

    status = 405
    title = "Method not allowed"


class NoQuery(WireModel):
    """Of a route that has no parameters."""


class Route:
    """One route with its handler.

    Parameters
    ----------
    method, path : str
        `GET` is answered for HEAD, too. The path is a template of Azure Functions, without the leading slash.
    role : Role or None
        Who may call; None: anyone.
    statuses : mapping
        The statuses of success with what they mean; the first is the usual one.
    problems : sequence of StemLibraryError types
        Beyond those that follow from the declaration itself.
    headers : mapping
        Headers of the answer with what they mean, beyond those that follow from its type.
    media_type : str
        Of a file.
    """

    def __init__(
        self,
        method: str,
        path: str,
        handler: Callable[..., Awaitable[Any]],
        *,
        role: Role | None,
        statuses: Mapping[int, str] | None = None,
        problems: Sequence[type[StemLibraryError]] = (),
        headers: Mapping[str, str] | None = None,
        media_type: str = "text/html",
    ) -> None:
        hints = typing.get_type_hints(handler, include_extras=True)
        self.method, self.path, self.handler, self.role = method, path, handler, role
        self.methods = ("GET", "HEAD") if method == "GET" else (method,)
        self.template = PARAMETER.sub(r"{\1}", f"/{path}")
        """The path as the API document and traces have it."""
        self.name = f"{method} {self.template}"
        self.parameters = {
            found[1]: hint for found, hint in zip(PARAMETER.finditer(path), hints.values(), strict=False)
        }
        self.query: type[BaseModel] | None = hints.get("query")
        self.body: type[BaseModel] | None = hints.get("body")
        self.is_conditional = "if_match" in hints
        self.wants_client = "client" in hints
        self.problems, self.headers, self.media_type = problems, headers or {}, media_type
        answer = hints["return"]
        if typing.get_origin(answer) is types.UnionType:  # of content, or a redirect to it
            (answer,) = (each for each in typing.get_args(answer) if each is not Redirect)
        if typing.get_origin(answer) is Answer:
            (answer,) = typing.get_args(answer)
        self.kind = typing.get_origin(answer) or answer
        """Page, Stored, Redirect, File, None's type, or a model."""
        is_wrapped = self.kind in (Page, Stored)
        self.model: Any = typing.get_args(answer)[0] if is_wrapped else answer
        usual = {Redirect: {302: "To a short-lived URL"}, type(None): {204: "Done"}}
        self.statuses = statuses or usual.get(self.kind, {200: "OK"})
        pattern = PARAMETER.sub(lambda found: FORMS[found[2]], path.strip("/"))
        self._pattern = re.compile(f"/{pattern}/?", re.IGNORECASE)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(list[self.model] if self.kind is Page else self.model)  # type: ignore[name-defined]

    @cached_property
    def _readers(self) -> dict[str, TypeAdapter[Any]]:
        return {name: TypeAdapter(annotation) for name, annotation in self.parameters.items()}

    def is_at(self, path: str) -> bool:
        """Return whether the path is this route's, whatever the method."""
        return self._pattern.fullmatch(path) is not None

    async def answer(self, req: func.HttpRequest, bindings: Mapping[str, Any]) -> func.HttpResponse:
        """Read the request, call the handler, and return its answer as a response."""
        path = [
            read_parameter(reader, name, req.route_params[name]) for name, reader in self._readers.items()
        ]
        arguments: dict[str, Any] = dict(bindings)
        if self.kind is not File:  # a browser may ask for a page with anything behind it
            query = read_query(req, self.query or NoQuery)
            if self.query:
                arguments["query"] = query
        if self.body:
            arguments["body"] = read_body(req, self.body)
        if self.is_conditional:
            arguments["if_match"] = read_if_match(req)
        answer = await self.handler(*path, **arguments)
        return response_to(req, answer, self._adapter, next(iter(self.statuses)))


class Api(df.Blueprint):  # type: ignore[misc]  # the package is untyped
    """The app's HTTP routes."""

    def __init__(self, settings: AppSettings) -> None:
        super().__init__(http_auth_level=func.AuthLevel.ANONYMOUS)
        self._checks_roles = settings.auth_mode == "roles"
        self._origins = settings.cors_origins
        self.routes: list[Route] = []
        self._add_fallback()

    def get(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Register a handler of GET and HEAD; `declared` as in `Route`."""
        return self._register("GET", path, declared)

    def post(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Register a handler of POST."""
        return self._register("POST", path, declared)

    def delete(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Register a handler of DELETE."""
        return self._register("DELETE", path, declared)

    def _register(self, method: str, path: str, declared: dict[str, Any]) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            route = Route(method, path, handler, **declared)

            async def guarded(req: func.HttpRequest, **bindings: Any) -> func.HttpResponse:
                with telemetry.span_of_call(
                    route.name, req.headers.get("traceparent"), SpanKind.SERVER
                ) as span:
                    response = await self._answer(route, req, bindings)
                    span.set_attribute("http.request.method", req.method)
                    span.set_attribute("http.route", route.template)
                    span.set_attribute("http.response.status_code", response.status_code)
                    if response.status_code >= 500:
                        telemetry.fail(str(response.status_code))
                return self._with_common_headers(req, response)

            # The host fills a function's arguments by their names, so these two differ.
            async def plain(req: func.HttpRequest) -> func.HttpResponse:
                return await guarded(req)

            async def durable(
                req: func.HttpRequest, client: df.DurableOrchestrationClient
            ) -> func.HttpResponse:
                return await guarded(req, client=client)

            function: Any = durable if route.wants_client else plain
            function.__name__ = handler.__name__
            if route.wants_client:
                function = self.durable_client_input(client_name="client")(function)
            self.route(route=path, methods=list(route.methods))(function)
            self.routes.append(route)
            return handler

        return register

    async def _answer(
        self, route: Route, req: func.HttpRequest, bindings: Mapping[str, Any]
    ) -> func.HttpResponse:
        try:
            if route.role is not None and self._checks_roles:
                check_role(req, route.role)
            return await route.answer(req, bindings)
        except UnauthenticatedError as error:
            return problem(req, error, {"WWW-Authenticate": "Bearer"})
        except StemLibraryError as error:
            return problem(req, error)
        except Exception:
            # Whatever it is, the caller gets a problem and the log the traceback.
            logger.exception("Unexpected error in %s %s", route.method, route.path)
            return problem(req, StemLibraryError("An unexpected error; the log of this time has more."))

    def _add_fallback(self) -> None:
        """Answer what no route does: unknown addresses, methods that an address lacks, and preflights.

        Azure takes the first route that fits, methods included, in the order of templates or of function
        names, as its version goes: hence the last of names. The template wants a part at least: else it would
        come before `/`.
        """

        async def zz_no_such_route(req: func.HttpRequest) -> func.HttpResponse:
            return self._with_common_headers(req, self._refuse(req))

        async def zz_no_such_method(req: func.HttpRequest) -> func.HttpResponse:
            return self._with_common_headers(req, self._refuse(req))

        self.route(route="{first}/{*rest}")(zz_no_such_route)
        others = [method for method in func.HttpMethod if method.value not in ("GET", "HEAD")]
        self.route(route="/", methods=others)(zz_no_such_method)

    def _refuse(self, req: func.HttpRequest) -> func.HttpResponse:
        found = [route for route in self.routes if route.is_at(path_of(req))]
        if not found:
            return problem(
                req, NotFoundError("There is nothing at this address; GET /api/docs lists what is.")
            )
        allow = ", ".join(sorted({"OPTIONS", *(method for route in found for method in route.methods)}))
        if req.method != "OPTIONS":
            detail = f"{req.method} is not possible here: {allow}."
            return problem(req, MethodNotAllowedError(detail), {"Allow": allow})
        headers = {"Allow": allow}
        if req.headers.get("Origin") in self._origins:
            headers |= {
                "Access-Control-Allow-Methods": allow,
                "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, If-None-Match",
                "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
            }
        return func.HttpResponse(status_code=204, headers=headers)

    def _with_common_headers(self, req: func.HttpRequest, response: func.HttpResponse) -> func.HttpResponse:
        response.headers["X-Content-Type-Options"] = "nosniff"
        if self._origins:
            response.headers["Vary"] = "Origin"
            origin = req.headers.get("Origin")
            if origin in self._origins:
                response.headers["Access-Control-Allow-Origin"] = origin
                response.headers["Access-Control-Expose-Headers"] = "ETag, Location, Retry-After"
        return response
