"""The chords of a song, beat by beat."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from gpu_worker.analysis.pitches import NoteActivations
from gpu_worker.notation.notes import Note
from shared.keys import PITCH_CLASSES

QUALITIES: dict[str, tuple[int, ...]] = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "hdim7": (0, 3, 6, 10),
}
"""Harte's shorthands (ISMIR 2005) and their semitones above the root."""

RARITY = {"maj": 0.0, "min": 0.0, "7": 0.7, "maj7": 0.7, "min7": 0.7, "sus4": 1.0, "sus2": 1.4, "dim": 1.0}
OTHER_RARITY = 1.5
"""Negative log of how often a quality is met, against a plain triad."""

INTERVALS = {0: "1", 2: "2", 3: "b3", 4: "3", 5: "4", 6: "b5", 7: "5", 8: "#5", 10: "b7", 11: "7"}

MEAN_WEIGHT, RELATIVE_WEIGHT, BIAS = 9.0, 6.4, -6.5
"""Logistic regression of "the pitch class belongs to the chord" on a beat's mean activation and on its
maximum as a share of the beat's strongest, on the development songs."""

LOG_ODDS_LIMIT = 4.0
SOUNDING = 0.15
"""Activation that a note reaches; a beat in which none does has no chord."""

BASS_ROOT, BASS_TONE, BASS_FOREIGN = 0.7, 0.12, 0.02
"""Likelihood that the bass plays the root, each other tone of the chord, each other pitch class."""

ATTACK_WEIGHT = 0.5
"""Added for the bass note that the beat begins with."""

NO_CHORD_IN_SILENCE, NO_CHORD_IN_SOUND = 4.0, 0.5
CHANGE_ON_BEAT, CHANGE_ON_DOWNBEAT = 0.1, 0.4
STEP_WITHOUT_BEATS = 0.5
"""Seconds of the grid on which chords are found if there are no beats."""

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Chord:
    """A chord and its time."""

    start: float
    """Seconds."""
    end: float
    root: int | None
    """Pitch class, 0 for C; None for no chord."""
    quality: str | None
    """One of QUALITIES; None for no chord."""
    bass: int
    """Semitones above the root, of the lowest note."""
    confidence: float
    """0 to 1: mean posterior of this root and quality over its beats."""

    @property
    def name(self) -> str:
        """In Harte notation, such as `A:min7`, `C:maj/3` or `N`."""
        if self.root is None:
            return "N"
        return f"{PITCH_CLASSES[self.root]}:{self.quality}" + (
            f"/{INTERVALS[self.bass]}" if self.bass else ""
        )


STATES = [(root, quality) for root in range(12) for quality in QUALITIES]
"""The chords that are told apart; the state after them is no chord."""

NO_CHORD = len(STATES)
TONES = np.array([[(pc - root) % 12 in QUALITIES[quality] for pc in range(12)] for root, quality in STATES])
ROOTS = np.array([[pc == root for pc in range(12)] for root, _ in STATES])
PRIOR = -np.array([RARITY.get(quality, OTHER_RARITY) for _, quality in STATES])


def find_chords(
    *,
    activations: NoteActivations,
    bass: Sequence[Note],
    beats: ArrayLike,
    downbeats: ArrayLike = (),
) -> list[Chord]:
    """Find the chords, which change on beats only; empty if no beat has one.

    A hidden Markov model over beats: each pitch class speaks for or against the chords that it belongs to by
    the log odds of its activation, the bass for their roots; chords change most easily on downbeats. Each
    beat gets the chord of the highest posterior.

    Parameters
    ----------
    activations : NoteActivations
        Of what plays the harmony, tuned.
    bass : sequence of Note
        May be empty.
    beats, downbeats : array_like
        Seconds, ascending. With fewer than two beats the grid is one of STEP_WITHOUT_BEATS.
    """
    grid = _grid(np.asarray(beats, dtype=np.float64), activations.seconds)
    if len(grid) < 2:
        return []
    evidence = _evidence(activations, bass, grid)
    on_downbeat = np.isin(np.round(grid[:-1], 3), np.round(np.asarray(downbeats, dtype=np.float64), 3))
    posterior = _posterior(evidence, np.where(on_downbeat, CHANGE_ON_DOWNBEAT, CHANGE_ON_BEAT))
    best = posterior.argmax(axis=1)
    if (best == NO_CHORD).all():
        return []
    edges = [0, *(np.flatnonzero(np.diff(best)) + 1), len(best)]
    return [
        _chord(grid, bass, first, last, int(best[first]), float(posterior[first:last, best[first]].mean()))
        for first, last in itertools.pairwise(edges)
    ]


