"""Pulses: trains of nearly regular moments on which the onsets of a song fall."""

from collections.abc import Iterator

import librosa
import numba
import numpy as np
from numpy.typing import NDArray

from gpu_worker.analysis.onsets import FRAME_RATE, Curve

SLOWEST_BPM = 48.0
FASTEST_BPM = 215.0
WINDOW_SECONDS = 10.0
PEAKS = 4
RATIOS = (1.0, 2.0, 0.5, 3.0, 1 / 3, 1.5, 2 / 3)
SAME_TEMPO = 0.04
TEMPO_RANGE = 0.14
"""A pulse stays within this share of its mean tempo."""

TEMPO_CHANGE_COST = 3000.0
"""Of the squared logarithm of the ratio of two neighbouring intervals, in standard deviations of strength."""

TEMPO_PULL = 300.0
"""Of the squared logarithm of the ratio of an interval to the mean: a pulse must not wander in a rest."""

OFFBEAT_REWARD = -3.0
"""For beats that are to be avoided, in standard deviations."""

Frames = NDArray[np.int64]


def candidate_periods(*strengths: Curve) -> list[float]:
    """Periods in frames that may be the beat: with which one of the strengths repeats, and simple ratios."""
    periods: list[float] = []
    repeating = [period for strength in strengths for period in _repeating_periods(strength)]
    for period in (period * ratio for ratio in RATIOS for period in repeating):
        bpm = 60 * FRAME_RATE / period
        is_new = all(abs(period / other - 1) > SAME_TEMPO for other in periods)
        if SLOWEST_BPM <= bpm <= FASTEST_BPM and is_new:
            periods.append(period)
    return periods


def _repeating_periods(strength: Curve) -> list[float]:
    """The highest peaks of the autocorrelation, in frames.

    It is averaged over windows, so that a drift of tempo does not wash it out.
    """
    size = min(len(strength), round(WINDOW_SECONDS * FRAME_RATE))
    starts = range(0, len(strength) - size + 1, max(1, size // 2))
    windows = np.stack([strength[start : start + size] for start in starts])
    windows = windows - windows.mean(axis=1, keepdims=True)
    correlation = librosa.autocorrelate(windows, axis=1).sum(axis=0)
    shortest, longest = 60 * FRAME_RATE / FASTEST_BPM / 2, min(60 * FRAME_RATE / SLOWEST_BPM * 2, size / 2)
    lags = np.arange(1, size - 1)
    # Undo the shorter overlap at longer lags.
    unbiased = correlation / np.arange(size, 0, -1)
    inner = unbiased[1:-1]
    peak = (
        (inner > unbiased[:-2])
        & (inner >= unbiased[2:])
        & (inner > 0)
        & (lags >= shortest)
        & (lags <= longest)
    )
    best = lags[peak][np.argsort(-inner[peak])][:PEAKS]
    return [lag + _vertex(*unbiased[lag - 1 : lag + 2]) for lag in best]


def _vertex(left: float, middle: float, right: float) -> float:
    """Offset of the vertex of the parabola through three equidistant values, the middle one the highest."""
    curvature = left - 2 * middle + right
    return 0.0 if curvature == 0 else float(0.5 * (left - right) / curvature)


def pulses(strength: Curve, period: float) -> Iterator[Frames]:
    """The best pulse near a period in frames, and the best that avoids it (on the offbeats, as a rule)."""
    spread = strength.std() or 1.0
    reward = ((strength - strength.mean()) / spread).astype(np.float32)
    first = _track(reward, period)
    yield first
    avoiding = reward.copy()
    margin = round(period / 6)
    for frame in first:
        avoiding[max(0, frame - margin) : frame + margin + 1] = OFFBEAT_REWARD
    yield _track(avoiding, period)


def _track(reward: Curve, period: float) -> Frames:
    lowest, highest = round(period * (1 - TEMPO_RANGE)), round(period * (1 + TEMPO_RANGE))
    steps = np.unique(np.linspace(lowest, highest, 13).round().astype(np.int64))
    # Half of the cost pulls towards the mean tempo, so that a pulse does not wander where nothing plays.
    # A change by one frame is no more than rounding.
    changes = np.maximum(0, np.abs(np.log(steps[:, None] / steps[None, :])) - 1.5 / period)
    costs = (TEMPO_CHANGE_COST * changes**2).astype(np.float32)
    pull = (TEMPO_PULL * np.log(steps / period) ** 2).astype(np.float32)
    return _best_path(reward, steps, costs, pull)


@numba.njit(cache=True)
def _best_path(reward: Curve, steps: Frames, costs: NDArray[np.float32], pull: NDArray[np.float32]) -> Frames:
    """Find the beats by dynamic programming over frames and the intervals that lead to them."""
    count, choices = len(reward), len(steps)
    score = np.empty((count, choices), np.float32)
    origin = np.full((count, choices), -1, np.int8)
    for frame in range(count):
        for choice in range(choices):
            past = frame - steps[choice]
            best = np.float32(0.0)
            if past >= 0:
                best = np.float32(-1e30)
                for previous in range(choices):
                    value = score[past, previous] - costs[choice, previous]
                    if value > best:
                        best = value
                        origin[frame, choice] = previous
            score[frame, choice] = best + reward[frame] - pull[choice]
    tail = max(0, count - steps[-1])
    top = int(np.argmax(score[tail:]))
    frame, choice = tail + top // choices, top % choices
    path = [frame]
    while origin[frame, choice] >= 0:
        previous = int(origin[frame, choice])
        frame -= int(steps[choice])
        choice = previous
        path.append(frame)
    return np.array(path[::-1], np.int64)
