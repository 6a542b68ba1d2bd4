"""The metrics of a stem against sounds whose values are known."""

import warnings
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile as sf

from gpu_worker.analysis import levels
from gpu_worker.analysis.features import Features
from gpu_worker.analysis.levels import Levels, measure_levels
from gpu_worker.analysis.metrics import AudioMetrics, measure, measure_leakage
from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound, load_sound
from shared.models import StemType

RATE = 44_100


def noise(seconds: float, channels: int = 2, level: float = 0.1, seed: int = 1) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal((round(seconds * RATE), channels))


@pytest.fixture
def levels_of(tmp_path: Path):
    def measured(samples: np.ndarray, subtype: str = "FLOAT") -> Levels:
        path = tmp_path / "levels.wav"
        sf.write(path, samples, RATE, subtype=subtype)
        return measure_levels(path)

    return measured


@pytest.fixture
def metrics_of(tmp_path: Path):
    def measured(samples: np.ndarray) -> AudioMetrics:
        path = tmp_path / "stem.wav"
        sf.write(path, samples, RATE, subtype="FLOAT")
        return measure(path, Features(load_sound(path)))

    return measured


def test_the_true_peak_lies_between_samples(levels_of):
    """A sine of a quarter of the rate, sampled at 45 degrees: every sample is 3 dB below its peak."""
    sine = 0.5 * np.sin(np.pi / 2 * np.arange(RATE) + np.pi / 4)
    # Faded, since a sine that begins at once does overshoot.
    sine *= np.minimum(1, np.minimum(np.arange(RATE), np.arange(RATE)[::-1]) / 2000)
    measured = levels_of(sine)
    assert measured.peak == pytest.approx(-9.03, abs=0.01)
    assert measured.true_peak == pytest.approx(-6.02, abs=0.1)


def test_a_true_peak_across_blocks_is_found(levels_of):
    """One burst whose peak lies between the last sample of a block and the first of the next."""
    seam = levels.BLOCK_SECONDS * RATE
    time = np.arange(2 * seam) - (seam - 0.5)
    burst = 0.5 * np.cos(np.pi / 2 * time) * np.exp(-((time / 30) ** 2))
    assert levels_of(burst).true_peak == pytest.approx(-6.02, abs=0.1)


@pytest.mark.parametrize("seconds", [0.4, 3, levels.BLOCK_SECONDS * 2.5])
def test_loudness_equals_pyloudnorms(levels_of, seconds: float):
    """Loud, soft and silent parts, so that both gates act; a seam lies within a gating block."""
    samples = noise(seconds)
    samples[len(samples) // 3 : len(samples) // 2] *= 0.02
    samples[len(samples) // 2 : len(samples) * 2 // 3] = 0
    wanted = pyloudnorm.Meter(RATE, filter_class="DeMan").integrated_loudness(samples)
    assert levels_of(samples).loudness == pytest.approx(wanted, abs=0.02)


def test_loudness_of_the_standards_own_signal(levels_of):
    """EBU Tech 3341, cases 1 and 3: a sine of 1 kHz in both channels, at levels that the gates tell apart."""
    sine = np.sin(2 * np.pi * 1000 * np.arange(20 * RATE) / RATE)
    stereo = np.repeat(sine[:, None], 2, 1)
    assert levels_of(10 ** (-23 / 20) * stereo).loudness == pytest.approx(-23, abs=0.1)
    softer, louder = 10 ** (-36 / 20) * stereo[: 10 * RATE], 10 ** (-23 / 20) * np.tile(stereo, (3, 1))
    case = np.concatenate([softer, louder, softer])
    assert levels_of(case).loudness == pytest.approx(-23, abs=0.1)


def test_there_is_no_loudness_where_the_standard_has_none(levels_of):
    assert levels_of(noise(0.39)).loudness is None
    assert levels_of(noise(2, level=1e-5)).loudness is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        empty = levels_of(np.zeros((0, 2)))
    assert empty == Levels(
        rms=None, peak=None, true_peak=None, loudness=None, stereo_width=None, clipping_count=0
    )


@pytest.mark.parametrize(
    ("right", "width"), [(1.0, 0.0), (-1.0, 1.0), (0.0, 0.5)], ids=["mono", "opposed", "one side"]
)
def test_stereo_width(levels_of, right: float, width: float):
    left = noise(1, channels=1)
    assert levels_of(np.hstack([left, right * left])).stereo_width == pytest.approx(width, abs=1e-6)


def test_unrelated_channels_are_half_wide_and_one_channel_has_no_width(levels_of):
    assert levels_of(noise(5)).stereo_width == pytest.approx(0.5, abs=0.01)
    assert levels_of(noise(1, channels=1)).stereo_width is None


def test_clipping_is_counted_in_runs(levels_of):
    samples = np.clip(noise(1), -0.9, 0.9)
    samples[100, 0] = samples[200:202, 1] = 1  # peaks that just fit
    samples[300:303, 0] = 1
    samples[400:450, 1] = -1
    assert levels_of(samples, "PCM_16").clipping_count == 2


def test_clipping_across_blocks_counts_once(levels_of):
    samples = np.zeros(2 * levels.BLOCK_SECONDS * RATE)
    samples[levels.BLOCK_SECONDS * RATE - 2 : levels.BLOCK_SECONDS * RATE + 2] = 1
    samples[-2 * levels.CLIPPED_SAMPLES :] = 1
    assert levels_of(samples, "PCM_16").clipping_count == 2


def test_crest_factor_flatness_and_contrast(metrics_of):
    time = np.arange(3 * RATE) / RATE
    sine = metrics_of(0.5 * np.sin(2 * np.pi * 500 * time))
    hiss = metrics_of(noise(3, channels=1))
    assert sine.crest_factor == pytest.approx(3.01, abs=0.01)
    assert hiss.crest_factor == pytest.approx(12.5, abs=1.5)  # the largest of 132,300 normal values
    assert sine.spectral_flatness < 0.01
    assert hiss.spectral_flatness == pytest.approx(np.exp(-np.euler_gamma), abs=0.03)
    assert sine.spectral_contrast > hiss.spectral_contrast


def test_active_regions(metrics_of):
    """A short rest belongs to its region; a long one, across a block of the analysis, does not."""
    samples = noise(40, channels=1)
    rests = [(0, 1.0), (5.0, 5.3), (20.0, 32.0), (38.0, 40.0)]
    for start, end in rests:
        samples[round(start * RATE) : round(end * RATE)] = 0
    regions = metrics_of(samples).active_regions
    assert np.ravel(regions) == pytest.approx([1, 20, 32, 38], abs=0.08)


def test_leakage_is_the_share_of_one_stem_in_another():
    rng = np.random.default_rng(4)
    parts = {stem: rng.standard_normal(10 * ANALYSIS_RATE).astype("float32") for stem in StemType}
    parts[StemType.VOCALS][:] = 0
    parts[StemType.OTHER] += 0.1 * parts[StemType.DRUMS]
    leakage = measure_leakage({stem: Sound(samples) for stem, samples in parts.items()})
    assert set(leakage) == {StemType.DRUMS, StemType.BASS, StemType.OTHER}
    assert leakage[StemType.OTHER][StemType.DRUMS] == pytest.approx(0.1, abs=0.01)
    assert leakage[StemType.DRUMS][StemType.OTHER] == leakage[StemType.OTHER][StemType.DRUMS]
    assert leakage[StemType.BASS][StemType.DRUMS] < 0.01
