"""The client's way of asking, over a socket to an API that misbehaves as it is told."""

import math
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from local.process import free_port
from stem_library_client import ApiError, NotFoundError, StemLibraryClient
from stem_library_client.models import Heartbeat, StemType, StemWrite

HEALTH = b'{"status": "healthy", "dependencies": {}}'
PROBLEM = "application/problem+json"


class Server(ThreadingHTTPServer):
    """Gives its answers in order, the last for ever, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, str | None, bytes]] = []

    def will_answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.answers.append((status, headers, content))


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.path, self.headers["Authorization"], body))
        answers = self.server.answers
        status, headers, content = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    do_GET = do_POST = do_PUT = answer  # noqa: N815

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    """An API and a storage."""
    pair = Server(), Server()
    for server in pair:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield pair
    for server in pair:
        server.shutdown()
        server.server_close()


@pytest.fixture
def api(servers: tuple[Server, Server]) -> Server:
    return servers[0]


@pytest.fixture
def client(api: Server) -> Iterator[StemLibraryClient]:
    with StemLibraryClient(api.url, token=lambda: "secret", patience=60) as opened:
        yield opened


def test_a_token_is_sent_once_it_is_asked_for(api: Server, client: StemLibraryClient):
    api.will_answer(200, HEALTH)
    api.will_answer(401)
    api.will_answer(200, HEALTH)
    for _ in range(3):
        client.get_health()
    assert [token for _path, token, _body in api.asked] == [None, None, "Bearer secret", "Bearer secret"]


def test_a_refused_token_is_an_error(api: Server, client: StemLibraryClient):
    api.will_answer(401, b'{"title": "Unauthorised", "detail": "Who?"}', Content_Type=PROBLEM)
    with pytest.raises(ApiError, match="401: Who"):
        client.get_health()
    assert len(api.asked) == 2


def test_the_storage_never_sees_the_token(servers: tuple[Server, Server], client: StemLibraryClient):
    api, storage = servers
    storage.will_answer(200, b"sound", Content_Disposition="attachment; filename*=UTF-8''%E2%99%AF.wav")
    api.will_answer(401)
    api.will_answer(302, Location=f"{storage.url}/blob?sig=1")
    with client.download_stem("an id") as download:
        assert (download.file_name, download.size, b"".join(download.chunks)) == ("♯.wav", 5, b"sound")
    assert [(path, token) for path, token, _body in storage.asked] == [("/blob?sig=1", None)]
    assert api.asked[-1][:2] == ("/api/stems/an%20id/download", "Bearer secret")


def test_an_upload_goes_without_the_token_and_is_repeated(
    servers: tuple[Server, Server], client: StemLibraryClient, tmp_path: Path
):
    api, storage = servers
    song = tmp_path / "Größe ♯.wav"
    song.write_bytes(b"sound")
    ticket = f'{{"audioFileId": "a", "uploadUrl": "{storage.url}/put", "expiresAt": "2026-01-01T00:00:00Z"}}'
    api.will_answer(401)
    api.will_answer(201, ticket.encode())
    storage.will_answer(503)
    storage.will_answer(201)
    sent: list[int] = []
    assert client.upload(song, sent.append) == "a"
    assert api.asked[-1][2] == '{"fileName":"Größe ♯.wav","sizeBytes":5}'.encode()
    assert storage.asked == [("/put", None, b"sound")] * 2
    assert sent == [5, 5]


def test_passing_faults_are_sat_out(api: Server, client: StemLibraryClient):
    for status in (429, 502, 503, 504):
        api.will_answer(status, b"busy")
    api.will_answer(200, b'{"purged": 2}')
    assert client.clean_up_jobs(days_old=3).purged == 2
    assert [path for path, _token, _body in api.asked] == ["/api/jobs/cleanup?daysOld=3"] * 5


@pytest.mark.parametrize("status", [400, 403, 409, 500])
def test_other_faults_are_raised_at_once(api: Server, client: StemLibraryClient, status: int):
    api.will_answer(status, b'{"detail": "No.", "outcome": "x"}', Content_Type=PROBLEM)
    with pytest.raises(ApiError, match=f"{status}: No") as refused:
        client.get_job("1")
    assert (refused.value.status, refused.value.problem["outcome"]) == (status, "x")
    assert not isinstance(refused.value, NotFoundError)
    assert len(api.asked) == 1


def test_patience_ends():
    with StemLibraryClient(f"http://127.0.0.1:{free_port()}", patience=0.5) as client:
        begun = time.monotonic()
        with pytest.raises(httpx.TransportError):
            client.get_health()
        assert time.monotonic() - begun < 20, "the client's own is a minute"


def test_bad_health_is_an_answer(api: Server, client: StemLibraryClient):
    api.will_answer(503, b'{"status": "unhealthy", "dependencies": {"cosmos": "unhealthy: X"}}')
    assert client.get_health().dependencies["cosmos"] == "unhealthy: X"


@pytest.mark.parametrize("content", [b"<html>A web page</html>", b"[]", b"", b'{"status": "so so"}'])
def test_what_is_no_stem_library_is_told_apart(api: Server, client: StemLibraryClient, content: bytes):
    api.will_answer(200, content)
    with pytest.raises(ApiError, match="is this a Stem Library"):
        client.get_health()


@pytest.mark.parametrize("address", ["localhost:7071", "ftp://x", ""])
def test_an_address_needs_its_scheme(address: str):
    with pytest.raises(ValueError, match="must begin with http"):
        StemLibraryClient(address)


def test_pages_are_read_as_they_are_come_to(api: Server, client: StemLibraryClient):
    api.will_answer(
        200, b'{"value": [{"checked": 1}], "nextLink": "/api/stems/stats/repair?pageToken=a%2Bb"}'
    )
    api.will_answer(200, b'{"value": [{"checked": 2, "new": 5}]}')
    reports = client.repair_library()
    assert next(reports).checked == 1
    assert len(api.asked) == 1
    (last,) = reports
    assert [path for path, _token, _body in api.asked][1] == "/api/stems/stats/repair?pageToken=a%2Bb"
    assert last.model_dump()["new"] == 5, "what a newer API says is kept"


def test_only_what_was_set_is_sent_and_a_nan_is_not_hidden(api: Server, client: StemLibraryClient):
    api.will_answer(200, b'{"status": "Running", "attempt": 1, "progress": 0}')
    client.beat_job("j", Heartbeat(attempt=1, worker_id="w"))
    api.will_answer(400, b'{"detail": "No."}', Content_Type=PROBLEM)
    api.answers.pop(0)
    with pytest.raises(ApiError):
        client.save_stem(StemWrite(audio_file_id="a", type=StemType.BASS, blob_uri="b", bpm=math.nan))
    assert [body for _path, _token, body in api.asked] == [
        b'{"attempt":1,"workerId":"w"}',
        b'{"bpm":NaN,"audioFileId":"a","type":"Bass","blobUri":"b"}',
    ]
