"""A reverse proxy that notes each request: what a service is asked, counted at its socket."""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

KEPT_BYTES = 1_000_000
"""Of bodies; of longer ones the length alone is kept."""
OF_A_HOP = ("Transfer-Encoding", "Connection", "Keep-Alive", "Content-Encoding")


@dataclass(frozen=True)
class Exchange:
    """One request with its answer."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    status: int
    sent: bytes
    sent_bytes: int
    received: bytes
    received_bytes: int


@dataclass
class Recorder:
    """Passes everything on `port` to `target` and notes it, while it is entered."""

    port: int
    target: int
    exchanges: list[Exchange] = field(default_factory=list)

    def __enter__(self) -> "Recorder":
        self._loop = asyncio.new_event_loop()
        listening = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listening,), daemon=True)
        self._thread.start()
        listening.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def take(self) -> list[Exchange]:
        """Return what was noted since the last call."""
        taken, self.exchanges = self.exchanges, []
        return taken

    def _run(self, listening: threading.Event) -> None:
        self._loop.run_until_complete(self._listen())
        listening.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._session.close())

    async def _listen(self) -> None:
        # Bodies are passed on as they are, so that their signatures and lengths stay right.
        self._session = aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=("Accept-Encoding",))
        server = web.Application(client_max_size=2**30)
        server.router.add_route("*", "/{rest:.*}", self._pass)
        runner = web.AppRunner(server, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()

    async def _pass(self, request: web.Request) -> web.Response:
        body = await request.read()
        url = f"http://127.0.0.1:{self.target}{request.raw_path}"
        headers = CIMultiDict(request.headers)
        async with self._session.request(
            request.method, _raw(url), headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            content = await answer.read()
        self.exchanges.append(
            Exchange(
                method=request.method,
                path=request.path,
                query=dict(request.query),
                headers=CIMultiDict(request.headers),
                status=answer.status,
                sent=body if len(body) <= KEPT_BYTES else b"",
                sent_bytes=len(body),
                received=content if len(content) <= KEPT_BYTES else b"",
                received_bytes=len(content),
            )
        )
        kept = CIMultiDict((name, value) for name, value in answer.headers.items() if name not in OF_A_HOP)
        if request.method != "HEAD":
            kept.pop("Content-Length", None)
        return web.Response(status=answer.status, body=content, headers=kept)


def _raw(url: str) -> "aiohttp.client.URL":
    return aiohttp.client.URL(url, encoded=True)
