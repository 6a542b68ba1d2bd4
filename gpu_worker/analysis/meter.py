"""Meter: which of a song's pulses is its beat, how many beats make a bar, and where bars begin."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter1d

from gpu_worker.analysis.onsets import FRAME_RATE, Curve
from gpu_worker.analysis.pulse import Frames

WEIGHTS = Path(__file__).with_name("meter.npy")
"""Shape (len(METERS), evidence): what each piece of evidence counts for a meter."""

GRID = 12
"""Positions within a beat: enough for halves, thirds and quarters."""

HALF, EARLY_THIRD, LATE_THIRD, SWUNG, QUARTERS = 6, 4, 8, 7, [3, 9]

TOLERANCE = 2
"""Frames by which an onset may miss its place on the grid at least: half a step of a slow beat is more."""

PULSE_WEIGHTS = (1.0, 1.0, 0.5, 0.6, 0.6)
"""Of kick, snare, other drums, bass and chords."""

USUAL_BEAT, USUAL_BAR = 0.55, 2.0
"""Seconds."""

STRONGEST = 4.0
"""Times the mean, above which a stronger onset says no more about repetition."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Meter:
    """A time signature as it is tapped."""

    beats: int
    """Beats a bar."""
    is_compound: bool
    """Whether a beat divides into three."""

    @property
    def name(self) -> str:
        """Such as "4/4" or "6/8"."""
        return f"{3 * self.beats}/8" if self.is_compound else f"{self.beats}/4"


METERS = (Meter(2, False), Meter(3, False), Meter(4, False), Meter(2, True))
STRONG_BEATS = {2: [0], 3: [0], 4: [0, 2]}
WEAK_BEATS = {2: [1], 3: [1, 2], 4: [1, 3]}


@dataclass(frozen=True)
class Accents:
    """What may mark beats and bars: onset strength by instrument, from 0 to about 1, and harmony."""

    kick: Curve
    snare: Curve
    others: Curve
    """Cymbals, toms, percussion."""
    bass: Curve
    chords: Curve
    bass_chroma: Values
    """Shape (12, frames), as `chroma`."""
    chroma: Values

    @property
    def curves(self) -> tuple[Curve, ...]:
        """Kick, snare, other drums, bass, chords."""
        return self.kick, self.snare, self.others, self.bass, self.chords

    @property
    def drums(self) -> Curve:
        """Kick, snare and other drums together."""
        return self._sum(self.curves[:3])

    @property
    def strength(self) -> Curve:
        """All together, as a pulse is looked for in it."""
        return self._sum(self.curves)

    def _sum(self, curves: tuple[Curve, ...]) -> Curve:
        total = np.zeros_like(self.kick)
        for weight, curve in zip(PULSE_WEIGHTS, curves, strict=False):
            # No single loud stroke may outweigh the others.
            total += np.float32(weight) * np.minimum(curve, 1)
        return total

    def on_grid(self, beats: Frames) -> Values:
        """Strengths of shape (5, beats - 1, GRID) between the beats, each instrument's mean set to 1."""
        steps = np.arange((len(beats) - 1) * GRID) / GRID
        places = np.interp(steps, np.arange(len(beats)), beats).round().astype(int)
        tolerance = max(TOLERANCE, round(np.median(np.diff(beats)) / (2 * GRID)))
        rows = [maximum_filter1d(curve, 2 * tolerance + 1)[places] for curve in self.curves]
        return np.stack([row / (row.mean() or 1) for row in rows]).reshape(len(rows), -1, GRID)

    def changes(self, beats: Frames, span: int) -> Values:
        """How much bass and harmony change at each beat but the last; (2, beats - 1), 0 to 1.

        What sounds for a span of beats before is compared with what sounds as long after: two beats hold more
        of an arpeggio or a walking bass than one.
        """
        return np.stack([_changes(chroma, beats, span) for chroma in (self.bass_chroma, self.chroma)])


