"""Tempo, beats, bars and swing against synthesised truth."""

import librosa
import numpy as np
import pytest

from gpu_worker.analysis.accents import hear
from gpu_worker.analysis.drums import find_onsets
from gpu_worker.analysis.features import Features
from gpu_worker.analysis.meter import Accents, weigh
from gpu_worker.analysis.rhythm import Rhythm, read, track_rhythm
from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound

SECONDS = 24.0
NOISE = np.random.default_rng(0).standard_normal(ANALYSIS_RATE)


def kick() -> np.ndarray:
    time = np.arange(ANALYSIS_RATE // 4) / ANALYSIS_RATE
    return np.sin(2 * np.pi * (50 * time + 5 * (1 - np.exp(-30 * time)))) * np.exp(-12 * time)


def snare() -> np.ndarray:
    time = np.arange(ANALYSIS_RATE // 4) / ANALYSIS_RATE
    return 0.3 * NOISE[: len(time)] * np.exp(-18 * time) + 0.3 * np.sin(2 * np.pi * 190 * time) * np.exp(
        -25 * time
    )


def hat() -> np.ndarray:
    time = np.arange(ANALYSIS_RATE // 10) / ANALYSIS_RATE
    return 0.15 * np.diff(NOISE[: len(time) + 2], 2) * np.exp(-50 * time)


def tone(pitch: int, seconds: float) -> np.ndarray:
    time = np.arange(int(seconds * ANALYSIS_RATE)) / ANALYSIS_RATE
    return (
        0.3 * np.sin(2 * np.pi * librosa.midi_to_hz(pitch) * time) * np.minimum(1, 100 * time) * np.exp(-time)
    )


def placed(sounds: list[tuple[float, np.ndarray]]) -> Sound:
    audio = np.zeros(int((SECONDS + 0.2) * ANALYSIS_RATE))
    for time, samples in sounds:
        at = round(time * ANALYSIS_RATE)
        heard = audio[at : at + len(samples)]
        heard += samples[: len(heard)]
    return Sound(audio.astype(np.float32))


class Band:
    """Drums, bass and chords over a grid of eighths, whose beats may drift and swing."""

    def __init__(
        self, bpm: float, *, beats: int = 4, eighths: int = 2, swing: float = 1.0, drift: float = 0.0
    ):
        tempi = bpm * (1 + drift * np.arange(1000) / (SECONDS * bpm / 60))
        times = 0.4 + np.concatenate([[0], np.cumsum(60 / tempi)])
        self.beats = times[times < SECONDS]
        self.downbeats = self.beats[::beats]
        self.strokes: list[tuple[float, np.ndarray]] = []
        self.bass_notes: list[tuple[float, np.ndarray]] = []
        self.chord_notes: list[tuple[float, np.ndarray]] = []
        roots = (0, 5, 7, 9)
        for place, (time, following) in enumerate(zip(self.beats, self.beats[1:], strict=False)):
            length = following - time
            in_bar = place % beats
            backbeat = in_bar % 2 == 1 if beats != 3 else in_bar == 2
            self.strokes.append((time, snare() if backbeat else kick() if in_bar != 1 else np.zeros(1)))
            first = swing / (1 + swing)
            for share in (0, first) if eighths == 2 else (0, 1 / 3, 2 / 3):
                self.strokes.append((time + share * length, hat()))
            if in_bar == 0:
                root = roots[place // beats % 4]
                self.bass_notes.append((time, tone(36 + root, length * beats)))
                self.chord_notes += [(time, tone(60 + root + step, length * beats)) for step in (0, 4, 7)]

    def stems(self) -> dict[str, Sound]:
        return {
            "drums": placed(self.strokes),
            "bass": placed(self.bass_notes),
            "other": placed(self.chord_notes),
        }

    def accents(self) -> Accents:
        return heard(**self.stems())

    def track(self) -> Rhythm:
        rhythm = track(**self.stems())
        assert rhythm is not None
        return rhythm


def heard(*, drums: Sound, bass: Sound, other: Sound) -> Accents:
    return hear(drums=find_onsets(drums), bass=Features(bass), other=Features(other))


def track(*, drums: Sound, bass: Sound, other: Sound) -> Rhythm | None:
    return track_rhythm(accents=heard(drums=drums, bass=bass, other=other), song=drums + bass + other)


def share_found(truth: np.ndarray, found: np.ndarray, tolerance: float = 0.07) -> float:
    """F-measure of moments."""
    hits = sum(np.abs(found - time).min(initial=np.inf) < tolerance for time in truth)
    return 2 * hits / (len(truth) + len(found))


@pytest.mark.parametrize("bpm", [76.0, 96.5, 120.0, 151.3])
def test_a_rock_beat(bpm: float):
    band = Band(bpm)
    rhythm = band.track()
    assert rhythm.bpm == pytest.approx(bpm, rel=0.01)
    assert share_found(band.beats, rhythm.beats) > 0.95
    assert rhythm.bars is not None
    assert rhythm.bars.time_signature == "4/4"
    assert share_found(band.downbeats, rhythm.beats[rhythm.bars.positions == 1]) > 0.9
    assert rhythm.tempo_curve is None
    assert rhythm.swing == pytest.approx(1, abs=0.15)
    assert 0 < rhythm.confidence <= 1


def test_a_waltz():
    band = Band(132, beats=3)
    rhythm = band.track()
    assert rhythm.bpm == pytest.approx(132, rel=0.01)
    assert rhythm.bars is not None
    assert rhythm.bars.time_signature == "3/4"
    assert share_found(band.downbeats, rhythm.beats[rhythm.bars.positions == 1]) > 0.9


def test_six_eighths_are_two_beats_of_three():
    band = Band(72, beats=2, eighths=3)
    rhythm = band.track()
    assert rhythm.bpm == pytest.approx(72, rel=0.01)
    assert rhythm.bars is not None
    assert rhythm.bars.time_signature == "6/8"


@pytest.mark.parametrize("beats", [2, 4])
def test_harmony_tells_a_bar_of_two_beats_from_one_of_four(beats: int):
    """Kick and snare alternate in both."""
    band = Band(96, beats=beats)
    rhythm = band.track()
    assert rhythm.bpm == pytest.approx(96, rel=0.01)
    assert rhythm.bars is not None
    assert rhythm.bars.time_signature == f"{beats}/4"
    assert share_found(band.downbeats, rhythm.downbeats) > 0.9


def test_a_drum_pattern_of_four_beats_speaks_for_bars_of_four():
    """The chords change with every other beat in both; what differs is when the pattern comes round."""
    shares = {}
    for every in (2, 4):
        band = Band(96, beats=2)
        for beat, following in zip(band.beats[1::every], band.beats[2::every], strict=False):
            band.strokes.append(((beat + following) / 2, kick()))
        candidates = read(band.accents())
        weights = zip(candidates, weigh(candidates), strict=True)
        shares[every] = sum(weight for reading, weight in weights if reading.meter.name == "4/4")
    assert shares[4] > 10 * shares[2]


def test_the_tempo_may_drift():
    band = Band(110, drift=0.08)
    rhythm = band.track()
    assert share_found(band.beats, rhythm.beats) > 0.95
    assert rhythm.tempo_curve is not None
    assert len(rhythm.tempo_curve) == len(rhythm.beats)
    assert rhythm.tempo_curve[0] == pytest.approx(110, rel=0.02)
    assert rhythm.tempo_curve[-1] == pytest.approx(110 * 1.08, rel=0.02)


def test_swing_is_measured():
    rhythm = Band(126, swing=2.0).track()
    assert rhythm.swing == pytest.approx(2, rel=0.1)


def test_the_other_octave_is_reported():
    rhythm = Band(100).track()
    assert rhythm.alternative is not None
    assert 0 <= rhythm.alternative.weight < 0.5


@pytest.mark.parametrize("bpm", [70, 96.5, 120, 133.7, 160])
def test_a_metronome_has_beats_but_no_bars(bpm: float):
    times = np.arange(0.3, SECONDS, 60 / bpm)
    clicks = placed([(time, hat()) for time in times])
    silence = Sound(np.zeros_like(clicks.samples))
    rhythm = track(drums=clicks, bass=silence, other=silence)
    assert rhythm is not None
    assert min(abs(rhythm.bpm / bpm - octave) for octave in (0.5, 1, 2)) < 0.01
    assert max(np.abs(times - beat).min() for beat in rhythm.beats) < 30 / bpm + 0.03
    assert rhythm.bars is None


SILENCE = np.zeros(ANALYSIS_RATE * 5)
NOTHING_REGULAR = {
    "silence": SILENCE,
    "nothing": np.zeros(0),
    "0.3 s": 0.1 * NOISE[: int(0.3 * ANALYSIS_RATE)],
    "noise": 0.1 * np.random.default_rng(1).standard_normal(ANALYSIS_RATE * 20),
    "a sine": np.sin(2 * np.pi * 440 * np.arange(ANALYSIS_RATE * 10) / ANALYSIS_RATE),
    "one click": np.concatenate([SILENCE, [1.0], SILENCE]),
}


@pytest.mark.parametrize("role", ["drums", "bass", "other"])
@pytest.mark.parametrize("name", NOTHING_REGULAR)
def test_no_rhythm_is_invented(name: str, role: str):
    sound = Sound(NOTHING_REGULAR[name].astype(np.float32))
    stems = dict.fromkeys(("drums", "bass", "other"), Sound(np.zeros_like(sound.samples))) | {role: sound}
    assert track(**stems) is None
