"""A song's rhythm from beats and downbeats that a network tracked."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_worker.analysis.meter import EARLY_THIRD, HALF, LATE_THIRD, QUARTERS, Accents
from gpu_worker.analysis.pulse import TEMPO_RANGE
from gpu_worker.analysis.rhythm import MIN_BEATS, Bars, Rhythm, Times, frames_of, rhythm_on
from gpu_worker.analysis.sound import Sound

REGULAR_BEATS = 0.5
"""Share of the intervals that must lie near the median of those around them, else there is no pulse."""

AROUND = 4
"""Intervals before and after one that are compared with it."""

MIN_BARS = 2
REGULAR_BARS = 0.75
"""Share of the bars that must have the usual number of beats, else none are reported."""

BEATS_A_BAR = (2, 3, 4, 5, 7)
"""Numbers that make a time signature; six may be 6/8 or 6/4, nothing here tells which."""


@dataclass(frozen=True)
class TrackedBeats:
    """What a network heard."""

    beats: Times
    """Seconds, ascending."""
    downbeats: Times
    """Those of the beats that begin bars."""
    confidence: float
    """Mean likelihood of the beats, 0 to 1."""


class BeatTracker(Protocol):
    """A network that tracks beats."""

    @property
    def label(self) -> str:
        """Its name in records."""

    def track(self, song: Sound) -> TrackedBeats:
        """Find beats and downbeats."""


def rhythm_of(*, tracked: TrackedBeats, accents: Accents, song: Sound) -> Rhythm | None:
    """Derive tempo, bars and swing from tracked beats; None if they are too few or too irregular.

    Beats and bar lines are the network's: what else marks beats (`accents`) only tells 6/8 from 2/4 and the
    swing, and lowers the confidence in the tempo where it does not repeat.
    """
    if len(tracked.beats) < MIN_BEATS or not _is_pulse(tracked.beats):
        return None
    return rhythm_on(
        beats=tracked.beats,
        bars=_bars(tracked, accents),
        weight=tracked.confidence,
        accents=accents,
        song=song,
    )


def _is_pulse(beats: Times) -> bool:
    intervals = np.pad(np.diff(beats), AROUND, mode="reflect")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(intervals, 2 * AROUND + 1), axis=1)
    near = np.abs(np.diff(beats) / usual - 1) <= TEMPO_RANGE
    return bool(near.mean() >= REGULAR_BEATS)


def _bars(tracked: TrackedBeats, accents: Accents) -> Bars | None:
    """Count the beats from downbeat to downbeat; None where the bars differ in length.

    A bar of twice the usual length, or thrice, is taken for several: a downbeat was missed.
    """
    first_beats = np.flatnonzero(np.isin(tracked.beats, tracked.downbeats))
    lengths = np.diff(first_beats)
    if len(lengths) < MIN_BARS:
        return None
    beats = int(np.bincount(lengths).argmax())
    share = float((lengths % beats == 0).mean())
    is_usual = (lengths == beats).mean() > 0.5
    if not is_usual or share < REGULAR_BARS or beats not in BEATS_A_BAR:
        return None
    number = np.arange(len(tracked.beats))
    last_downbeat = first_beats[np.maximum(np.searchsorted(first_beats, number, side="right") - 1, 0)]
    positions: NDArray[np.int64] = (number - last_downbeat) % beats + 1
    is_compound = beats == 2 and _divides_in_three(tracked.beats, accents)
    return Bars("6/8" if is_compound else f"{beats}/4", positions, share)


def _divides_in_three(beats: Times, accents: Accents) -> bool:
    """Whether onsets between the beats fall on both thirds rather than on halves and quarters."""
    place = accents.on_grid(frames_of(beats, accents)).sum(axis=0).mean(axis=0)
    return bool(place[[EARLY_THIRD, LATE_THIRD]].min() > max(place[HALF], place[QUARTERS].mean()))
