"""The tuning of a sound: the frequency of its A4."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound
from gpu_worker.analysis.spectra import Magnitudes, magnitudes

CONCERT_PITCH = 440.0
SHORTEST_SECONDS = 0.1
WINDOW = 8192
"""Long (0.37 s), since the peaks of low neighbouring tones must stand apart to be measured to a cent."""

LOWEST_HERTZ, HIGHEST_HERTZ = 80.0, 1500.0
LOUD_IN_FRAME, LOUD_IN_SOUND = 0.1, 0.01
"""Peaks below these shares of the loudest magnitude are noise, or not worth much."""

MISTUNED_HARMONICS = (3, 5, 6, 7)
"""Their tempered neighbours are 2, 14, 2 and 31 cents off."""

HARMONIC_SHARE = 0.3
"""A peak is taken for a harmonic if the fundamental below it has this share of its magnitude."""

KERNEL_CENTS = 3.0
NARROWING = (12.0, 8.0, 6.0)
MIN_CONCENTRATION = 0.15
"""Of the peaks round the tuning; tones give 0.4 to 1, noise and drums less than 0.1."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Tuning:
    """Where a sound's semitones lie."""

    a4: float
    """Hz, within half a semitone of 440."""
    confidence: float
    """0 to 1: length of the mean vector of the peaks' deviations on the circle of a semitone."""

    @property
    def cents(self) -> float:
        """Above 440 Hz, -50 to 50."""
        return float(1200 * np.log2(self.a4 / CONCERT_PITCH))


def estimate_tuning(*, sound: Sound) -> Tuning | None:
    """Estimate the tuning; None if the sound has no tones that agree on one.

    Spectral peaks, interpolated between bins, are folded into one semitone; the tuning is the mode of their
    weighted density there, which vibrato, harmonics and single mistuned tones move less than the mean.
    """
    if sound.is_silent or sound.seconds < SHORTEST_SECONDS:
        return None
    peaks = _peaks(sound)
    if not len(peaks.hertz):
        return None
    cents = 1200 * np.log2(peaks.hertz / CONCERT_PITCH)
    concentration = float(np.abs(np.average(np.exp(2j * np.pi * cents / 100), weights=peaks.weights)))
    if concentration < MIN_CONCENTRATION:
        return None
    kept = ~peaks.mistuned if not peaks.mistuned.all() else peaks.mistuned
    return Tuning(
        a4=CONCERT_PITCH * 2 ** (_mode(cents[kept], peaks.weights[kept]) / 1200), confidence=concentration
    )


class _Peaks(NamedTuple):
    """Spectral peaks, each of shape (peaks,)."""

    hertz: Values
    weights: Values
    mistuned: NDArray[np.bool_]
    """Which are harmonics of a tone whose tempered neighbour is elsewhere."""


def _peaks(sound: Sound) -> _Peaks:
    """Return the peaks that are loud enough, in their frame and in the sound."""
    loudest, parts = 0.0, []
    for magnitude in magnitudes(sound, window=WINDOW, hop=WINDOW // 4):
        loudest = max(loudest, float(magnitude.max()))
        parts.append(_peaks_of(magnitude))
    hertz, weights = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    mistuned = np.concatenate([part.mistuned for part in parts])
    loud = weights**2 > LOUD_IN_SOUND * loudest
    return _Peaks(hertz[loud], weights[loud], mistuned[loud])


def _peaks_of(magnitude: Magnitudes) -> _Peaks:
    first, last = (round(hertz * WINDOW / ANALYSIS_RATE) for hertz in (LOWEST_HERTZ, HIGHEST_HERTZ))
    level = np.log(magnitude[first - 1 : last + 1] + 1e-9)
    below, centre, above = level[:-2], level[1:-1], level[2:]
    loud = LOUD_IN_FRAME * magnitude.max(axis=0)
    bins, frames = np.nonzero((centre > below) & (centre >= above) & (magnitude[first:last] > loud))
    left, middle, right = below[bins, frames], centre[bins, frames], above[bins, frames]
    exact = bins + first + 0.5 * (left - right) / (left - 2 * middle + right)
    heights = magnitude[bins + first, frames]
    mistuned = np.zeros(len(bins), bool)
    for harmonic in MISTUNED_HARMONICS:
        near = np.round(exact / harmonic).astype(int)
        fundamental = np.max([magnitude[near + step, frames] for step in (-1, 0, 1)], axis=0)
        mistuned |= fundamental >= HARMONIC_SHARE * heights
    return _Peaks(exact * ANALYSIS_RATE / WINDOW, np.sqrt(heights).astype(np.float64), mistuned)


def _mode(cents: Values, weights: Values) -> float:
    """Mode of weighted cents on the circle of a semitone, -50 to 50."""
    density, _ = np.histogram(cents % 100, bins=100, range=(0, 100), weights=weights)
    offsets = (np.arange(100) + 50) % 100 - 50
    kernel = np.exp(-0.5 * (offsets / KERNEL_CENTS) ** 2)
    smooth = np.fft.irfft(np.fft.rfft(density) * np.fft.rfft(kernel), 100)
    mode = float(np.argmax(smooth)) + 0.5
    for width in NARROWING:
        distance = (cents - mode + 50) % 100 - 50
        near = np.abs(distance) < width
        if near.any():
            mode += float(np.average(distance[near], weights=weights[near]))
    return (mode + 50) % 100 - 50
