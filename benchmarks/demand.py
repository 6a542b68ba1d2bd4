"""What a song, a search and a sweep ask of each service, counted at its socket, for docs/scaling.md.

Recorders stand before the Cosmos stand-in and Azurite; the Function app and the worker are the product's own.
Request units are computed (benchmarks/request_units.py). The library holds 250 generated songs besides.
"""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile as sf
from azure.cosmos import CosmosClient
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from benchmarks.generated_library import write_library
from benchmarks.recorder import Exchange, Recorder
from benchmarks.request_units import Meter, write_charge
from benchmarks.rows import Row, row
from local import azurite
from local.cosmos.auth import EMULATOR_KEY
from local.process import Program, free_port
from local.resources import SERVICE_BUS_FILE, create_blob_container
from stem_library_client import StemLibraryClient
from tests.conftest import DEMO_TRUTH, ROOT, wait_for

SONG_SECONDS = 60
KNOWN_SONGS = 250
PATIENCE = 1200.0
NEVER = "0 0 0 1 1 *"
SEARCHES = {
    "a search by key, 50 stems": "stems/key/G major?limit=50",
    "a search of compatible keys, 50 stems": "stems/key/G major?compatible=true&limit=50",
    "a search by tempo, 50 stems": "stems/bpm?minBpm=118&maxBpm=124&limit=50",
    "a search by key, tempo and type, 20 stems": "stems?key=G major&minBpm=90&maxBpm=150&type=Bass&limit=20",
    "the 50 newest stems": "stems?limit=50",
    "the 50 newest songs": "audio?limit=50",
    "the statistics": "stems/stats",
}


@dataclass
class Demand:
    """What was asked of the services during something."""

    cosmos: Meter
    requests: int
    blobs: list[Exchange]
    functions: Counter[str]


@dataclass
class Product:
    """The product between recorders."""

    api: str
    cosmos: Recorder
    blobs: Recorder
    database: Any
    meter: Meter = field(default_factory=Meter)
    executed: Counter[str] = field(default_factory=Counter)

    def note(self, name: str, line: str) -> None:
        """Take a line of the host's log."""
        if name == "functions" and "Executed " in line:
            self.executed[line.partition("Executed ")[2].partition(" ")[0]] += 1

    def during(self, act: Callable[[], object]) -> Demand:
        """Do something, and return what it asked."""
        self._take()
        act()
        return self._take()

    def _take(self) -> Demand:
        exchanges = self.cosmos.take()
        meter = Meter(documents=self.meter.documents).add(exchanges)
        executed, self.executed = self.executed, Counter()
        asked = [one for one in exchanges if "/docs" in one.path]
        return Demand(meter, len(asked), [one for one in self.blobs.take() if _is_ours(one)], executed)


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch, _product(Path(scratch)) as product:
        song = Path(scratch) / "song.flac"
        write_song(song)
        with StemLibraryClient(product.api) as client:
            product.during(lambda: _analyse(product, client, song))  # the first one makes the counters
            ids: list[str] = []
            demand = product.during(lambda: ids.append(_analyse(product, client, song)))
            rows = _of_song(demand, song.stat().st_size)
            rows += _of_documents(product, ids[0])
            for what, path in SEARCHES.items():
                rows.append(_of_search(what, product.during(lambda path=path: _get(product, path))))  # type: ignore[misc]
            stem = client.get_stems_of_audio(ids[0])[0].id
            rows.append(_of_search("one stem by its id", product.during(lambda: client.get_stem(stem))))
            rows.append(_of_search("a sweep that finds nothing", product.during(client.sweep_jobs_now)))
            rows.append(_of_search("deleting a song", product.during(lambda: client.delete_audio(ids[0]))))
    return rows


def _of_song(demand: Demand, file_size: int) -> list[Row]:
    operations = demand.cosmos.operations
    writes = sum(count for kind, count in operations.items() if not kind.startswith(("query", "point")))
    kinds = ", ".join(f"{count} {kind}" for kind, count in operations.most_common())
    charges = ", ".join(f"{name} {charge:.0f}" for name, charge in demand.cosmos.charges.items())
    functions = ", ".join(f"{count} {name}" for name, count in demand.functions.most_common())
    sent = sum(one.sent_bytes for one in demand.blobs)
    received = sum(one.received_bytes for one in demand.blobs if one.method == "GET")
    stems = sum(one.sent_bytes for one in demand.blobs if ".wav" in one.path)
    kept = 4 * SONG_SECONDS * 44_100 * 4
    methods = Counter(one.method for one in demand.blobs)
    note = f"of {SONG_SECONDS} s; "
    return [
        row("a song: requests to Cosmos", demand.requests, writes, note=f"{note}baseline: writes; {kinds}"),
        row(
            "a song: RU, computed",
            demand.cosmos.total,
            5 * write_charge(1024),
            at_most=2500,
            note=f"{note}{charges}; baseline: five documents written once",
        ),
        row(
            "a song: function executions",
            sum(demand.functions.values()),
            1,
            at_most=150,
            note=f"{note}{functions}",
        ),
        row(
            "a song: blob requests",
            len(demand.blobs),
            5,
            note=f"{note}{dict(methods)}; baseline: the song and four stems",
        ),
        row(
            "a song: bytes to blobs", sent, file_size, note=f"{note}stems {stems}; baseline: the song's file"
        ),
        row("a song: bytes of stems", stems, kept, note=f"{note}baseline: 16 bit stereo at 44.1 kHz"),
        row("a song: bytes from blobs", received, file_size, note=f"{note}baseline: the song's file"),
    ]