@dataclass(frozen=True)
class Reading:
    """One way to read a song's rhythm, and what speaks for it."""

    beats: Frames
    meter: Meter
    first_downbeat: int
    """Index of the first beat that begins a bar."""
    evidence: Values

    @property
    def period(self) -> float:
        """Median interval in frames."""
        return float(np.median(np.diff(self.beats)))


def readings(beats: Frames, accents: Accents) -> Iterator[Reading]:
    """Every meter and place of the bar lines on one pulse."""
    grid = accents.on_grid(beats)
    changes = np.concatenate([accents.changes(beats, span) for span in (1, 2)])
    doubling = {step: _doubling(grid[..., ::step]) for step in (HALF // 2, EARLY_THIRD)}
    seconds = float(np.median(np.diff(beats))) / FRAME_RATE
    for meter in METERS:
        for phase in range(meter.beats):
            bars = (grid.shape[1] - phase) // meter.beats
            if bars < 2:
                continue
            used = slice(phase, phase + bars * meter.beats)
            by_bar = grid[:, used].reshape(len(grid), bars, meter.beats, GRID)
            change = changes[:, used].reshape(len(changes), bars, meter.beats)
            profile = by_bar.mean(axis=1)
            evidence: list[ArrayLike] = [
                [1.0],
                _durations(meter, seconds),
                _division(meter, profile.mean(axis=1)),
                _bar_lines(meter, profile[..., 0], change[:2].mean(axis=1)),
                _repetition(meter, by_bar),
                doubling[_step(meter)],
                _alternation(meter, change[2:]),
                _emptiest(profile[..., 0]),
            ]
            yield Reading(beats, meter, phase, np.concatenate([np.asarray(part) for part in evidence]))


def weigh(candidates: list[Reading]) -> Values:
    """The weight of each reading among all, 0 to 1: a conditional logit (McFadden 1974) over their evidence.

    Its coefficients were fitted to rendered songs, see benchmarks/analysis/fit_rhythm.py.
    """
    weights = _weights()
    scores = np.array([weights[METERS.index(reading.meter)] @ reading.evidence for reading in candidates])
    likelihoods = np.exp(scores - scores.max())
    shares: Values = likelihoods / likelihoods.sum()
    return shares


@functools.cache
def _weights() -> Values:
    weights: Values = np.load(WEIGHTS)
    return weights


def _changes(chroma: Values, beats: Frames, span: int) -> Values:
    """Cosine distance between the chroma of some beats before and as many after; 0 where either is silent."""
    total = np.concatenate([np.zeros((12, 1)), np.cumsum(chroma, axis=1)], axis=1)
    at_beats = total[:, np.minimum(beats, chroma.shape[1])]
    spans = at_beats[:, span:] - at_beats[:, :-span]
    lengths = np.linalg.norm(spans, axis=0)
    spans = spans / np.where(lengths > 0, lengths, 1)
    change = np.zeros(len(beats) - 1)
    sounding = (lengths[span:] > 0) & (lengths[:-span] > 0)
    change[span : len(beats) - span] = np.where(
        sounding, 1 - (spans[:, span:] * spans[:, :-span]).sum(axis=0), 0
    )
    return change


def _contrast(stronger: Values, weaker: Values) -> Values:
    """From -1 to 1: how much stronger the first is than the second; 0 where neither sounds."""
    contrast: Values = (stronger - weaker) / (stronger + weaker + 0.1)
    return contrast


def _durations(meter: Meter, seconds: float) -> list[float]:
    """How far beat and bar are from usual lengths, in octaves, and the squares of that."""
    beat, bar = np.log2(seconds / USUAL_BEAT), np.log2(seconds * meter.beats / USUAL_BAR)
    return [beat, beat**2, bar, bar**2]


def _division(meter: Meter, place: Values) -> Values:
    """How well the onsets within a beat, (5, GRID), suit its division into two (swung, too) or three."""
    on, half, early, late = (place[:, at] for at in (0, HALF, EARLY_THIRD, LATE_THIRD))
    quarters = place[:, QUARTERS].mean(axis=1)
    if meter.is_compound:
        off, beside = np.minimum(early, late), np.maximum(half, quarters)
    else:
        off, beside = np.maximum(half, np.maximum(late, place[:, SWUNG])), early
    return np.concatenate(
        [
            _contrast(on, off),
            _contrast(np.maximum(on, off), beside),
            _contrast(off, beside),
            _contrast(on, quarters),
        ]
    )


def _bar_lines(meter: Meter, profile: Values, change: Values) -> Values:
    """How strong each beat of a bar is, (5, beats), and how much the harmony changes on it, (2, beats)."""
    first, rest = profile[:, 0], profile[:, 1:].mean(axis=1)
    strong, weak = STRONG_BEATS[meter.beats], WEAK_BEATS[meter.beats]
    backbeat = _contrast(profile[:3, weak].mean(axis=1), profile[:3, strong].mean(axis=1))
    middle = np.zeros(len(profile) + len(change))
    if meter.beats == 4:
        middle = np.concatenate([_contrast(first, profile[:, 2]), change[:, 0] - change[:, 2]])
    return np.concatenate(
        [
            _contrast(first, rest),
            _contrast(first, profile[:, -1]),
            backbeat,
            middle,
            change[:, 0],
            change[:, 0] - change[:, 1:].mean(axis=1),
        ]
    )


def _repetition(meter: Meter, grid: Values) -> list[float]:
    """Correlation of each bar with the next, and of the halves of four-beat bars."""
    bars = np.minimum(grid, STRONGEST)[..., :: _step(meter)].transpose(1, 0, 2, 3)
    halves = _correlation(bars[:, :, :2], bars[:, :, 2:]) if meter.beats == 4 else 0.0
    return [_correlation(bars[1:], bars[:-1]), halves]


def _step(meter: Meter) -> int:
    """Positions of the grid from one place that a meter's onsets fall on to the next."""
    return EARLY_THIRD if meter.is_compound else HALF // 2


def _doubling(grid: Values) -> Values:
    """What each instrument, of (5, beats, places), repeats after four beats but not after two; (5,).

    It is the share that four beats explain of what two beats leave unexplained, and tells the pattern of a
    4/4 bar from that of a 2/4 bar, wherever their bar lines are.
    """
    strokes = np.minimum(grid, STRONGEST)
    two, four = (np.array([_correlation(row[lag:], row[:-lag]) for row in strokes]) for lag in (2, 4))
    shares: Values = (four - two) / (1.1 - two)
    return shares


def _alternation(meter: Meter, change: Values) -> Values:
    """Whether harmony changes more at every other half bar of 4/4, or bar of 2/4; (2 + 2,).

    `change` has shape (2, bars, beats), of bass and harmony. The bars of a true 2/4 are alike in this.
    """
    first = change[..., 0]
    if meter.beats == 4:
        halves = _contrast(first.mean(axis=1), change[..., 2].mean(axis=1))
        return np.concatenate([halves, np.zeros(2)])
    if meter.beats == 2 and not meter.is_compound:
        bars = np.abs(_contrast(first[:, ::2].mean(axis=1), first[:, 1::2].mean(axis=1)))
        return np.concatenate([np.zeros(2), bars])
    return np.zeros(4)


def _emptiest(profile: Values) -> Values:
    """How far a bar's least marked beat falls short of the mean, by several instruments together; (3,).

    `profile` has shape (5, beats). Kick and snare of a backbeat mark every beat between them, but every other
    one at twice the tempo.
    """
    kick, snare, others, bass, chords = profile
    together = np.stack([kick + snare, kick + snare + others, bass + chords])
    return _contrast(together.min(axis=1), together.mean(axis=1))


def _correlation(one: Values, other: Values) -> float:
    one, other = one - one.mean(), other - other.mean()
    norm = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / norm) if norm > 0 else 0.0
