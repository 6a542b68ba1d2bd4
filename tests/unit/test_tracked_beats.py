"""Tempo, bars and swing from beats that a network tracked."""

import numpy as np
import pytest

from gpu_worker.analysis.meter import Accents
from gpu_worker.analysis.onsets import FRAME_RATE, HOP
from gpu_worker.analysis.rhythm import Rhythm
from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound
from gpu_worker.analysis.tracked_beats import TrackedBeats, rhythm_of

SECONDS = 40
FRAMES = 1 + SECONDS * ANALYSIS_RATE // HOP
BEATS = 0.5 + 0.5 * np.arange(72)


def heard(times: np.ndarray) -> Accents:
    """Drums at these times, and nothing else."""
    curve, nothing = np.zeros(FRAMES, np.float32), np.zeros(FRAMES, np.float32)
    curve[(times * FRAME_RATE).round().astype(int)] = 1
    chroma = np.zeros((12, FRAMES))
    return Accents(nothing, nothing, curve, nothing, nothing, chroma, chroma)


def sounding(until: float = SECONDS) -> Sound:
    samples = 0.1 * np.random.default_rng(0).standard_normal(SECONDS * ANALYSIS_RATE)
    samples[round(until * ANALYSIS_RATE) :] = 0
    return Sound(samples.astype(np.float32))


def rhythm(
    beats: np.ndarray = BEATS,
    first_beats: np.ndarray | list[int] = (),
    *,
    confidence: float = 0.9,
    onsets: np.ndarray | None = None,
    song: Sound | None = None,
) -> Rhythm | None:
    tracked = TrackedBeats(beats, beats[np.asarray(first_beats, int)], confidence)
    accents = heard(beats if onsets is None else onsets)
    return rhythm_of(tracked=tracked, accents=accents, song=song or sounding())


@pytest.mark.parametrize(("beats", "signature"), [(2, "2/4"), (3, "3/4"), (4, "4/4"), (5, "5/4"), (7, "7/4")])
@pytest.mark.parametrize("upbeats", [0, 1])
def test_downbeats_become_positions(beats: int, signature: str, upbeats: int):
    found = rhythm(first_beats=np.arange(upbeats, len(BEATS), beats))
    assert found is not None
    assert found.bars is not None
    assert found.bars.time_signature == signature
    assert found.bars.confidence == 1
    assert found.bars.positions.tolist() == [(n - upbeats) % beats + 1 for n in range(len(BEATS))]
    assert found.bpm == pytest.approx(120)
    assert found.tempo_curve is None
    assert found.alternative is None


def test_a_missed_downbeat_is_filled_in():
    found = rhythm(first_beats=np.delete(np.arange(0, 72, 4), [5, 6]))
    assert found is not None
    assert found.bars is not None
    assert found.bars.positions.tolist() == [n % 4 + 1 for n in range(72)]


def test_after_a_short_bar_counting_starts_anew():
    found = rhythm(first_beats=[*range(0, 30, 4), *range(30, 72, 4)])
    assert found is not None
    assert found.bars is not None
    assert found.bars.time_signature == "4/4"
    assert found.bars.positions[28:34].tolist() == [1, 2, 1, 2, 3, 4]
    assert found.bars.confidence == pytest.approx(17 / 18)


@pytest.mark.parametrize(
    "first_beats",
    [
        [],
        [8],
        [0, 4],
        np.arange(72),
        np.arange(0, 72, 6),
        np.cumsum([4, 3, 4, 5, 4, 3, 2, 4, 3]),
        np.cumsum([0, *[2, 4] * 8]),
    ],
)
def test_irregular_bars_are_none(first_beats: list[int]):
    found = rhythm(first_beats=first_beats)
    assert found is not None
    assert found.bars is None
    assert len(found.beats) == 72
    assert not len(found.downbeats)


def test_halves_between_the_beats_make_two_quarters():
    found = rhythm(first_beats=np.arange(0, 72, 2), onsets=np.sort(np.concatenate([BEATS, BEATS + 0.25])))
    assert found is not None
    assert found.bars is not None
    assert found.bars.time_signature == "2/4"


def test_thirds_between_the_beats_make_six_eighths():
    beats = 0.5 + 0.6 * np.arange(60)
    thirds = 0.5 + 0.2 * np.arange(180)
    found = rhythm(beats, np.arange(0, 60, 2), onsets=thirds)
    assert found is not None
    assert found.bars is not None
    assert found.bars.time_signature == "6/8"
    assert found.swing is None


def test_swing_is_measured_on_the_beats():
    swung = np.sort(np.concatenate([BEATS, BEATS + 1 / 3]))
    found = rhythm(first_beats=np.arange(0, 72, 4), onsets=swung)
    assert found is not None
    assert found.swing == pytest.approx(2, rel=0.1)


def test_the_confidence_is_the_networks_where_the_onsets_repeat():
    sure = rhythm(confidence=0.9)
    other = rhythm(confidence=0.9, onsets=np.sort(np.random.default_rng(1).uniform(0.5, 39, 80)))
    assert sure is not None
    assert other is not None
    assert sure.confidence > 0.8
    assert other.confidence < 0.5


def test_beats_after_the_songs_end_are_left_out():
    found = rhythm(first_beats=np.arange(1, 72, 4), song=sounding(until=20.1))
    assert found is not None
    assert found.bars is not None
    assert found.beats[-1] == 20
    assert len(found.bars.positions) == len(found.beats) == 40
    assert found.downbeats[0] == 1


def test_a_tempo_that_varies_has_a_curve():
    found = rhythm(0.5 + np.cumsum(np.linspace(0.4, 0.6, 70)))
    assert found is not None
    assert found.tempo_curve is not None
    assert found.tempo_curve[0] > 140 > 105 > found.tempo_curve[-1]


def test_the_networks_frames_make_no_curve():
    found = rhythm((0.5 + np.arange(110) * 60 / 187) // 0.02 * 0.02)
    assert found is not None
    assert found.tempo_curve is None


@pytest.mark.parametrize(
    "beats",
    [
        np.empty(0),
        BEATS[:7],
        np.sort(np.random.default_rng(2).uniform(0, SECONDS - 1, 60)),
    ],
)
def test_few_or_scattered_beats_are_no_pulse(beats: np.ndarray):
    assert rhythm(beats) is None


def test_a_break_without_beats_does_not_end_the_pulse():
    found = rhythm(np.delete(BEATS, range(30, 46)), confidence=1)
    assert found is not None
    assert found.bpm == pytest.approx(120)
