"""Notes, and their places on the beat grid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]

STEPS_PER_BEAT = (4, 3)
"""Sixteenths and eighth triplets of a beat."""

COMPOUND_STEPS = (6,)
"""Sixteenths of a dotted quarter, the beat of 6/8."""

TRIPLET_GAIN = 0.8
"""A beat is read in triplets only if they leave less than this share of the error of sixteenths."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """A note as it was played, and as it would be written."""

    onset: float
    """Seconds."""
    offset: float
    """Seconds, after the onset."""
    pitch: int
    """MIDI number, counted from the song's own tuning."""
    velocity: int
    """MIDI velocity, 1 to 127: 100 at the part's upper level, 3 less for each dB below."""
    confidence: float
    """0 to 1."""
    beat: float | None = None
    """Quantised onset in beats, 0 at the first beat; None without a beat grid."""
    beats: float | None = None
    """Quantised length in beats."""


def quantise(
    *, notes: Sequence[Note], beats: ArrayLike, steps: tuple[int, ...] = STEPS_PER_BEAT
) -> list[Note]:
    """Place notes on the beat grid; their times in seconds stay as they are.

    Each beat's onsets are read in sixteenths or, where that fits clearly better, in eighth triplets.

    Parameters
    ----------
    notes : sequence of Note
        In any order.
    beats : array_like
        Seconds, ascending; with fewer than two there is no grid, and the notes come back unchanged.
    steps : tuple of int
        Into how many steps a beat may be divided, the usual number first.
    """
    grid = np.asarray(beats, dtype=np.float64)
    if len(grid) < 2 or not notes:
        return list(notes)
    onsets = _in_beats(np.array([note.onset for note in notes]), grid)
    offsets = _in_beats(np.array([note.offset for note in notes]), grid)
    # An onset just before a beat belongs to that beat.
    members = np.floor(onsets + 0.125).astype(int)
    steps_of = {beat: _steps(onsets[members == beat] - beat, steps) for beat in np.unique(members)}
    placed = []
    for note, onset, offset, member in zip(notes, onsets, offsets, members, strict=True):
        step = steps_of[member]
        start = round(onset * step) / step
        length = max(1, round((offset - start) * step)) / step
        placed.append(replace(note, beat=start, beats=length))
    return placed


def _in_beats(times: Values, grid: Values) -> Values:
    """Convert seconds to beats, going on evenly before the first and after the last."""
    places = np.interp(times, grid, np.arange(len(grid)))
    before, after = times < grid[0], times > grid[-1]
    places[before] = (times[before] - grid[0]) / (grid[1] - grid[0])
    places[after] = len(grid) - 1 + (times[after] - grid[-1]) / (grid[-1] - grid[-2])
    return np.asarray(places)


def _steps(within: Values, choice: tuple[int, ...]) -> int:
    """Return into how many steps a beat with onsets at these places is divided."""
    usual, *others = choice
    errors = {step: float(np.abs(within * step - np.round(within * step)).sum()) / step for step in choice}
    return next((step for step in others if errors[step] < TRIPLET_GAIN * errors[usual]), usual)


def velocities(levels_db: Values) -> list[int]:
    """Turn the notes' levels into MIDI velocities: the part's 90th percentile is 100, a dB about 3."""
    if not len(levels_db):
        return []
    relative = levels_db - np.percentile(levels_db, 90)
    return [int(value) for value in np.clip(np.round(100 + 3 * relative), 1, 127)]
