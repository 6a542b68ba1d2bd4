"""Searches, lists and statistics over a library of 100,000 stems, beside one of 1,000.

Both are asked by turns: by the app's own services with azure-cosmos over a socket, and over HTTP through the
whole laptop cloud.
"""

import asyncio
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.generated_library import Song, songs, write_library
from benchmarks.rows import Row, row
from shared.keys import MusicalKey
from shared.library_statistics import LibraryStatistics
from shared.models import AnalysisStatus, StemAnalysisStatus, StemType
from shared.queries import AudioQuery, BpmQuery, KeyQuery, Page, Sort, StemQuery
from shared.search import Search
from shared.storage.cosmos import CosmosDatabase
from shared.storage.library import LibraryContainer
from shared.storage.library_counters import LibraryCounters
from shared.storage.search_index import SearchIndexContainer
from tests.conftest import Cloud, start_cloud

SIZES = {"small": 250, "large": 25_000}
"""Songs, of four stems each."""
ROUNDS = 100
LIMIT = 10
"""Items a page: what even the small library has in a key."""
DEEP = 100
DEEP_LIMIT = 5
"""So that 1,000 stems have a hundredth page that is not the last."""
AT_MOST = 1.5
NOTE = f"of {ROUNDS}, by turns; 100,000 stems, baseline 1,000"
KEYS = ("C major", "D major", "G major")
UNBOUNDED = "failed stems of a tempo (none)"
UNINDEXED = "no bar: Azure looks a filter up in its index, the stand-in at each stem of the tempo"

Task = Callable[[], Awaitable[Any]]
Times = dict[str, dict[str, list[float]]]
"""Milliseconds by measure and library."""


class Library:
    """A library of one size in a laptop cloud, and the ways to ask it."""

    def __init__(self, cloud: Cloud, known: list[Song]) -> None:
        self._database = CosmosDatabase(cloud.cosmos_endpoint, cloud.cosmos_key)
        self._http = httpx.AsyncClient(base_url=cloud.api)
        self._store = LibraryContainer(self._database)
        self._index = SearchIndexContainer(self._database)
        self._search = Search(self._index)
        self._statistics = LibraryStatistics(LibraryCounters(self._database))
        self._known = known
        self._tokens: dict[Sort, str | None] = {}

    async def find_deep_pages(self) -> None:
        """Walk to the hundredth page of each order, by following the tokens."""
        for sort in Sort:
            token = None
            for _ in range(DEEP - 1):
                token = (await self._page(sort, token)).next_token
                assert token is not None
            self._tokens[sort] = token

    def tasks(self, chance: random.Random) -> dict[str, Task]:
        """Return what is measured in one round; the same `chance` gives the same questions."""
        name, bpm, kind = chance.choice(KEYS), chance.randint(90, 130), chance.choice(list(StemType))
        song, key = chance.choice(self._known), MusicalKey.parse(name)
        find, tempo = self._search.stems, {"min_bpm": bpm - 2, "max_bpm": bpm + 2}
        in_key: dict[str, Any] = {"key": key, "min_bpm": 90, "max_bpm": 150}
        failed = StemAnalysisStatus.FAILED
        tasks: dict[str, Task] = {
            "by key": partial(find, KeyQuery(limit=LIMIT), key),
            "compatible keys": partial(find, KeyQuery(limit=LIMIT, compatible=True), key),
            "by bpm": partial(find, BpmQuery(limit=LIMIT, **tempo)),
            "by bpm, half and double": partial(find, BpmQuery(limit=LIMIT, half_double=True, **tempo)),
            "key, bpm and type": partial(find, StemQuery(limit=LIMIT, type=kind, **in_key)),
            "compatible keys by bpm": partial(find, BpmQuery(limit=LIMIT, compatible=True, **in_key)),
            UNBOUNDED: partial(find, BpmQuery(limit=LIMIT, status=failed, **tempo)),
            "audio files, newest first": partial(self._search.songs, AudioQuery(limit=LIMIT)),
            "completed audio files": partial(
                self._search.songs, AudioQuery(limit=LIMIT, status=AnalysisStatus.COMPLETED)
            ),
            "statistics": partial(self._statistics.sum_up, datetime.now(UTC).date()),
            "stems of a song": partial(self._store.stems, song.audio.id, 1),
            "a stem's song by its id": partial(self._index.find_stem, song.stems[0].id),
        }
        for sort in Sort:
            tasks[f"first page by {sort}"] = partial(self._page, sort, None)
            tasks[f"page {DEEP} by {sort}"] = partial(self._page, sort, self._tokens[sort])
        paths = {
            "key": f"stems/key/{name}?limit={LIMIT}",
            "bpm": f"stems/bpm?minBpm={bpm - 2}&maxBpm={bpm + 2}&limit={LIMIT}",
            "key, bpm and type": f"stems?key={name}&minBpm=90&maxBpm=150&type={kind}&limit={LIMIT}",
            "statistics": "stems/stats",
            "stems of a song": f"audio/{song.audio.id}/stems",
            "first page": f"stems?limit={DEEP_LIMIT}&sort=bpm",
            f"page {DEEP}": f"stems?limit={DEEP_LIMIT}&sort=bpm&pageToken={self._tokens[Sort.BPM]}",
        }
        return tasks | {f"HTTP: {what}": partial(self._get, f"/api/{path}") for what, path in paths.items()}

    async def close(self) -> None:
        await self._http.aclose()
        await self._database.close()

    async def _page(self, sort: Sort, token: str | None) -> Page[Any]:
        page = await self._search.stems(StemQuery(limit=DEEP_LIMIT, sort=sort, page_token=token))
        assert len(page.value) == DEEP_LIMIT
        return page

    async def _get(self, path: str) -> None:
        (await self._http.get(path)).raise_for_status()


