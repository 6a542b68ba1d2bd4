"""What a request says, read strictly into a route's models: query, body, path and conditions."""

import re
import types
import typing
import uuid
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import azure.functions as func
from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError, WithJsonSchema
from pydantic_core import from_json, to_json

from shared.errors import FieldFault, InvalidInputError, StemLibraryError, TooLargeError

Model = TypeVar("Model", bound=BaseModel)

JSON_MEDIA_TYPE = "application/json"
BODY_LIMIT = 8 * 1024**2
"""Bytes. The largest body is a stem with the notes of an hour of music."""
MAX_PARAMETERS = 50
IF_MATCH_PATTERN = r'^\*$|^(W/)?"[!#-~]*"$'

Literal = tuple[re.Pattern[str], str]
"""How values of a type are written, and what to say of others."""

# Python reads `1_0`, ` 1` and `yes`, too; a query is to mean the same to every reader of the API document.
LITERALS: dict[Any, Literal] = {
    bool: (re.compile("true|false"), "must be true or false"),
    int: (re.compile("-?(0|[1-9][0-9]*)"), "must be a whole number"),
    float: (re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?"), "must be a number"),
}


def _canonical(text: str) -> str:
    return str(uuid.UUID(text))


Id = Annotated[
    str,
    BeforeValidator(_canonical),
    WithJsonSchema({"type": "string", "format": "uuid"}),
]
"""A GUID of a path, in its canonical form: lower case, with hyphens."""


class UnsupportedMediaTypeError(StemLibraryError):
    """The body must be JSON, sent as application/json."""

    status = 415
    title = "Unsupported media type"


def path_of(req: func.HttpRequest) -> str:
    """Return the path, encoded as it came, without query: a query may hold what no log or problem should."""
    path: str = urlsplit(req.url).path
    return path


def query_pairs(req: func.HttpRequest) -> list[tuple[str, str]]:
    """Return the query's parameters in order.

    They are read from the address, since the host hides repeated names and empty values.

    Raises
    ------
    InvalidInputError
        If the query is no UTF-8, or has too many parameters.
    """
    try:
        return parse_qsl(
            urlsplit(req.url).query, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except ValueError as error:
        raise InvalidInputError(f"The query can't be read: {error}.") from None


def read_query(req: func.HttpRequest, model: type[Model]) -> Model:
    """Return the query as `model`.

    Raises
    ------
    InvalidInputError
        Naming each parameter that is unknown, repeated or wrong.
    """
    values: dict[str, str] = {}
    faults: dict[str, FieldFault] = {}
    literals = {field.alias: _literal(field.annotation) for field in model.model_fields.values()}
    for name, text in query_pairs(req):
        form, message = literals.get(name) or (None, "")
        if name in values:
            faults[name] = FieldFault(field=name, message="must be given once only")
        elif form and not form.fullmatch(text):
            faults[name] = FieldFault(field=name, message=message)
        values[name] = text
    try:
        query = model.model_validate_strings(values, by_alias=True, by_name=False)
    except ValidationError as error:
        faults = {fault.field: fault for fault in faults_of(error, "query")} | faults
    if faults:
        raise InvalidInputError("The query can't be taken.", faults=list(faults.values()))
    return query


def _literal(annotation: Any) -> Literal | None:
    """Return how a value of this type is written, where Python would read more forms than one."""
    if typing.get_origin(annotation) in (Annotated, types.UnionType, typing.Union):
        found = (_literal(argument) for argument in typing.get_args(annotation))
        return next(filter(None, found), None)
    return LITERALS.get(annotation)


def read_body(req: func.HttpRequest, model: type[Model]) -> Model:
    """Return the JSON body as `model`.

    Raises
    ------
    UnsupportedMediaTypeError
        If it is announced as something else.
    TooLargeError
        If it is larger than `BODY_LIMIT`.
    InvalidInputError
        Naming each field that can't be taken.
    """
    media_type = req.headers.get("Content-Type", JSON_MEDIA_TYPE).partition(";")[0].strip().lower()
    if media_type != JSON_MEDIA_TYPE:
        raise UnsupportedMediaTypeError
    content = req.get_body()
    if len(content) > BODY_LIMIT:
        raise TooLargeError(f"The body is larger than {BODY_LIMIT} bytes.", maxBytes=BODY_LIMIT)
    try:
        content = _with_whole_numbers(from_json(content, allow_inf_nan=False), model) or content
        return model.model_validate_json(content, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        faults = faults_of(error, "body")
    except ValueError as error:
        faults = [FieldFault(field="body", message=f"is no JSON: {error}")]
    except RecursionError:
        faults = [FieldFault(field="body", message="is nested too deeply")]
    raise InvalidInputError("The body can't be taken.", faults=faults)


def _with_whole_numbers(body: Any, model: type[BaseModel]) -> bytes | None:
    """Return the body with 1 for 1.0 where an integer is wanted, as JSON means the same; None without any."""
    if not isinstance(body, dict):
        return None
    wanted = (
        field.alias for field in model.model_fields.values() if _literal(field.annotation) is LITERALS[int]
    )
    whole = {
        name: int(body[name])
        for name in wanted
        if isinstance(body.get(name), float) and body[name].is_integer()
    }
    return to_json({**body, **whole}) if whole else None


def read_parameter(adapter: TypeAdapter[Any], name: str, text: str) -> Any:
    """Return a part of the path as the type of its adapter.

    Raises
    ------
    InvalidInputError
        If it can't be one.
    """
    try:
        return adapter.validate_python(text)
    except ValidationError as error:
        faults = faults_of(error, name)
        raise InvalidInputError("The address can't be taken.", faults=faults) from None


def read_if_match(req: func.HttpRequest) -> str | None:
    """Return the ETag that the record must still have; None where any will do.

    Raises
    ------
    InvalidInputError
        If it is anything but one ETag.
    """
    tag = req.headers.get("If-Match", "*").strip()
    if not re.fullmatch(IF_MATCH_PATTERN, tag):
        fault = FieldFault(field="If-Match", message="must be a single ETag in its quotes, or *")
        raise InvalidInputError("If-Match can't be taken.", faults=[fault])
    return None if tag == "*" else tag


def has_version(req: func.HttpRequest, etag: str) -> bool:
    """Return whether the caller has this version already (If-None-Match)."""
    # A proxy that compresses turns the tag into a weak one.
    known = {tag.strip().removeprefix("W/") for tag in req.headers.get("If-None-Match", "").split(",")}
    return not known.isdisjoint({etag, "*"})


def faults_of(error: ValidationError, whole: str) -> list[FieldFault]:
    """Return what is wrong by wire name; `whole` names what no single field is to blame for."""
    return [
        FieldFault(
            field=".".join(map(str, fault["loc"])) or whole,
            message=fault["msg"].removeprefix("Value error, "),
        )
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
