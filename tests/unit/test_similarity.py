"""Likeness of stems that differ in one thing that is known."""

import numpy as np
import pytest

from gpu_worker.analysis.onsets import onset_strength
from gpu_worker.analysis.similarity import LENGTH, similarity_vector
from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound

TIMBRE, RHYTHM, HARMONY = slice(0, 24), slice(24, 36), slice(36, 42)
SCALE, CLUSTER = (0, 4, 7, 12), (0, 1, 2, 3)


def vector(samples: np.ndarray) -> np.ndarray:
    sound = Sound(samples.astype("float32"))
    found = similarity_vector(sound=sound, onsets=onset_strength(sound))
    assert found is not None
    assert found.shape == (LENGTH,)
    return found


def line(
    *, steps=SCALE, root: int = 48, gap: float = 0.25, harmonics: int = 8, seconds: float = 12
) -> np.ndarray:
    samples = np.zeros(int(seconds * ANALYSIS_RATE))
    time = np.arange(int(0.2 * ANALYSIS_RATE)) / ANALYSIS_RATE
    for number, onset in enumerate(np.arange(0, seconds - 0.25, gap)):
        hertz = 440 * 2 ** ((root + steps[number % 4] - 69) / 12)
        tone = sum(np.sin(2 * np.pi * k * hertz * time) / k for k in range(1, harmonics + 1))
        start = int(onset * ANALYSIS_RATE)
        samples[start : start + len(time)] = 0.2 * tone * np.exp(-8 * time)
    return samples


def test_level_and_length_do_not_count():
    first = vector(line())
    assert vector(0.3 * line()) == pytest.approx(first, abs=0.02)
    assert vector(line(seconds=50)) @ first == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize(
    ("part", "change"),
    [(TIMBRE, {"harmonics": 1}), (RHYTHM, {"gap": 0.36}), (HARMONY, {"steps": CLUSTER})],
    ids=["timbre", "rhythm", "harmony"],
)
def test_each_part_tells_its_own_difference(part: slice, change: dict):
    first, other = vector(line()), vector(line(**change))
    likeness = {each.start: first[each] @ other[each] for each in (TIMBRE, RHYTHM, HARMONY)}
    assert likeness[part.start] == min(likeness.values())
    assert likeness[part.start] < 0.95


def test_harmony_is_the_same_in_every_key():
    first, moved = vector(line()), vector(line(root=51))
    assert first[HARMONY] @ moved[HARMONY] > 0.99


@pytest.mark.parametrize("seconds", [0, 0.01, 5])
def test_silence_has_no_vector(seconds: float):
    sound = Sound(np.zeros(int(seconds * ANALYSIS_RATE), "float32"))
    assert similarity_vector(sound=sound, onsets=onset_strength(sound)) is None


@pytest.mark.parametrize("seconds", [0.05, 0.3, 5])
def test_noise_has_one(seconds: float):
    rng = np.random.default_rng(2)
    found = vector(0.1 * rng.standard_normal(int(seconds * ANALYSIS_RATE)))
    assert np.isfinite(found).all()
    assert np.linalg.norm(found[TIMBRE]) == pytest.approx(1)
