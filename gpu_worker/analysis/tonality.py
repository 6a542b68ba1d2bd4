"""The key of a song, and the regions of keys that it passes through."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from gpu_worker.analysis.chords import Chord
from shared.keys import Mode, MusicalKey

FREQUENCIES: dict[Mode, dict[tuple[int, str], float]] = {
    "major": {
        (0, "maj"): 0.32,
        (7, "maj"): 0.20,
        (5, "maj"): 0.18,
        (9, "min"): 0.12,
        (2, "min"): 0.08,
        (4, "min"): 0.05,
        (10, "maj"): 0.02,
        (11, "dim"): 0.01,
        (5, "min"): 0.01,
        (2, "maj"): 0.01,
    },
    "minor": {
        (0, "min"): 0.34,
        (8, "maj"): 0.13,
        (10, "maj"): 0.12,
        (5, "min"): 0.12,
        (7, "maj"): 0.10,
        (3, "maj"): 0.08,
        (7, "min"): 0.06,
        (2, "dim"): 0.02,
        (11, "dim"): 0.01,
        (5, "maj"): 0.01,
    },
}
"""How often a chord is met in a key, by semitones above the tonic and kind of triad: rough shares for tonal
popular music, set by hand."""

FOREIGN = 0.0025
"""For any other chord."""

TRIADS = {"7": "maj", "maj7": "maj", "min7": "min", "hdim7": "dim", "aug": "maj"}

OPENING, CLOSING = 2.0, 2.0
"""Log odds that a piece opens, or a key is entered, with the tonic's chord, and that it closes so."""

DURATION_POWER = 0.5
"""A chord counts as the root of how long it lasts, over USUAL_SECONDS."""

USUAL_SECONDS = 2.0
MODULATION = -7.0
"""Log likelihood that the next chord stands in another key."""

INDEPENDENT_CHORDS = 8
"""Progressions repeat: more chords than these make a key no surer."""

MIN_CONFIDENCE = 0.2
MIN_SHARE = 0.25
"""Of the song that chords must fill."""

KEYS = [MusicalKey(tonic, mode) for mode in FREQUENCIES for tonic in range(12)]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class KeyRegion:
    """A stretch in one key."""

    start: float
    """Seconds."""
    end: float
    key: MusicalKey
    confidence: float
    """0 to 1: posterior of the key given the region's chords, as if no more than eight were independent."""


@dataclass(frozen=True)
class Tonality:
    """The keys of a song."""

    key: MusicalKey
    """That of most of its time."""
    confidence: float
    """0 to 1: that of the key's longest region."""
    regions: list[KeyRegion]
    """In order and without gaps between; more than one if the song modulates."""


def find_key(*, chords: Sequence[Chord]) -> Tonality | None:
    """Find the key and its regions from the chords; None if they show none.

    A hidden Markov model over the chords, whose states are the 24 keys: in each, chords have their
    frequencies, and tonics open and close it (as in Raphael & Stoddard, Computer Music Journal 28, 2004).
    """
    sounding = [chord for chord in chords if chord.root is not None]
    if not sounding:
        return None
    filled = sum(chord.end - chord.start for chord in sounding)
    if filled < MIN_SHARE * (chords[-1].end - chords[0].start):
        return None
    evidence = np.stack([_evidence(chord) for chord in sounding])
    opening = OPENING * np.stack([_is_tonic(chord) for chord in sounding])
    evidence[-1] += CLOSING * _is_tonic(sounding[-1])
    path = _best_path(evidence, opening)
    regions = _regions(sounding, evidence, opening, path)
    total = {
        region.key: sum(each.end - each.start for each in regions if each.key == region.key)
        for region in regions
    }
    key = max(total, key=lambda each: total[each])
    longest = max((each for each in regions if each.key == key), key=lambda each: each.end - each.start)
    if longest.confidence < MIN_CONFIDENCE:
        return None
    return Tonality(key, longest.confidence, regions)


def _evidence(chord: Chord) -> Values:
    """Log likelihood of a chord in each key; (keys,)."""
    likelihood = np.array([_frequency(chord, key) for key in KEYS])
    weight = ((chord.end - chord.start) / USUAL_SECONDS) ** DURATION_POWER * chord.confidence
    return np.asarray(weight * np.log(likelihood))


def _frequency(chord: Chord, key: MusicalKey) -> float:
    assert chord.root is not None and chord.quality is not None
    known = FREQUENCIES[key.mode]
    degree = (chord.root - key.tonic) % 12
    if chord.quality in ("sus2", "sus4"):  # in place of a major or a minor triad
        return (known.get((degree, "maj"), FOREIGN) + known.get((degree, "min"), FOREIGN)) / 2
    return known.get((degree, TRIADS.get(chord.quality, chord.quality)), FOREIGN)


def _is_tonic(chord: Chord) -> Values:
    """1 for the keys whose tonic the chord is; (keys,)."""
    assert chord.quality is not None
    triad = TRIADS.get(chord.quality, chord.quality)
    fits = {"maj": ("major",), "min": ("minor",), "sus2": ("major", "minor"), "sus4": ("major", "minor")}
    modes = fits.get(triad, ())
    return np.array([float(key.tonic == chord.root and key.mode in modes) for key in KEYS])


def _best_path(evidence: Values, opening: Values) -> NDArray[np.int64]:
    """The likeliest key of each chord (Viterbi)."""
    score = evidence[0] + opening[0]
    came_from = np.zeros(evidence.shape, np.int64)
    for i in range(1, len(evidence)):
        enter = score.max() + MODULATION - np.log(len(KEYS) - 1) + opening[i]
        came_from[i] = np.where(score >= enter, np.arange(len(KEYS)), score.argmax())
        score = np.maximum(score, enter) + evidence[i]
    path = np.empty(len(evidence), np.int64)
    path[-1] = score.argmax()
    for i in range(len(evidence) - 1, 0, -1):
        path[i - 1] = came_from[i, path[i]]
    return path


def _regions(
    chords: Sequence[Chord], evidence: Values, opening: Values, path: NDArray[np.int64]
) -> list[KeyRegion]:
    edges = [0, *(np.flatnonzero(np.diff(path)) + 1), len(path)]
    times = [chords[edge].start for edge in edges[:-1]] + [chords[-1].end]
    regions = []
    for i, (first, last) in enumerate(itertools.pairwise(edges)):
        heard = evidence[first:last].sum(axis=0) * min(1, INDEPENDENT_CHORDS / (last - first))
        posterior = softmax(heard + opening[first])
        key = int(path[first])
        regions.append(KeyRegion(times[i], times[i + 1], KEYS[key], float(posterior[key])))
    return regions
