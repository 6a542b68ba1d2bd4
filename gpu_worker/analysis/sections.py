"""Sections: where a song turns to something else, and which of its parts recur."""

import functools
import string
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_worker.analysis.meter import Accents
from gpu_worker.analysis.onsets import FRAME_RATE, HOP
from gpu_worker.analysis.sound import SILENCE_DBFS, Sound

WEIGHTS = Path(__file__).with_name("sections.npy")
"""Shape (evidence + 1,): what each piece of evidence counts for a boundary, and the bias."""

MIN_BARS = 4
"""A song of fewer bars is not divided."""

WINDOWS = (1, 2, 4, 8)
"""Bars before and after a bar line that are compared."""

LAGS = (2, 4, 8)
"""Bars after which harmony may repeat."""

STEPS = 8
"""Moments within a bar at which drums and harmony are looked at."""

EARLY_FRAMES = 3
"""By which a stroke may come before its step."""

MIN_SECONDS = 4.0
"""Between two boundaries."""

LIKELY = 0.4
"""Likelihood from which on a bar line is a boundary."""

SAME_HARMONY = 0.9
"""Similarity from which on two sections share a letter."""

SAME_SOUND = 0.08
"""Mean difference of levels (1 is 60 dB) above which a section of the same letter is a variant."""

LEAST_DIFFERENCE = 0.02
"""Between what comes before and after a boundary, in at least one respect."""

FILL_BARS = 4

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Section:
    """A part of a song."""

    start: float
    """Seconds."""
    end: float
    label: str
    """Sections of one letter share their harmony; one with a prime (A') is transposed or sounds different."""
    confidence: float
    """Likelihood of the boundary at the start, 0 to 1; of that at the end for the first section."""


@dataclass(frozen=True)
class BarFeatures:
    """What a song does in each bar; the first axis is bars."""

    levels: Values
    """(bars, stems): 0 at SILENCE_DBFS or below, 1 at full scale."""
    drums: Values
    """(bars, 3, STEPS): kick, snare, other drums."""
    harmony: Values
    """(bars, 2, STEPS, 12): chroma of bass and chords, of length 1 where they sound, else 0."""


def find_sections(*, accents: Accents, stems: Sequence[Sound], downbeats: Values) -> list[Section]:
    """Divide a song into sections, which begin at downbeats; empty if there are too few bars to tell.

    Each bar line is compared as a checkerboard does along the diagonal of a self-similarity matrix (Foote
    2000): levels, drums and harmony of the bars before it with those after it, over several spans; whether
    harmony repeats across it (Serrà et al. 2014); and whether a fill leads to it. A logistic regression over
    that, fitted to rendered songs by benchmarks/analysis/fit_rhythm.py, gives its likelihood.
    """
    if len(downbeats) < MIN_BARS:
        return []
    end = min(downbeats[-1] + np.median(np.diff(downbeats)), stems[0].seconds)
    bars = np.append(downbeats, max(end, downbeats[-1]))
    features = bar_features(accents=accents, stems=stems, bars=bars)
    likelihoods = _boundary_likelihoods(features)
    boundaries = _boundaries(likelihoods, bars)
    edges = [0, *boundaries, len(downbeats)]
    labels = _labels(features, edges)
    sure = [likelihoods[line - 1] for line in boundaries]
    confidences = [sure[0], *sure] if sure else [1 - likelihoods.max()]
    return [
        Section(float(bars[first]), float(bars[last]), label, float(confidence))
        for first, last, label, confidence in zip(edges, edges[1:], labels, confidences, strict=False)
    ]


def bar_features(*, accents: Accents, stems: Sequence[Sound], bars: Values) -> BarFeatures:
    """Measure the bars between given times in seconds."""
    count = len(bars) - 1
    edges = np.clip((bars * FRAME_RATE).round().astype(int), 0, len(accents.kick))
    steps = np.interp(np.arange(count * STEPS + 1) / STEPS, np.arange(count + 1), edges).astype(int)
    curves = np.stack([accents.kick, accents.snare, accents.others])
    spans = zip(
        np.maximum(0, steps[:-1] - EARLY_FRAMES), np.maximum(1, steps[1:] - EARLY_FRAMES), strict=True
    )
    strokes = np.stack([curves[:, start:end].max(axis=1, initial=0) for start, end in spans])
    return BarFeatures(
        levels=np.stack([_levels(stem, edges) for stem in stems], axis=1),
        drums=strokes.reshape(count, STEPS, 3).transpose(0, 2, 1),
        harmony=np.stack(
            [_harmony(chroma, steps) for chroma in (accents.bass_chroma, accents.chroma)], axis=1
        ),
    )


def boundary_evidence(features: BarFeatures) -> Values:
    """What speaks for a boundary at each bar line but the first; (bars - 1, evidence)."""
    return np.array([_evidence(features, line) for line in range(1, len(features.levels))])


