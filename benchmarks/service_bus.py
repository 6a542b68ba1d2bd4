"""Messages through the Service Bus stand-in by one azure-servicebus client, and the stand-in's idle CPU.

Beside the rate stands what SQLite alone does with the same rows: insert 100 with one commit, then update 100
with one commit (their locks), then delete each with a commit of its own (their completions).
"""

import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceiver

from benchmarks.rows import Row, row
from local.process import Program, free_port

MESSAGES = 5000
BATCH = 100
THREADS = 4
IDLE_SECONDS = 30.0
BODY = json.dumps({"jobId": "0" * 36, "audioFileId": "0" * 36, "blobName": "song.wav", "attempt": 1})


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch, _stand_in(Path(scratch)) as (program, client):
        _measure(client, threads=1)  # warms up both sides
        alone, client_seconds = _measure(client, threads=1)
        together, _client_seconds = _measure(client, threads=THREADS)
        idle, waiting = _measure_idle(program, client)
        sqlite = _measure_sqlite(Path(scratch) / "bare.db")
    steps = f"messages/s, sent in batches of {BATCH}, received by {BATCH}, each completed"
    note = f"{steps}; the client's own CPU would allow {MESSAGES / client_seconds:.0f}/s"
    return [
        row("Service Bus, one client, one thread", alone, sqlite, note=note),
        row(
            f"Service Bus, one client, {THREADS} threads",
            together,
            sqlite,
            at_least=1000,
            note=f"{steps}, by a receiver a thread; beside it SQLite alone",
        ),
        row(
            "Service Bus idle, % of a core",
            idle,
            waiting,
            at_most=0.5,
            note=f"{IDLE_SECONDS:.0f} s with a receiver that waits, whose own CPU stands beside it",
        ),
    ]


@contextmanager
def _stand_in(folder: Path) -> Iterator[tuple[Program, ServiceBusClient]]:
    config = folder / "queues.json"
    config.write_text(json.dumps({"UserConfig": {"Namespaces": [{"Name": "ns", "Queues": [{"Name": "q"}]}]}}))
    port = free_port()
    arguments = ("--port", str(port), "--config", str(config), "--data", str(folder / "data"))
    program = Program.module("service-bus", "local.service_bus", *arguments).wait_ready()
    keys = "SharedAccessKeyName=any;SharedAccessKey=any="
    connection = f"Endpoint=sb://127.0.0.1:{port};{keys};UseDevelopmentEmulator=true;"
    try:
        with ServiceBusClient.from_connection_string(connection) as client:
            yield program, client
    finally:
        program.stop()


def _measure(client: ServiceBusClient, *, threads: int) -> tuple[float, float]:
    """Return messages a second, and the CPU seconds that the client used."""
    with ExitStack() as opened:
        sender = opened.enter_context(client.get_queue_sender("q"))
        receivers = [opened.enter_context(client.get_queue_receiver("q")) for _ in range(threads)]
        pool = opened.enter_context(ThreadPoolExecutor(threads))
        cpu, started = time.process_time(), time.perf_counter()
        for _ in range(MESSAGES // BATCH):
            sender.send_messages([ServiceBusMessage(BODY) for _ in range(BATCH)])
        list(pool.map(lambda receiver: _take(receiver, MESSAGES // threads), receivers))
        return MESSAGES / (time.perf_counter() - started), time.process_time() - cpu


def _take(receiver: ServiceBusReceiver, count: int) -> None:
    while count:
        messages = receiver.receive_messages(min(BATCH, count), max_wait_time=60)
        for message in messages:
            receiver.complete_message(message)
        count -= len(messages)


def _measure_idle(program: Program, client: ServiceBusClient) -> tuple[float, float]:
    """Return the CPU of the stand-in and of a receiver that waits, in % of a core."""
    with client.get_queue_receiver("q") as receiver:
        receiver.receive_messages(1, max_wait_time=1)
        before, own_before = _cpu_seconds(program.pid), time.process_time()
        assert receiver.receive_messages(1, max_wait_time=IDLE_SECONDS) == []
        used = _cpu_seconds(program.pid) - before, time.process_time() - own_before
    return used[0] / IDLE_SECONDS * 100, used[1] / IDLE_SECONDS * 100


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _measure_sqlite(path: Path) -> float:
    """Return how many messages a second SQLite alone would take through the same commits."""
    database = sqlite3.connect(path)
    database.executescript(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
        "CREATE TABLE messages (number INTEGER PRIMARY KEY, locked INTEGER, content TEXT)"
    )
    started = time.perf_counter()
    for first in range(0, MESSAGES, BATCH):
        numbers = [(number,) for number in range(first, first + BATCH)]
        database.executemany("INSERT INTO messages VALUES (?, 0, ?)", [(*number, BODY) for number in numbers])
        database.commit()
        database.executemany("UPDATE messages SET locked = 1 WHERE number = ?", numbers)
        database.commit()
        for number in numbers:
            database.execute("DELETE FROM messages WHERE number = ?", number)
            database.commit()
    return MESSAGES / (time.perf_counter() - started)
