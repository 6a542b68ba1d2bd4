"""What handlers return, and the responses that this becomes: JSON, records with ETag, pages, problems."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

import azure.functions as func
from pydantic import TypeAdapter

from functions.requests import JSON_MEDIA_TYPE, has_version, path_of, query_pairs
from shared.errors import PROBLEM_MEDIA_TYPE, StemLibraryError
from shared.models import Stored
from shared.queries import Page

Content_co = TypeVar("Content_co", covariant=True)

NO_STORE = {"Cache-Control": "no-store"}
"""For answers that carry a SAS."""


@dataclass(frozen=True)
class Answer(Generic[Content_co]):
    """Content with a status or headers of its own."""

    content: Content_co
    status: int | None = None
    """None: the first that the route declares."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Redirect:
    """Sends the caller to a short-lived URL."""

    url: str


@dataclass(frozen=True)
class File:
    """A file as it is."""

    content: bytes
    media_type: str
    etag: str | None = None


def response_to(
    req: func.HttpRequest, answer: Any, adapter: TypeAdapter[Any], status: int
) -> func.HttpResponse:
    """Return a handler's answer as a response.

    Parameters
    ----------
    adapter : TypeAdapter
        Of the type that the route declares: nothing beyond its fields leaves the app.
    """
    headers = {"Cache-Control": "private, no-cache"}
    if isinstance(answer, Answer):
        status = answer.status or status
        headers |= answer.headers
        answer = answer.content
    if isinstance(answer, File):
        headers["Cache-Control"] = "no-cache"
    etag = answer.etag if isinstance(answer, Stored | File) else None
    if etag:
        headers["ETag"] = etag
        if has_version(req, etag):
            return func.HttpResponse(status_code=304, headers=headers)
    match answer:
        case None:
            return func.HttpResponse(status_code=204)
        case Redirect(url):
            return func.HttpResponse(status_code=302, headers={**headers, **NO_STORE, "Location": url})
        case File(content, media_type):
            return func.HttpResponse(content, status_code=status, headers=headers, mimetype=media_type)
        case Page(value, next_token):
            page = {"value": adapter.dump_python(value, mode="json", by_alias=True)}
            if next_token:
                page["nextLink"] = _next_link(req, next_token)
            body = json.dumps(page, ensure_ascii=False, separators=(",", ":")).encode()
        case Stored(record):
            body = adapter.dump_json(record, by_alias=True)
        case _:
            body = adapter.dump_json(answer, by_alias=True)
    return func.HttpResponse(body, status_code=status, headers=headers, mimetype=JSON_MEDIA_TYPE)


def _next_link(req: func.HttpRequest, token: str) -> str:
    pairs = [(name, text) for name, text in query_pairs(req) if name != "pageToken"]
    return f"{path_of(req)}?{urlencode([*pairs, ('pageToken', token)])}"


def problem(
    req: func.HttpRequest, error: StemLibraryError, headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    """Return the error as problem details."""
    # In ASCII, since a message may quote text that has no UTF-8.
    body = json.dumps(error.to_problem(instance=path_of(req)), default=str)
    return func.HttpResponse(
        body, status_code=error.status, headers={**NO_STORE, **(headers or {})}, mimetype=PROBLEM_MEDIA_TYPE
    )
