"""Health, and the web page."""

import asyncio
import hashlib
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import azure.functions as func
from azure.storage.blob import BlobServiceClient

from functions.http import ApiBlueprint, is_known, json_response
from functions.services import Services
from shared.errors import NotFoundError
from shared.settings import AppSettings

PING_SECONDS = 5.0
WEB = Path(__file__).parent.parent / "web"
PAGE = "index.html"
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class WebFile:
    """A file of the web page, as it is served."""

    content: bytes
    media_type: str
    etag: str


def read_web_files(folder: Path = WEB) -> dict[str, WebFile]:
    """Return the folder's files by name: nothing else is ever served."""
    files = {}
    for path in folder.iterdir():
        if path.suffix not in MEDIA_TYPES:
            continue
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        files[path.name] = WebFile(content, MEDIA_TYPES[path.suffix], etag)
    return files


def content_security_policy(settings: AppSettings) -> str:
    """Allow the page its own files, and the storage for what SAS URLs lead to: uploads and stems."""
    address = settings.audio_storage_uri
    if settings.audio_storage:
        with BlobServiceClient.from_connection_string(settings.audio_storage) as storage:
            address = storage.url
    assert address is not None, "the settings hold one of the two"
    url = urlsplit(address)
    origins = f"'self' {url.scheme}://{url.netloc}"
    return (
        f"default-src 'self'; connect-src {origins}; media-src {origins}; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def file_response(
    req: func.HttpRequest, file: WebFile, headers: dict[str, str] | None = None
) -> func.HttpResponse:
    """Return the file, or 304 where the browser has it already; it asks each time (no-cache)."""
    headers = {
        "ETag": file.etag,
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        **(headers or {}),
    }
    if is_known(req, file.etag):
        return func.HttpResponse(status_code=304, headers=headers)
    return func.HttpResponse(file.content, headers=headers, mimetype=file.media_type, charset="utf-8")


async def _state(ping: Awaitable[None]) -> str:
    try:
        await asyncio.wait_for(ping, PING_SECONDS)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with a dependency is the answer here
        return f"unhealthy: {type(error).__name__}"
    return "healthy"


def blueprint(services: Services) -> ApiBlueprint:
    """Return the routes that anyone may call."""
    api = ApiBlueprint(services.settings)
    web_files = read_web_files()
    policy = content_security_policy(services.settings)

    @api.api("GET", "/", role=None)
    async def page(req: func.HttpRequest) -> func.HttpResponse:
        return file_response(req, web_files[PAGE], {"Content-Security-Policy": policy})

    @api.api("GET", "web/{file}", role=None)
    async def web_file(req: func.HttpRequest) -> func.HttpResponse:
        name = req.route_params["file"]
        if name not in web_files:
            raise NotFoundError(f"The page has no file {name}.")
        return file_response(req, web_files[name])

    @api.api("GET", "api/health", role=None)
    async def health(req: func.HttpRequest) -> func.HttpResponse:
        states = await asyncio.gather(
            _state(services.blobs.ping()), _state(services.queue.ping()), _state(services.database.ping())
        )
        dependencies = dict(zip(("storage", "serviceBus", "cosmos"), states, strict=True))
        healthy = all(state == "healthy" for state in states)
        body = {"status": "healthy" if healthy else "unhealthy", "dependencies": dependencies}
        return json_response(body, status=200 if healthy else 503)

    return api
