"""Engines that share a device: whose turn it is, and that it ends however the song does."""

import dataclasses
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpu_worker.channel import (
    Analysed,
    Answer,
    Broken,
    Decoded,
    DeviceFree,
    ModelNames,
    Progress,
    Ready,
    Rejected,
    Separated,
    SongTask,
)
from gpu_worker.decoding import SourceFormat
from gpu_worker.device import Device
from gpu_worker.engine import WAITING, CancelledError, Engine
from gpu_worker.errors import EngineError, UnsuitableAudioError

READY = Ready("model", None, "pulse readings", "cuda")
SEPARATED = Separated(SourceFormat(duration_seconds=60, sample_rate=44_100, channels=2), {})
ANALYSED = Analysed(**{field.name: {} for field in dataclasses.fields(Analysed)})
SONG = SongTask(Path("song"), Path(), 60)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Told:
    """An engine whose model process, of which this has the other end, has said all this already."""

    def __init__(self, answers: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.device = Device(self.clock)
        self.heard: list[Answer] = []
        self.engine = Engine(
            models=ModelNames("", None, "", None, "cuda"), device=self.device, recycle_after=9
        )
        ours, self.theirs = Pipe()
        for answer in answers:
            self.theirs.send(answer)
        monkeypatch.setattr(self.engine, "start", lambda: None)
        monkeypatch.setattr(self.engine, "_connection", ours)
        monkeypatch.setattr(self.engine, "_process", SimpleNamespace(join=bool, exitcode=-9))
        monkeypatch.setattr(self.engine, "stop", ours.close)

    @property
    def is_waiting(self) -> bool:
        return Progress(WAITING, 0) in self.heard

    def process(self, should_stop: Callable[[], bool] = lambda: False) -> Analysed:
        """Ten seconds pass at each answer."""

        def on_answer(answer: Answer) -> None:
            self.heard.append(answer)
            self.clock.now += 10

        return self.engine.process(SONG, on_answer=on_answer, should_stop=should_stop)


def everything_in(connection: Connection) -> list[Any]:
    found = []
    while connection.poll():
        found.append(connection.recv())
    return found


WHOLE = [
    READY,
    Progress("Decoding", 0),
    Decoded(),
    Progress("Separating", 0),
    Progress("Separating", 0.5),
    SEPARATED,
    Progress("Analysing", 0),
    ANALYSED,
]


def test_the_device_is_busy_from_the_turn_to_the_stems(monkeypatch: pytest.MonkeyPatch):
    told = Told(WHOLE, monkeypatch)
    assert told.process() == ANALYSED
    assert not told.is_waiting
    assert everything_in(told.theirs) == [SONG, DeviceFree(has_waited=False)]
    assert told.device.separating.read() == pytest.approx(30 / 70)
    assert told.device.take(0)


def test_a_song_waits_while_another_has_the_device_and_says_so(monkeypatch: pytest.MonkeyPatch):
    told = Told(WHOLE, monkeypatch)
    assert told.device.take(0)
    before: list[Any] = []

    def other_is_separated() -> bool:
        if told.is_waiting and not before:
            before.extend(everything_in(told.theirs))
            told.device.give_back()
        return False

    assert told.process(other_is_separated) == ANALYSED
    assert before == [SONG]
    assert everything_in(told.theirs) == [DeviceFree(has_waited=True)]


def test_a_song_that_is_cancelled_while_it_waits_leaves_the_device_to_the_other(
    monkeypatch: pytest.MonkeyPatch,
):
    told = Told(WHOLE, monkeypatch)
    assert told.device.take(0)
    with pytest.raises(CancelledError):
        told.process(lambda: told.is_waiting)
    assert not told.device.take(0)


def test_a_model_process_that_dies_while_it_waits_is_noticed(monkeypatch: pytest.MonkeyPatch):
    told = Told(WHOLE[:3], monkeypatch)
    assert told.device.take(0)

    def its_process_dies() -> bool:
        if told.is_waiting:
            told.theirs.close()
        return False

    with pytest.raises(EngineError, match=r"died \(exit code -9\)"):
        told.process(its_process_dies)
    assert not told.device.take(0)


@pytest.mark.parametrize(
    ("end", "error"), [(Broken("no memory"), EngineError), (Rejected("no"), UnsuitableAudioError)]
)
def test_a_song_that_ends_early_gives_the_device_back(
    monkeypatch: pytest.MonkeyPatch, end: Answer, error: type[Exception]
):
    told = Told([*WHOLE[:4], end], monkeypatch)
    with pytest.raises(error):
        told.process()
    assert told.device.take(0)


def test_a_process_that_dies_in_the_middle_has_the_device_no_more(monkeypatch: pytest.MonkeyPatch):
    told = Told(WHOLE[:4], monkeypatch)

    def its_process_dies() -> bool:
        if Progress("Separating", 0) in told.heard:
            told.theirs.close()
        return False

    with pytest.raises(EngineError, match=r"died \(exit code -9\)"):
        told.process(its_process_dies)
    assert told.device.take(0)


def test_a_cancel_stops_the_process_before_another_may_have_the_device(monkeypatch: pytest.MonkeyPatch):
    told = Told(WHOLE[:4], monkeypatch)
    was_free: list[bool] = []
    monkeypatch.setattr(told.engine, "stop", lambda: was_free.append(told.device.take(0)))
    with pytest.raises(CancelledError):
        told.process(lambda: Progress("Separating", 0) in told.heard)
    assert True not in was_free
    told.clock.now += 20
    assert told.device.separating.read() == pytest.approx(20 / 50)
    assert told.device.take(0)


def test_a_model_that_speaks_without_a_pause_is_stopped_all_the_same(monkeypatch: pytest.MonkeyPatch):
    told = Told(WHOLE, monkeypatch)
    with pytest.raises(CancelledError):
        told.process(lambda: Progress("Separating", 0) in told.heard)
    assert SEPARATED not in told.heard