def _of_documents(product: Product, audio_file_id: str) -> list[Row]:
    """Return how large the documents are that stay of a song."""
    sizes: dict[str, list[int]] = {}
    for (container, partition, _), body in product.meter.documents.items():
        if container == "library" and audio_file_id in partition:
            name = f"library: {body['kind']}"
        elif container == "search-index" and body.get("audioFileId", body.get("id")) == audio_file_id:
            name = f"search-index: {json.loads(partition)[0].partition(':')[0]}:"
        elif container == "stats" and body.get("audioFileId") == audio_file_id:
            name = "stats: note"
        else:
            continue
        sizes.setdefault(name, []).append(len(json.dumps(body, separators=(",", ":")).encode()))
    return [
        row(f"document of {name}, bytes", float(np.mean(each)), 1024, note=f"mean of {len(each)} a song")
        for name, each in sorted(sizes.items())
    ]


def _of_search(what: str, demand: Demand) -> Row:
    kinds = ", ".join(f"{count} {kind}" for kind, count in demand.cosmos.operations.most_common())
    note = f"baseline: requests; {kinds}"
    return row(f"{what}: RU, computed", demand.cosmos.total, demand.requests or None, note=note)


def _analyse(product: Product, client: StemLibraryClient, song: Path) -> str:
    """Upload a song and wait until its job is deleted; the database itself is asked, past the recorder."""
    audio_file_id = client.upload(song)
    library = product.database.get_container_client("library")
    jobs = product.database.get_container_client("jobs")

    def is_over() -> bool:
        time.sleep(0.5)
        try:
            audio = library.read_item(audio_file_id, partition_key=audio_file_id)
        except CosmosResourceNotFoundError:
            return False
        assert audio["analysisStatus"] not in ("Failed", "Rejected"), audio["error"]
        return audio["analysisStatus"] == "Completed" and not list(
            jobs.query_items("SELECT c.id FROM c", enable_cross_partition_query=True)
        )

    wait_for(is_over, "the analysis", PATIENCE)
    return audio_file_id


def _get(product: Product, path: str) -> None:
    httpx.get(f"{product.api}/api/{path}", timeout=60).raise_for_status()


def _is_ours(exchange: Exchange) -> bool:
    """Whether a request would be made in Azure too: there no host scans, or looks at what it found."""
    scans = exchange.query.get("comp") == "list" and not exchange.query.get("prefix")
    looks = exchange.method == "HEAD" and "If-Match" in exchange.headers
    return "/audio-files" in exchange.path and not scans and not looks


def write_song(path: Path) -> None:
    """Write the demo song, several times over."""
    sound, rate = sf.read(DEMO_TRUTH.with_suffix(".ogg"), dtype="float32")
    sf.write(path, np.tile(sound, (SONG_SECONDS * rate // len(sound) + 1, 1))[: SONG_SECONDS * rate], rate)


@contextmanager
def _product(folder: Path) -> Iterator[Product]:
    blob, queues, tables, bus, cosmos, api, before_blob, before_cosmos = (free_port() for _ in range(8))
    for name in ("azurite", "bus", "cosmos", "functions"):
        (folder / name).mkdir()
    write_library(folder / "cosmos", KNOWN_SONGS, datetime.now(UTC))
    storage = azurite.connection_string(blob, queues, tables)
    settings = {
        "AUTH_MODE": "off",
        "AzureWebJobsStorage": storage,
        "AUDIO_STORAGE": azurite.connection_string(before_blob, queues, tables),
        "SERVICEBUS": f"Endpoint=sb://127.0.0.1:{bus};SharedAccessKeyName=local;SharedAccessKey=bG9jYWw=;"
        "UseDevelopmentEmulator=true;",
        "COSMOS_ENDPOINT": f"http://127.0.0.1:{before_cosmos}/",
        "COSMOS_KEY": EMULATOR_KEY,
        "API_BASE_URL": f"http://127.0.0.1:{api}",
        "COMPLETED_JOB_TTL_SECONDS": "5",
        "STALE_SWEEP_SCHEDULE": NEVER,
        "PURGE_SCHEDULE": NEVER,
        "STEM_MODEL": "preview",
        "TELEMETRY_CONSOLE": "true",  # as in Azure, somebody is told what a sweep measures
        "WORKER_MODE": "serve",
    }
    files = azurite.command(folder / "azurite", blob, queues, tables)
    bus_arguments = ("--port", str(bus), "--config", str(SERVICE_BUS_FILE), "--data", str(folder / "bus"))
    host_arguments = ("--app", str(ROOT), "--port", str(api), "--data", str(folder / "functions"))
    with ExitStack() as running:
        recorders = [
            running.enter_context(Recorder(port, target))
            for port, target in ((before_cosmos, cosmos), (before_blob, blob))
        ]

        def start(program: Program) -> None:
            running.callback(program.kill)
            program.wait_ready(120)

        start(Program("azurite", files, ready=azurite.READY, closed=azurite.CLOSED))
        start(Program.module("bus", "local.service_bus", *bus_arguments))
        start(
            Program.module("cosmos", "local.cosmos", "--port", str(cosmos), "--data", str(folder / "cosmos"))
        )
        create_blob_container(storage, "audio-files")
        direct = running.enter_context(CosmosClient(f"http://127.0.0.1:{cosmos}/", EMULATOR_KEY))
        product = Product(f"http://127.0.0.1:{api}", *recorders, database=direct.get_database_client("music"))
        host = ("functions", "local.functions", *host_arguments)
        start(Program.module(*host, env=settings, on_line=product.note))
        start(Program.module("worker", "gpu_worker", env=settings))
        yield product