def run() -> list[Row]:
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as scratch:
        folders = {name: Path(scratch) / name for name in SIZES}
        began = time.monotonic()
        for name, number in SIZES.items():
            write_library(folders[name] / "cosmos", number, now)
        loading = time.monotonic() - began
        clouds: dict[str, Cloud] = {}
        try:
            for name, folder in folders.items():
                clouds[name] = start_cloud(folder, "--no-worker")
            times = asyncio.run(_measure(clouds, now))
        finally:
            for cloud in clouds.values():
                cloud.program.stop(grace=30)
    rows = [row("writing both libraries, s", loading, None, note="775,000 documents")]
    for measure, of_sizes in times.items():
        for name, take in (("p50", statistics.median), ("p95", _p95)):
            large, small = take(of_sizes["large"]), take(of_sizes["small"])
            bar, note = (None, UNINDEXED) if measure == UNBOUNDED else (AT_MOST, NOTE)
            rows.append(row(f"{measure}, {name} ms", large, small, at_most=bar, bar_on="ratio", note=note))
    return rows


async def _measure(clouds: dict[str, Cloud], now: datetime) -> Times:
    libraries = {
        name: Library(cloud, list(itertools.islice(songs(SIZES[name], now), ROUNDS)))
        for name, cloud in clouds.items()
    }
    for library in libraries.values():
        await library.find_deep_pages()
    times: Times = {}
    for number in range(-1, ROUNDS):
        tasks = {name: library.tasks(random.Random(number)) for name, library in libraries.items()}
        for measure in tasks["small"]:
            of_sizes = times.setdefault(measure, {name: [] for name in SIZES})
            for name in sorted(SIZES, reverse=number % 2 == 0):
                began = time.perf_counter()
                await tasks[name][measure]()
                if number >= 0:  # the first round makes the stand-in's indexes
                    of_sizes[name].append(1000 * (time.perf_counter() - began))
    for library in libraries.values():
        await library.close()
    return times


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]