def _grid(beats: Values, seconds: float) -> Values:
    """Edges of the beats, from 0 to the end of the sound; the beats go on evenly where none was tracked."""
    if len(beats) < 2:
        whole = np.arange(0, seconds - STEP_WITHOUT_BEATS / 2, STEP_WITHOUT_BEATS)
        return np.append(whole, seconds)
    first, last = beats[1] - beats[0], beats[-1] - beats[-2]
    before = np.arange(beats[0] - first, 0, -first)[::-1]
    after = np.arange(beats[-1] + last, seconds, last)
    inner = np.concatenate([before, beats, after])
    inner = inner[(inner > first / 4) & (inner < seconds - last / 4)]
    return np.concatenate([[0.0], inner, [seconds]])


def _evidence(activations: NoteActivations, bass: Sequence[Note], grid: Values) -> Values:
    """Log likelihoods of the states at each beat, up to a constant; (beats, states)."""
    frames = np.clip(np.round(grid * activations.frame_rate).astype(int), 0, len(activations.notes) - 1)
    frames[1:] = np.maximum(frames[1:], frames[:-1] + 1)
    classes = activations.pitch_classes
    mean = np.stack(
        [classes[a:b].mean(axis=0) if a < len(classes) else 0 * classes[0] for a, b in _pairs(frames)]
    )
    peak = np.stack(
        [classes[a:b].max(axis=0) if a < len(classes) else 0 * classes[0] for a, b in _pairs(frames)]
    )
    strongest = peak.max(axis=1, keepdims=True)
    odds = MEAN_WEIGHT * mean + RELATIVE_WEIGHT * peak / (strongest + 1e-6) + BIAS
    odds = np.clip(odds, -LOG_ODDS_LIMIT, LOG_ODDS_LIMIT) * (strongest > SOUNDING)
    played = _bass_classes(bass, grid)
    likelihood = np.log(12 * np.where(ROOTS, BASS_ROOT, np.where(TONES, BASS_TONE, BASS_FOREIGN)))
    chords = odds @ TONES.T + np.minimum(played, 1.5) @ likelihood.T + PRIOR
    silent = (strongest[:, 0] <= SOUNDING) & (played.sum(axis=1) < 0.05)
    return np.column_stack([chords, np.where(silent, NO_CHORD_IN_SILENCE, NO_CHORD_IN_SOUND)])


def _pairs(edges: NDArray[np.int64]) -> list[tuple[int, int]]:
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def _bass_classes(bass: Sequence[Note], grid: Values) -> Values:
    """How much of each beat the bass spends on each pitch class; (beats, 12)."""
    played = np.zeros((len(grid) - 1, 12))
    for note in bass:
        first = max(0, int(np.searchsorted(grid, note.onset, "right")) - 1)
        last = min(len(played), int(np.searchsorted(grid, note.offset)))
        for beat in range(first, last):
            length = grid[beat + 1] - grid[beat]
            overlap = min(grid[beat + 1], note.offset) - max(grid[beat], note.onset)
            played[beat, note.pitch % 12] += note.confidence * overlap / length
        begun = int(np.clip(np.searchsorted(grid, note.onset + 0.08, "right") - 1, 0, len(played) - 1))
        if note.onset - grid[begun] < 0.1:
            played[begun, note.pitch % 12] += ATTACK_WEIGHT
    return played


def _posterior(evidence: Values, change: Values) -> Values:
    """Posteriors of the states (forward-backward), where a change leads to any state; (beats, states)."""
    count = evidence.shape[1]
    stay, leave = np.log1p(-change), np.log(change / (count - 1))
    forward, backward = np.empty_like(evidence), np.zeros_like(evidence)
    forward[0] = evidence[0]
    for i in range(1, len(evidence)):
        moved = logsumexp(forward[i - 1]) + leave[i]
        forward[i] = evidence[i] + np.logaddexp(forward[i - 1] + stay[i], moved)
        forward[i] -= forward[i].max()
    for i in range(len(evidence) - 2, -1, -1):
        ahead = evidence[i + 1] + backward[i + 1]
        backward[i] = np.logaddexp(ahead + stay[i + 1], logsumexp(ahead) + leave[i + 1])
        backward[i] -= backward[i].max()
    joint = forward + backward
    return np.asarray(np.exp(joint - logsumexp(joint, axis=1, keepdims=True)))


def _chord(grid: Values, bass: Sequence[Note], first: int, last: int, state: int, confidence: float) -> Chord:
    start, end = float(grid[first]), float(grid[last])
    if state == NO_CHORD:
        return Chord(start=start, end=end, root=None, quality=None, bass=0, confidence=confidence)
    root, quality = STATES[state]
    return Chord(
        start=start,
        end=end,
        root=root,
        quality=quality,
        bass=_inversion(bass, start, end, root, quality),
        confidence=confidence,
    )


def _inversion(bass: Sequence[Note], start: float, end: float, root: int, quality: str) -> int:
    """The bass's interval above the root, if what it begins with is a tone of the chord; else 0."""
    played = [note for note in bass if start - 0.08 <= note.onset < start + 0.3 * (end - start)]
    if not played:
        return 0
    interval = (min(played, key=lambda note: note.onset).pitch - root) % 12
    return interval if interval in QUALITIES[quality] else 0
