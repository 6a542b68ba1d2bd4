"""The API document, and the page that shows it."""

import hashlib
import json
from functools import cache

from functions.answers import Answer, File
from functions.http import Api
from functions.pages import VIEWER_FILES, web_file
from functions.requests import JSON_MEDIA_TYPE
from functions.services import Services

VIEWER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The viewer writes style attributes, and draws its icons from data URLs."""


def add_routes(api: Api, services: Services) -> None:
    """Add the routes that document the others."""

    @cache
    def document() -> File:
        from functions.document import describe  # at first request: a cold start has no use for it

        content = json.dumps(describe(api.routes), ensure_ascii=False).encode()
        return File(content, JSON_MEDIA_TYPE, f'"{hashlib.sha256(content).hexdigest()[:32]}"')

    @api.get("api/openapi.json", role=None, media_type=JSON_MEDIA_TYPE)
    async def get_api_document() -> File:
        """Read this document (OpenAPI 3.1)."""
        return document()

    @api.get("api/docs", role=None)
    async def get_api_page() -> Answer[File]:
        """Show this document as a page."""
        for name in VIEWER_FILES:
            web_file(name)
        return Answer(web_file("docs.html"), headers={"Content-Security-Policy": VIEWER_POLICY})
