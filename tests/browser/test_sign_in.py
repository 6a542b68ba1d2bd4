"""Where the API knows nobody, the page has App Service Authentication sign the user in."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import BROWSER, DRIVER, MISSING, chromium

WEB = Path(__file__).parent.parent.parent / "web"


class Unauthenticated(SimpleHTTPRequestHandler):
    """The page's files, and an API that knows nobody."""

    def do_POST(self) -> None:
        self.send_error(401)

    def do_GET(self) -> None:
        if self.path.startswith("/api/"):
            self.send_error(401)
        elif self.path.startswith("/.auth/"):
            self.send_response(204)
            self.end_headers()
            self.server.sign_ins.append(self.path)  # type: ignore[attr-defined]
        else:
            self.path = self.path.removeprefix("/web")
            super().do_GET()

    def log_request(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Unauthenticated, directory=str(WEB))) as serving:
        serving.sign_ins = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()


@pytest.fixture
def browser() -> Iterator[Chrome]:
    assert BROWSER and DRIVER, MISSING
    with chromium() as driver:
        yield driver


def test_who_is_not_signed_in_is_asked_to_and_comes_back(
    server: ThreadingHTTPServer, browser: Chrome, tmp_path: Path
) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(b"RIFF")
    browser.get(f"http://127.0.0.1:{server.server_port}/")
    browser.find_element(By.ID, "file").send_keys(str(song))
    sign_ins: list[str] = server.sign_ins  # type: ignore[attr-defined]
    WebDriverWait(browser, 120).until(lambda _: sign_ins)
    asked = urlsplit(sign_ins[0])
    assert asked.path == "/.auth/login/aad"
    assert parse_qs(asked.query) == {"post_login_redirect_uri": ["/"]}
