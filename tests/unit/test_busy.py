"""How much of its time the GPU is said to work."""

import dataclasses
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from gpu_worker.busy import BusyShare, send_gpu_share
from gpu_worker.channel import Analysed, Answer, ModelNames, Progress, Ready, Separated, SongTask
from gpu_worker.decoding import SourceFormat
from gpu_worker.engine import CancelledError, Engine

READY = Ready("model", None, "pulse readings", "cuda")
SEPARATED = Separated(SourceFormat(duration_seconds=60, sample_rate=44_100, channels=2), {})
ANALYSED = Analysed(**{field.name: {} for field in dataclasses.fields(Analysed)})
SONG = SongTask(Path("song"), Path(), 60)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_share_is_of_the_time_since_the_last_reading():
    clock = Clock()
    busy = BusyShare(clock)
    clock.now = 105.0
    busy.begin()
    clock.now = 107.0
    busy.begin()  # progress
    clock.now = 110.0
    assert busy.read() == 0.5
    clock.now = 112.0
    busy.end()
    busy.end()
    clock.now = 120.0
    assert busy.read() == 0.2
    assert busy.read() == 0


def engine_that_is_told(answers: list[Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Engine, Clock]:
    """An engine whose model process has said all this already."""
    clock = Clock()
    engine = Engine(models=ModelNames("", None, "", None, "cuda"), recycle_after=9)
    ours, theirs = Pipe()
    for answer in answers:
        theirs.send(answer)
    monkeypatch.setattr(engine, "start", lambda: None)
    monkeypatch.setattr(engine, "_connection", ours)
    monkeypatch.setattr(engine, "_process", theirs)  # stands for it; else the pipe would be closed
    monkeypatch.setattr(engine, "stop", ours.close)
    engine.separating = BusyShare(clock)
    return engine, clock


def test_the_engine_is_busy_from_the_first_word_of_separating_to_the_stems(monkeypatch: pytest.MonkeyPatch):
    steps = [Progress(step, 0) for step in ("Decoding", "Separating", "Separating")]
    answers = [READY, *steps, SEPARATED, Progress("Analysing", 0), ANALYSED]
    engine, clock = engine_that_is_told(answers, monkeypatch)

    def ten_seconds_pass(answer: Answer) -> None:
        clock.now += 10

    engine.process(SONG, on_answer=ten_seconds_pass, should_stop=lambda: False)
    assert engine.separating.read() == pytest.approx(20 / 60)


def test_a_song_that_is_given_up_leaves_no_gpu_busy(monkeypatch: pytest.MonkeyPatch):
    engine, clock = engine_that_is_told([READY, Progress("Separating", 0)], monkeypatch)
    with pytest.raises(CancelledError):
        engine.process(SONG, on_answer=lambda answer: None, should_stop=lambda: True)
    clock.now += 10
    assert engine.separating.read() == 0


@pytest.mark.parametrize(("has_gpu", "sent"), [(True, [0.25]), (False, [])])
def test_without_a_gpu_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, has_gpu: bool, sent: list[float]):
    reader = InMemoryMetricReader()
    monkeypatch.setattr(metrics, "get_meter", MeterProvider([reader], shutdown_on_exit=False).get_meter)
    clock = Clock()
    busy = BusyShare(clock)
    send_gpu_share(busy, lambda: has_gpu)
    busy.begin()
    clock.now += 1
    busy.end()
    clock.now += 3
    data = reader.get_metrics_data()
    points = [
        point.value
        for resource in (data.resource_metrics if data else [])
        for metric in resource.scope_metrics[0].metrics
        for point in metric.data.data_points
    ]
    assert points == sent
