"""The OpenAPI 3.1 document, made from the routes and their models alone."""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from functions.answers import File
from functions.examples import EXAMPLES, PARAMETERS
from functions.http import Route
from functions.requests import IF_MATCH_PATTERN, JSON_MEDIA_TYPE, UnsupportedMediaTypeError
from functions.roles import Role
from functions.views import Problem
from shared.errors import (
    PROBLEM_MEDIA_TYPE,
    ChangedMeanwhileError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    StemLibraryError,
    TooLargeError,
    UnauthenticatedError,
)
from shared.models import Stored
from shared.queries import Page

SCHEMAS = "#/components/schemas/"
SCHEME = "entra"
REDIRECTED = 302

ABOUT = """\
Songs that are dropped into a library come out as analysed stems: drums, bass, vocals and the rest.

- Names are camelCase, times are UTC (ISO 8601), lengths are seconds. What could not be measured is null, and
  `unmeasured` says why.
- Lists come in pages: `nextLink` is the address of the next one, and is missing on the last.
- A record comes with an `ETag`: `If-None-Match` saves reading it again (304), `If-Match` deletes only what
  was read (412). What has a GET has a HEAD.
- Errors are problem details (RFC 9457); `errors` names the fields at fault.
"""
TAGS = {
    "audio": "Songs: upload, records, deletion",
    "stems": "Search, statistics, and single stems",
    "jobs": "Analyses at work",
    "worker": "For the GPU worker only",
    "service": "The service itself",
}

Json = dict[str, Any]


def describe(routes: Sequence[Route]) -> Json:
    """Return the document of the routes under `/api`."""
    documented = [route for route in routes if route.path.startswith("api/")]
    references, definitions = _schemas(documented)
    paths: dict[str, Json] = {}
    for route in documented:
        path = "/" + route.path.replace(":guid", "")
        operation = _operation(route, references, definitions)
        paths.setdefault(path, {})[route.method.lower()] = operation
    queries = {route.query.__name__ for route in documented if route.query}
    schemas = {name: schema for name, schema in sorted(definitions.items()) if name not in queries}
    for name, example in EXAMPLES.items():
        if name in schemas:
            schemas[name]["examples"] = [example]
    bearer = {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of Microsoft Entra ID; its app roles (Read, Write, Worker) decide.",
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Stem Library", "version": "1", "description": ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": schemas, "securitySchemes": {SCHEME: bearer}},
    }


def _schemas(routes: Iterable[Route]) -> tuple[dict[tuple[Any, JsonSchemaMode], Json], dict[str, Json]]:
    """Return references to the schema of each model, and the schemas by name."""
    wanted: dict[tuple[Any, JsonSchemaMode], None] = {(Problem, "serialization"): None}
    for route in routes:
        read = (model for model in (route.query, route.body) if model)
        wanted |= {(model, "validation"): None for model in read}
        if _is_model(route.model):
            wanted[route.model, "serialization"] = None
    references, schema = models_json_schema(list(wanted), ref_template=SCHEMAS + "{model}")
    return references, schema["$defs"]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _operation(
    route: Route, references: dict[tuple[Any, JsonSchemaMode], Json], definitions: dict[str, Json]
) -> Json:
    summary, _, rest = (route.handler.__doc__ or "").partition("\n")
    access = f"Role: {route.role}." if route.role else "For anyone."
    about = "\n".join(line.strip() for line in rest.strip().splitlines())
    operation: Json = {
        "operationId": to_camel(route.handler.__name__),
        "summary": summary.strip().removesuffix("."),
        "description": f"{about}\n\n{access}".strip(),
        "tags": [_tag(route)],
        "security": [{SCHEME: [route.role]}] if route.role else [],
        "x-roles": [route.role] if route.role else [],
        "parameters": [*_path_parameters(route), *_header_parameters(route)],
        "responses": _responses(route, references),
    }
    if route.query:
        operation["parameters"] += _query_parameters(definitions[route.query.__name__])
    if route.body:
        schema = references[route.body, "validation"]
        operation["requestBody"] = {"required": True, "content": {JSON_MEDIA_TYPE: _content(schema)}}
    return operation


