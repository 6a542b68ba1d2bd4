"""Health, and the web page."""

import asyncio
import hashlib
from collections.abc import Awaitable
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from azure.storage.blob import BlobServiceClient

from functions.answers import Answer, File
from functions.http import Api
from functions.services import Services
from functions.views import Health
from shared.errors import NotFoundError
from shared.settings import AppSettings

PING_SECONDS = 5.0
WEB = Path(__file__).parent.parent / "web"
VIEWER = WEB / "node_modules" / "swagger-ui-dist"
VIEWER_FILES = ("swagger-ui.css", "swagger-ui-bundle.js")
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@cache
def web_file(name: str) -> File:
    """Return a file of the web page, or of the viewer of the API document: nothing else is ever served.

    Raises
    ------
    NotFoundError
        If it is neither.
    """
    path = VIEWER / name if name in VIEWER_FILES else WEB / name
    if path.suffix not in MEDIA_TYPES or path.name != name or not path.is_file():
        hint = " `make setup` installs it." if name in VIEWER_FILES else ""
        raise NotFoundError(f"The page has no file {name}.{hint}")
    content = path.read_bytes()
    return File(content, MEDIA_TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')


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


async def _state(ping: Awaitable[None]) -> str:
    try:
        await asyncio.wait_for(ping, PING_SECONDS)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with a dependency is the answer here
        return f"unhealthy: {type(error).__name__}"
    return "healthy"


def add_routes(api: Api, services: Services) -> None:
    """Add the routes that anyone may call."""

    @cache
    def policy() -> str:
        return content_security_policy(services.settings)

    @api.get("/", role=None)
    async def page() -> Answer[File]:
        """Serve the web page."""
        return Answer(web_file("index.html"), headers={"Content-Security-Policy": policy()})

    @api.get("web/{file}", role=None)
    async def get_web_file(name: str) -> File:
        """Serve a file of the web page."""
        if name.endswith(".html"):
            raise NotFoundError("Pages have addresses of their own, and a policy.")
        return web_file(name)

    @api.get("api/health", role=None, statuses={200: "All is well", 503: "A dependency fails"})
    async def get_health() -> Answer[Health]:
        """Ask how the app and its dependencies are."""
        states = await asyncio.gather(
            _state(services.blobs.ping()), _state(services.queue.ping()), _state(services.database.ping())
        )
        healthy = all(state == "healthy" for state in states)
        health = Health(
            status="healthy" if healthy else "unhealthy",
            dependencies=dict(zip(("storage", "serviceBus", "cosmos"), states, strict=True)),
        )
        return Answer(health, status=200 if healthy else 503)
