"""Onset strength: how much new energy starts at each moment."""

import librosa
import numpy as np
from numpy.typing import NDArray

from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound
from gpu_worker.analysis.spectra import mel_bands

HOP = 256
FRAME_RATE = ANALYSIS_RATE / HOP
"""Frames a second, 86.1."""

WINDOW = 1024
BANDS = 48
COMPRESSION = 1000.0
"""Of magnitudes whose loudest is 1, before the logarithm: 60 dB below it still count a little."""

LAG = 2
"""Frames between the spectra that are compared; an onset peaks within 5 ms of its true time with it."""

LOW_HERTZ, HIGH_HERTZ = 200.0, 4500.0

CLEAR_ONSET = 0.2
"""Share of the strong onsets (90th percentile) that an onset must reach to stand out."""

Curve = NDArray[np.float32]


def onset_strength(sound: Sound) -> Curve:
    """Measure the onset strength of a sound, (frames,) at FRAME_RATE.

    Spectral flux of the logarithmic mel spectrum against its maximum over neighbouring bands, which keeps
    vibrato from looking like onsets (SuperFlux, Böck & Widmer 2013). Low, middle and high bands count alike.
    """
    if sound.is_silent:
        return np.zeros(1 + len(sound.samples) // HOP, np.float32)
    bands = mel_bands(sound, window=WINDOW, hop=HOP, bands=BANDS)
    level = np.log1p(COMPRESSION * bands / bands.max())
    before = level.copy()
    before[1:-1] = np.maximum(level[1:-1], np.maximum(level[:-2], level[2:]))
    flux = np.zeros_like(level)
    flux[:, LAG:] = np.maximum(0, level[:, LAG:] - before[:, :-LAG])
    centres = librosa.mel_frequencies(BANDS + 2, fmin=30, fmax=ANALYSIS_RATE / 2)[1:-1]
    parts = np.split(flux, np.searchsorted(centres, [LOW_HERTZ, HIGH_HERTZ]))
    total: Curve = sum(part.mean(axis=0) for part in parts)
    return total


def onset_times(strength: Curve) -> NDArray[np.float64]:
    """Times in seconds of the onsets that stand out."""
    peaks = librosa.util.peak_pick(strength, pre_max=3, post_max=3, pre_avg=8, post_avg=8, delta=0.02, wait=4)
    if not len(peaks):
        return np.zeros(0)
    strong = np.percentile(strength[peaks], 90)
    return np.asarray(peaks[strength[peaks] > CLEAR_ONSET * strong] / FRAME_RATE)