def _tag(route: Route) -> str:
    if route.role is Role.WORKER:
        return "worker"
    section = route.path.split("/")[1]
    return section if section in TAGS else "service"


def _path_parameters(route: Route) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": TypeAdapter(annotation).json_schema(),
            "example": PARAMETERS[name],
        }
        for name, annotation in route.parameters.items()
    ]


def _query_parameters(schema: Json) -> list[Json]:
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": found.get("description", ""),
            "schema": _without_null(found),
        }
        for name, found in schema["properties"].items()
    ]


def _without_null(schema: Json) -> Json:
    """Return the schema of a parameter: it is left out where a model would say null."""
    kept = {name: value for name, value in schema.items() if name not in ("title", "description")}
    if kept.get("default", ...) is None:
        del kept["default"]
    options = [option for option in kept.pop("anyOf", ()) if option != {"type": "null"}]
    return {**kept, **options[0]} if options else kept


def _header_parameters(route: Route) -> list[Json]:
    names = {"If-Match": route.is_conditional, "If-None-Match": route.kind in (Stored, File)}
    about = {
        "If-Match": "The ETag that the record must still have",
        "If-None-Match": "ETags of versions that are known already",
    }
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": about[name],
            "schema": {"type": "string", **({"pattern": IF_MATCH_PATTERN} if name == "If-Match" else {})},
        }
        for name, is_taken in names.items()
        if is_taken
    ]


def _responses(route: Route, references: dict[tuple[Any, JsonSchemaMode], Json]) -> Json:
    responses: Json = {}
    for status, about in route.statuses.items():
        responses[str(status)] = {"description": about, "headers": _headers(route, status)}
        if route.kind is Page:
            item = references[route.model, "serialization"]
            content = _content({"$ref": item["$ref"]}, is_page=True)
            responses[str(status)]["content"] = {JSON_MEDIA_TYPE: content}
        elif route.kind is File:
            kind = "object" if route.media_type == JSON_MEDIA_TYPE else "string"
            responses[str(status)]["content"] = {route.media_type: {"schema": {"type": kind}}}
        elif status != REDIRECTED and _is_model(route.model):
            content = _content(references[route.model, "serialization"])
            responses[str(status)]["content"] = {JSON_MEDIA_TYPE: content}
    if route.kind in (Stored, File):
        responses["304"] = {"description": "Not modified", "headers": _headers(route, 304)}
    for error in _problems(route):
        schema = references[Problem, "serialization"]
        responses[str(error.status)] = {
            "description": f"{error.title}: {(error.__doc__ or '').strip()}",
            "content": {PROBLEM_MEDIA_TYPE: {"schema": schema}},
        }
    return dict(sorted(responses.items()))


def _problems(route: Route) -> list[type[StemLibraryError]]:
    """Return the problems that follow from a declaration, and those that it names."""
    found: list[type[StemLibraryError]] = [] if route.kind is File else [InvalidInputError]
    if route.role:
        found += [UnauthenticatedError, ForbiddenError]
    if "{id" in route.path:
        found.append(NotFoundError)
    if route.is_conditional:
        found.append(ChangedMeanwhileError)
    if route.body:
        found += [TooLargeError, UnsupportedMediaTypeError]
    return [*found, *route.problems, StemLibraryError]


def _headers(route: Route, status: int) -> Json:
    about = dict(route.headers)
    if route.kind in (Stored, File):
        about["ETag"] = "The record's version"
    if status in (201, 202, REDIRECTED) and (status == REDIRECTED or "Location" in about):
        about["Location"] = "Where it is"
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in about.items()}


def _content(schema: Json, *, is_page: bool = False) -> Json:
    """Return content of a schema, with the example of its model."""
    example: Any = EXAMPLES.get(schema["$ref"].rpartition("/")[2])
    if is_page:
        page = {
            "type": "object",
            "properties": {
                "value": {"type": "array", "items": schema},
                "nextLink": {"type": "string", "description": "Missing on the last page"},
            },
            "required": ["value"],
            "additionalProperties": False,
        }
        return {"schema": page, "example": {"value": [example]}}
    return {"schema": schema, "example": example}
