"""Levels of a stem at its full rate, in one pass of constant memory: peaks, loudness, clipping, width."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from numpy.typing import NDArray
from pyloudnorm.iirfilter import IIRfilter
from scipy.signal import firwin, sosfilt, upfirdn

BLOCK_SECONDS = 10

OVERSAMPLING = 4
INTERPOLATOR = OVERSAMPLING * firwin(12 * OVERSAMPLING + 1, 1 / OVERSAMPLING, window=("kaiser", 4.0))
SPAN = (len(INTERPOLATOR) - 1) // OVERSAMPLING
"""Samples around a point from which the interpolator makes it."""

OVERSHOOT = max(float(np.abs(INTERPOLATOR[phase::OVERSAMPLING]).sum()) for phase in range(OVERSAMPLING))
"""By which the interpolated peak exceeds the sample peak at most."""

CHUNK = 1024

FULL_SCALE = 32_767 / 32_768
CLIPPED_SAMPLES = 3
"""Samples in a row at full scale that count as clipped: one or two are a peak that just fits."""

STEPS_PER_SECOND = 10
STEPS_PER_GATE = 4
"""The gating blocks of BS.1770: 400 ms, each 100 ms after the last."""

ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0

FLOOR = 1e-15
"""Added to every other sample that is weighted: in silence a filter's state would decay to denormal numbers,
with which processors are ten times slower."""

Block = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Levels:
    """Levels; None where the sound has none."""

    rms: float | None
    """dBFS, over all channels."""
    peak: float | None
    """Sample peak, dBFS."""
    true_peak: float | None
    """dBTP, after ITU-R BS.1770-4 annex 2: the peak of the fourfold oversampled sound."""
    loudness: float | None
    """LUFS, after ITU-R BS.1770-4; None below its absolute gate or under 0.4 s."""
    stereo_width: float | None
    """Energy of left minus right as a share of all: 0 mono, 0.5 unrelated, 1 opposed; None if not stereo."""
    clipping_count: int
    """Runs of at least CLIPPED_SAMPLES samples at full scale, over all channels."""


def measure_levels(path: Path) -> Levels:
    """Measure the levels of a sound file of one or two channels (more count as front channels)."""
    with sf.SoundFile(path) as file:
        loudness = _Loudness(file.samplerate, file.channels)
        clipping = _Clipping(file.channels)
        energy, count, peak, true_peak = 0.0, 0, 0.0, 0.0
        difference, tail = 0.0, np.zeros((SPAN, file.channels))
        for block in file.blocks(file.samplerate * BLOCK_SECONDS, dtype="float64", always_2d=True):
            energy += float(np.vdot(block, block))
            count += len(block)
            peak = max(peak, float(np.abs(block).max()))
            true_peak = _true_peak(np.concatenate([tail, block]), max(peak, true_peak))
            tail = np.concatenate([tail, block])[-SPAN:]
            loudness.add(block)
            clipping.add(block)
            if file.channels == 2:
                side = block[:, 0] - block[:, 1]
                difference += float(np.vdot(side, side))
        true_peak = _true_peak(np.concatenate([tail, np.zeros_like(tail)]), true_peak)
        is_stereo = file.channels == 2 and energy > 0
        return Levels(
            rms=_decibels((energy / (count * file.channels)) ** 0.5 if count else 0.0),
            peak=_decibels(peak),
            true_peak=_decibels(true_peak),
            loudness=loudness.integrated(),
            stereo_width=difference / (2 * energy) if is_stereo else None,
            clipping_count=clipping.count,
        )


def _decibels(amplitude: float) -> float | None:
    return float(20 * np.log10(amplitude)) if amplitude > 0 else None


def _true_peak(block: Block, so_far: float) -> float:
    """Return the larger of the oversampled peak and one already met.

    The first SPAN samples only lead in. The loudest chunks come first; those that can't exceed the peak
    already met, whatever lies between their samples, are not interpolated.
    """
    loudest = functools.reduce(np.maximum, np.abs(block).T)
    starts = np.arange(0, len(block) - SPAN, CHUNK)
    peaks = np.array([loudest[start : start + SPAN + CHUNK].max() for start in starts])
    for place in np.argsort(-peaks):
        if peaks[place] * OVERSHOOT <= so_far:
            break
        chunk = block[starts[place] : starts[place] + SPAN + CHUNK]
        points = upfirdn(INTERPOLATOR, chunk, OVERSAMPLING, axis=0)
        inner = points[SPAN * OVERSAMPLING : len(chunk) * OVERSAMPLING]
        so_far = max(so_far, float(np.abs(inner).max()))
    return so_far


class _Clipping:
    """Counts runs of samples at full scale."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self._last = np.zeros((CLIPPED_SAMPLES, channels), bool)

    def add(self, block: Block) -> None:
        full = np.concatenate([self._last, np.abs(block) >= FULL_SCALE])
        size = len(full) - CLIPPED_SAMPLES
        begins = ~full[:size]
        for later in range(1, CLIPPED_SAMPLES + 1):
            begins = begins & full[later : later + size]
        self.count += int(begins.sum())
        self._last = full[size:]


class _Loudness:
    """Integrated loudness, kept as the energy of each 100 ms."""

    def __init__(self, rate: int, channels: int) -> None:
        # The coefficients of BS.1770, at any rate (De Man 2014).
        shelf = IIRfilter(3.99984385397, 0.7071752369554193, 1681.9744509555319, rate, "high_shelf_DeMan")
        high_pass = IIRfilter(0.0, 0.5003270373253953, 38.13547087613982, rate, "high_pass_DeMan")
        self._sections = np.array([[*each.b, *each.a] for each in (shelf, high_pass)])
        self._state = np.zeros((len(self._sections), 2, channels))
        self._step = round(rate / STEPS_PER_SECOND)
        self._rest: Block = np.zeros((0, channels))
        self._energies: list[Block] = []

    def add(self, block: Block) -> None:
        block = block.copy()
        block[::2] += FLOOR
        weighted, self._state = sosfilt(self._sections, block, axis=0, zi=self._state)
        weighted = np.concatenate([self._rest, weighted])
        whole = len(weighted) // self._step * self._step
        steps = weighted[:whole].reshape(-1, self._step, weighted.shape[1])
        self._energies.append(np.square(steps).mean(axis=1).sum(axis=1))
        self._rest = weighted[whole:]

    def integrated(self) -> float | None:
        steps = np.concatenate(self._energies) if self._energies else np.zeros(0)
        if len(steps) < STEPS_PER_GATE:
            return None
        gates = np.convolve(steps, np.full(STEPS_PER_GATE, 1 / STEPS_PER_GATE), mode="valid")
        gates = gates[gates >= _energy(ABSOLUTE_GATE_LUFS)]
        if not len(gates):
            return None
        relative = gates.mean() * 10 ** (RELATIVE_GATE_LU / 10)
        return float(-0.691 + 10 * np.log10(gates[gates > relative].mean()))


def _energy(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))
