"""Requests to one deployment: sign-in, repeats, pages, and problems as exceptions."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urljoin

import httpx
from pydantic import ValidationError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from stem_library_client.model import Model

Json = dict[str, Any]
Method = Literal["GET", "POST", "DELETE"]
Result = TypeVar("Result")
Record = TypeVar("Record", bound=Model)

CHUNK = 1024**2
RETRIED_STATUSES = frozenset({429, 502, 503, 504})


class ApiError(Exception):
    """The API answered with a problem (RFC 9457)."""

    def __init__(self, status: int, problem: Json) -> None:
        self.status = status
        self.problem = problem
        """The problem's members, its extensions included."""
        super().__init__(f"{status}: {problem.get('detail') or problem.get('title') or 'no details'}")


class NotFoundError(ApiError):
    """There is no such record; of a deleted job the problem says what became of it."""


def api_error(answer: httpx.Response, what: str = "") -> ApiError:
    """Return the exception for an answer that was read."""
    kind = NotFoundError if answer.status_code == 404 else ApiError
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        return kind(answer.status_code, answer.json())
    return kind(answer.status_code, {"detail": f"{what}{answer.text[:200]}"})


@dataclass(frozen=True)
class Download:
    """A file that is being read."""

    file_name: str | None
    """As the server says, to be trusted no further."""
    size: int | None
    chunks: Iterator[bytes]


class Transport:
    """Connections to one deployment; the parameters are those of `StemLibraryClient`."""

    def __init__(
        self,
        base_url: str,
        token: Callable[[], str] | None,
        patience: float,
        headers: Callable[[], Mapping[str, str]],
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"The address must begin with http:// or https://, and {base_url!r} does not.")
        self._http = httpx.Client(base_url=base_url, timeout=30.0, auth=_SignIn(token) if token else None)
        self._patience = patience
        self._headers = headers

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(
        self,
        method: Method,
        path: str,
        kind: type[Record],
        *,
        body: Model | None = None,
        query: Mapping[str, Any] | None = None,
        accepted: int = 200,
    ) -> Record:
        """Return the answer; a status of `accepted` is one even if it is no success."""
        answer = self.send(method, path, body=body, query=query, accepted=accepted)
        try:
            return kind.model_validate_json(answer.content)
        except ValidationError as error:
            detail = (
                f"what {answer.url} answers is no {kind.__name__}: is this a Stem Library of this version?"
            )
            raise ApiError(answer.status_code, {"detail": detail}) from error

    def pages(
        self, path: str, kind: type[Record], query: Mapping[str, Any] | None = None, *, method: Method = "GET"
    ) -> Iterator[Record]:
        """Yield the items of all pages of a list, each page read when it is come to."""
        page = self.call(method, path, _Page, query=query)
        yield from map(kind.model_validate, page.value)
        while page.next_link:
            page = self.call(method, page.next_link, _Page)
            yield from map(kind.model_validate, page.value)

    @contextmanager
    def download(self, path: str, query: Mapping[str, Any] | None = None) -> Iterator[Download]:
        """Open the file that a route redirects to."""
        answer = self.send("GET", path, query=query)
        # Without the token, which is none of the storage's business.
        url = urljoin(str(answer.url), answer.headers["Location"])
        with httpx.stream("GET", url, timeout=60.0) as answer:
            if not answer.is_success:
                answer.read()
                raise api_error(answer, "the storage refused the download: ")
            size = answer.headers.get("Content-Length")
            name = file_name_in(answer.headers.get("Content-Disposition", ""))
            yield Download(name, int(size) if size else None, answer.iter_bytes(CHUNK))

    def send(
        self,
        method: Method,
        path: str,
        *,
        body: Model | None = None,
        query: Mapping[str, Any] | None = None,
        accepted: int = 200,
    ) -> httpx.Response:
        """Return the answer of a success, a redirect, or the status `accepted`.

        Raises
        ------
        ApiError
            Of any other status.
        httpx.TransportError
            If the API can't be reached.
        """
        # What was never set is left out, and a NaN is sent, for the API to refuse.
        content = None if body is None else body.model_dump_json(exclude_unset=True)
        kind = {} if content is None else {"Content-Type": "application/json"}

        def once() -> httpx.Response:
            headers = {**self._headers(), **kind}
            answer = self._http.request(
                method, path, content=content, headers=headers, params=_known(query) if query else None
            )
            if answer.is_success or answer.has_redirect_location or answer.status_code == accepted:
                return answer
            raise api_error(answer)

        return self.repeat(once)

    def repeat(self, once: Callable[[], Result]) -> Result:
        """Do something until it succeeds, or fails by no passing fault, or patience ends."""
        retrying = Retrying(
            retry=retry_if_exception(_passes),
            stop=stop_after_delay(self._patience),
            wait=wait_exponential_jitter(multiplier=0.2, max=5.0),
            reraise=True,
        )
        return retrying(once)


def path_of(*parts: str) -> str:
    """Return the path of a route, its parts quoted."""
    return "/".join(["/api", *(quote(part, safe="") for part in parts)])


def file_name_in(disposition: str) -> str | None:
    """Return the file name of a Content-Disposition header; that in the form of RFC 5987 comes first."""
    header = Message()
    header["Content-Disposition"] = disposition
    parameters = header.get_params(header="Content-Disposition") or []
    names = [value for name, value in parameters if name.lower() == "filename"]
    extended = [name for name in names if isinstance(name, tuple)]
    return next((collapse_rfc2231_value(name) for name in (*extended, *names)), None)


class _Page(Model):
    value: list[Json]
    next_link: str | None = None


class _SignIn(httpx.Auth):
    """Sends a bearer token once the API has asked for it (401)."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token
        self._is_asked_for = False

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if not self._is_asked_for:
            answer = yield request
            if answer.status_code != 401:
                return
            self._is_asked_for = True
        request.headers["Authorization"] = f"Bearer {self._token()}"
        yield request


def _known(query: Mapping[str, Any]) -> Json:
    return {name: value for name, value in query.items() if value is not None}


def _passes(error: BaseException) -> bool:
    """Whether the fault may pass by itself: no answer, or one that asks to try later."""
    if isinstance(error, ApiError):
        return error.status in RETRIED_STATUSES
    return isinstance(error, httpx.TransportError)