def _evidence(features: BarFeatures, line: int) -> list[float]:
    drums, harmony = features.drums, features.harmony
    crash = drums[:, 2, 0]
    evidence = [crash[line] - np.median(crash), crash[line] - crash[line - 1]]
    groups = [
        features.levels,
        drums.reshape(len(drums), -1) / 3,
        harmony[:, 0].mean(axis=1),
        harmony[:, 1].mean(axis=1),
    ]
    for window in WINDOWS:
        before, after = slice(max(0, line - window), line), slice(line, line + window)
        evidence += [float(np.linalg.norm(v[after].mean(axis=0) - v[before].mean(axis=0))) for v in groups]
    usual = drums[max(0, line - 1 - FILL_BARS) : line - 1]
    fill = np.abs(drums[line - 1] - usual.mean(axis=0)) if len(usual) else np.zeros(drums.shape[1:])
    evidence += [fill[:, STEPS // 2 :].mean(), fill[:, : STEPS // 2].mean()]
    evidence += [float(line % bars == 0) for bars in (2, 4, 8)]
    for lag in LAGS:
        following = harmony[line : line + lag]
        past = harmony[max(0, line - lag) : line][: len(following)]
        repeats = len(following) == len(past)
        evidence.append(float(10 * np.abs(following - past).mean()) if repeats else 0.5)
    return evidence


def _levels(stem: Sound, edges: NDArray[np.int64]) -> Values:
    power = np.concatenate([[0], np.cumsum(np.square(stem.samples, dtype=np.float64))])
    at = np.minimum(edges * HOP, len(stem.samples))
    mean = np.diff(power[at]) / np.maximum(1, np.diff(at))
    levels: Values = np.clip(1 - 10 * np.log10(np.maximum(mean, 1e-12)) / SILENCE_DBFS, 0, 1)
    return levels


def _harmony(chroma: Values, steps: NDArray[np.int64]) -> Values:
    total = np.concatenate([np.zeros((12, 1)), np.cumsum(chroma, axis=1)], axis=1)
    sums = np.diff(total[:, np.minimum(steps, chroma.shape[1])], axis=1)
    lengths = np.linalg.norm(sums, axis=0)
    sounding = lengths > 1e-6 * lengths.max(initial=0)
    units = np.where(sounding, sums / np.where(sounding, lengths, 1), 0)
    return units.T.reshape(-1, STEPS, 12)


def _boundary_likelihoods(features: BarFeatures) -> Values:
    weights, bias = _weights()[:-1], _weights()[-1]
    evidence = boundary_evidence(features)
    differs = np.abs(evidence[:, : 2 + 4 * len(WINDOWS)]).max(axis=1) > LEAST_DIFFERENCE
    # Its place in the song alone makes no bar line a boundary.
    likelihoods: Values = differs / (1 + np.exp(-(evidence @ weights + bias)))
    return likelihoods


@functools.cache
def _weights() -> Values:
    weights: Values = np.load(WEIGHTS)
    return weights


def _boundaries(likelihoods: Values, bars: Values) -> list[int]:
    """The likeliest bar lines, at least MIN_SECONDS apart."""
    chosen: list[int] = []
    for line in 1 + np.argsort(-likelihoods):
        if likelihoods[line - 1] < LIKELY:
            break
        if all(abs(bars[line] - bars[other]) >= MIN_SECONDS for other in chosen):
            chosen.append(int(line))
    return sorted(chosen)


def _labels(features: BarFeatures, edges: list[int]) -> list[str]:
    """Letters by recurrence, and primes for what recurs in another key or another arrangement."""
    parts = [slice(first, last) for first, last in pairwise(edges)]
    models: list[slice] = []
    labels = []
    for part in parts:
        likenesses = [_similarity(features, model, part) for model in models]
        alike = [place for place, (likeness, _) in enumerate(likenesses) if likeness >= SAME_HARMONY]
        if not alike:
            labels.append(_letter(len(models)))
            models.append(part)
            continue
        number = alike[0]
        is_variant = likenesses[number][1] != 0 or _difference(features, models[number], part) > SAME_SOUND
        labels.append(_letter(number) + ("'" if is_variant else ""))
    return labels


def _letter(number: int) -> str:
    """A to Z, then A2, B2, and so on."""
    repeat, place = divmod(number, len(string.ascii_uppercase))
    return string.ascii_uppercase[place] + (str(repeat + 1) if repeat else "")


def _similarity(features: BarFeatures, one: slice, other: slice) -> tuple[float, int]:
    """Mean cosine similarity of the harmony bar by bar, in the transposition (semitones) that suits best."""
    first, second = features.harmony[one], features.harmony[other]
    count = min(len(first), len(second))
    first, second = first[:count], second[:count]
    heard = np.maximum(first.any(axis=3), second.any(axis=3)).sum()
    if heard == 0:
        # Drums alone: what they play decides.
        return 1 - float(np.abs(features.drums[one][:count] - features.drums[other][:count]).mean()), 0
    shares = [float((first * np.roll(second, -shift, axis=3)).sum() / heard) for shift in range(12)]
    best = int(np.argmax(shares))
    return shares[best], best


def _difference(features: BarFeatures, one: slice, other: slice) -> float:
    return float(np.abs(features.levels[one].mean(axis=0) - features.levels[other].mean(axis=0)).max())
