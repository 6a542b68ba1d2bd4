"""The worker as a process: what becomes of its message when it is stopped, and of messages that are none."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from local.process import Program, free_port
from stem_library_client import StemLibraryClient
from tests.conftest import PATIENCE, Cloud, start_cloud, stems_of, wait_for, wire
from tests.faults.workers import model_processes

NO_COLLECTOR = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
}
"""Telemetry that nobody takes, which must stop nothing."""


@pytest.fixture(scope="module")
def lonely_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud without a worker of its own."""
    running = start_cloud(tmp_path_factory.mktemp("lonely"), "--no-worker", env=NO_COLLECTOR)
    yield running
    running.program.stop(grace=30)


@pytest.fixture
def api(lonely_cloud: Cloud) -> Iterator[StemLibraryClient]:
    with StemLibraryClient(lonely_cloud.api) as opened:
        yield opened


def start_worker(cloud: Cloud, module: str = "gpu_worker", **settings: str) -> Program:
    env = {
        "API_BASE_URL": cloud.api,
        "AUDIO_STORAGE": cloud.storage,
        "SERVICEBUS": cloud.service_bus,
        "STEM_MODEL": "preview",
        "WORKER_MODE": "serve",
        **NO_COLLECTOR,
        **settings,
    }
    return Program.module("worker", module, env=env)


def noise(folder: Path, seconds: int) -> Path:
    song = folder / "noise.flac"
    sf.write(song, 0.1 * np.random.default_rng(1).standard_normal((seconds * 22_050, 1)), 22_050)
    return song


def job_in(api: StemLibraryClient, audio_file_id: str, **state: Any) -> Callable[[], dict[str, Any] | None]:
    def look() -> dict[str, Any] | None:
        audio = wire(api.get_audio, audio_file_id)
        job = wire(api.get_job, audio["jobId"]) if audio and audio["jobId"] else None
        return job if job and all(job[name] == value for name, value in state.items()) else None

    return look


def test_a_stopped_worker_gives_message_and_attempt_back(
    lonely_cloud: Cloud, api: StemLibraryClient, tmp_path: Path
):
    audio_file_id = api.upload(noise(tmp_path, 10))
    held = {"HELD_AT": "Separating", "HELD": str(tmp_path / "held")}
    first = start_worker(lonely_cloud, "tests.faults.held_worker", **held)
    wait_for(job_in(api, audio_file_id, status="Running", currentStep="Separating"), "the separation")
    os.kill(first.pid, signal.SIGTERM)
    wait_for(lambda: first.return_code is not None, "the end of the worker")
    assert first.return_code == 0
    job = wire(api.get_job, wire(api.get_audio, audio_file_id)["jobId"])  # type: ignore[index]
    assert job is not None
    assert (job["status"], job["attempt"], job["retries"]) == ("Retrying", 1, 0)

    second = start_worker(lonely_cloud)
    try:
        job = wait_for(job_in(api, audio_file_id, status="Completed"), "the completion")
        assert (job["attempt"], job["retries"]) == (2, 0)
        assert len(stems_of(api, audio_file_id)) == 4
    finally:
        second.stop()


def test_a_message_that_is_none_is_dead_lettered_and_the_queue_drained(
    lonely_cloud: Cloud, api: StemLibraryClient, tmp_path: Path
):
    with (
        ServiceBusClient.from_connection_string(lonely_cloud.service_bus) as bus,
        bus.get_queue_sender("analysis-jobs") as sender,
    ):
        sender.send_messages(ServiceBusMessage('{"jobId": 1}', message_id="nonsense"))
    audio_file_id = api.upload(noise(tmp_path, 3))
    wait_for(job_in(api, audio_file_id, status="Pending"), "the job")
    worker = start_worker(lonely_cloud, WORKER_MODE="drain")
    wait_for(job_in(api, audio_file_id, status="Completed"), "the completion")
    wait_for(lambda: worker.return_code is not None, "the end of the draining worker")
    assert worker.return_code == 0
    # A trigger drains the dead letters: what is no message of ours stays in the log.
    log = lonely_cloud.data / "laptop-cloud.log"
    wait_for(lambda: "Dead letter nonsense is no analysis message" in log.read_text(), "the dead letter")


def test_missing_settings_are_named_in_one_line():
    worker = Program.module("worker", "gpu_worker", env={"API_BASE_URL": ""})
    wait_for(lambda: worker.return_code is not None, "the end")
    assert worker.return_code == 1
    worker.kill()
    assert len(worker.tail) == 1
    assert "AUDIO_STORAGE" in worker.tail[0]


def test_the_model_process_ends_with_its_killed_worker(lonely_cloud: Cloud):
    worker = start_worker(lonely_cloud)
    worker.wait_ready(PATIENCE)
    models = model_processes(worker)
    assert models
    os.kill(worker.pid, signal.SIGKILL)
    wait_for(lambda: not any(Path(f"/proc/{model}").exists() for model in models), "the model's end")
