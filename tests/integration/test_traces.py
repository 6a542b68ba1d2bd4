"""One upload is one trace, over all processes; and what leaves them holds no secret."""

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile as sf

from stem_library_client import StemLibraryClient
from tests.collector import Collector, Span
from tests.conftest import Cloud, start_cloud, wait_for, wire

API, WORKER = "stem-library-api", "stem-library-worker"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as opened:
        yield opened


@pytest.fixture(scope="module")
def watched(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud that tells the collector, and deletes completed jobs after a second."""
    env = {**collector.settings, "COMPLETED_JOB_TTL_SECONDS": "1", "DEVICE": "cpu"}
    running = start_cloud(tmp_path_factory.mktemp("watched"), env=env)
    yield running
    running.program.stop(grace=30)


@pytest.fixture(scope="module")
def song(watched: Cloud, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An audio file that was analysed, and whose job was deleted."""
    path = tmp_path_factory.mktemp("song") / "noise.flac"
    sf.write(path, 0.1 * np.random.default_rng(1).standard_normal((4 * 44_100, 2)), 44_100)

    def analysed() -> dict[str, Any] | None:
        found = wire(client.get_audio, audio_file_id)
        return found if found and found["analysisStatus"] == "Completed" else None

    with StemLibraryClient(watched.api) as client:
        audio_file_id = client.upload(path)
        audio: dict[str, Any] = wait_for(analysed, "the analysis")
        wait_for(lambda: wire(client.get_job, audio["jobId"]) is None, "the deletion of the job")
    return audio


@pytest.fixture(scope="module")
def trace(collector: Collector, song: dict[str, Any]) -> list[Span]:
    """The spans of the song's trace, in order of their beginnings."""

    def whole() -> list[Span] | None:
        spans = [*collector.spans()]
        roots = (span for span in spans if span.attributes.get("stem_library.job_id") == song["jobId"])
        trace_id = next((span.trace_id for span in roots if span.name == "on_upload"), None)
        found = [span for span in spans if span.trace_id == trace_id]
        is_whole = {"delete_job_if_due", "job"} <= {span.name for span in found}
        return sorted(found, key=lambda span: span.begin) if is_whole else None

    spans: list[Span] = wait_for(whole, "the trace")
    return spans


def test_one_upload_gives_one_connected_trace(collector: Collector, trace: list[Span]):
    by_id = {span.span_id: span for span in trace}
    roots = [span for span in trace if not span.parent_id]
    assert [(root.name, root.service) for root in roots] == [("on_upload", API)]
    assert [span.name for span in trace if span.parent_id and span.parent_id not in by_id] == []
    parents = Counter(
        (by_id[span.parent_id].name, span.service, span.name) for span in trace if span.parent_id
    )
    beat = "POST /api/jobs/{id}/heartbeat"
    assert parents.pop(("job", API, beat)) >= 1  # as many as the song takes time for
    assert {span.trace_id for span in collector.spans() if span.name == beat} == {trace[0].trace_id}
    expected = {
        ("on_upload", WORKER, "job"): 1,
        ("job", WORKER, "claim"): 1,
        ("claim", API, "POST /api/jobs/{id}/claim"): 1,
        ("job", WORKER, "download"): 1,
        ("job", WORKER, "tags"): 1,
        ("tags", API, beat): 1,
        ("job", WORKER, "decode"): 1,
        ("job", WORKER, "separate"): 1,
        ("job", WORKER, "analyse"): 1,
        ("job", WORKER, "upload"): 4,
        ("upload", API, beat): 4,
        ("job", WORKER, "save"): 1,
        ("save", API, "POST /api/stems"): 4,
        ("job", WORKER, "complete"): 1,
        ("complete", API, "POST /api/jobs/{id}/complete"): 1,
        ("on_upload", API, "delete_job_if_due"): 1,
    }
    assert {edge: parents[edge] for edge in expected} == expected
    assert not any(span.is_failed for span in trace)


def test_the_steps_follow_each_other_within_the_job(trace: list[Span]):
    spans = {span.name: span for span in trace}
    steps = [
        spans[name] for name in ("claim", "download", "decode", "separate", "analyse", "save", "complete")
    ]
    for early, late in itertools.pairwise(steps):
        assert early.end <= late.begin + 10**7, "to 10 ms: two processes measure"
    assert all(spans["job"].begin <= step.begin and step.end <= spans["job"].end for step in steps)


def test_the_log_of_the_job_belongs_to_its_trace(
    collector: Collector, song: dict[str, Any], trace: list[Span]
):
    told = {record.text for record in collector.logs() if record.trace_id == trace[0].trace_id}
    for said in (f"Job {song['jobId']} created (attempt 0)", f"Job {song['jobId']} completed with preview@"):
        assert any(text.startswith(said) for text in told), f"{said} is not in {told}"


def test_the_metrics_come_from_both_sides(collector: Collector, watched: Cloud, song: dict[str, Any]):
    assert httpx.post(f"{watched.api}/api/jobs/sweep").status_code == 200
    expected = {
        (API, "jobs.ended"),
        (API, "jobs.deleted"),
        (API, "jobs.completion_time"),
        (API, "jobs"),
        (API, "library.stems"),
        (API, "library.growth"),
        (API, "queue.oldest_message_age"),
        (WORKER, "worker.step_seconds"),
    }

    def came() -> set[tuple[str, str]]:
        return {(service, name.removeprefix("stem_library.")) for service, name in collector.metrics()}

    wait_for(lambda: expected <= came(), "the metrics")
    assert (WORKER, "worker.gpu_busy_share") not in came(), "there is no GPU"


def test_no_secret_leaves(collector: Collector, watched: Cloud, song: dict[str, Any], trace: list[Span]):
    """After signed URLs were made, followed and refused."""
    with httpx.Client(base_url=watched.api, follow_redirects=True) as http:
        stem = http.get(f"/api/audio/{song['id']}/stems").json()["value"][0]
        assert http.get(f"/api/stems/{stem['id']}/download", params={"secret": "hush"}).status_code == 400
        found = http.get(f"/api/stems/{stem['id']}/download", headers={"Authorization": "Bearer hush"})
        assert "sig=" in str(found.url)
    served = "GET /api/stems/{id}/download"
    wait_for(lambda: [span.name for span in collector.spans()].count(served) == 2, "the spans")
    sent = b"".join(body for bodies in collector.bodies.values() for body in [*bodies])
    assert song["jobId"].encode() in sent
    keys = [part.split("=", 1)[1] for part in watched.storage.split(";") if part.startswith("AccountKey=")]
    for secret in ("sig=", "hush", "SharedAccessKey", "AccountKey", *keys, watched.cosmos_key):
        assert secret.encode() not in sent, secret
