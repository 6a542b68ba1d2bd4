"""Chord progressions in a key, their names in Harte notation, and their tones."""

from dataclasses import dataclass
from typing import NamedTuple

from numpy.random import Generator

from shared.keys import PITCH_CLASSES

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
QUALITIES = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "dim": (0, 3, 6),
    "sus4": (0, 5, 7),
    "sus2": (0, 2, 7),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "7": (0, 4, 7, 10),
    "hdim7": (0, 3, 6, 10),
}
ROMAN = {
    "major": {
        "I": (0, "maj", "maj7"),
        "ii": (2, "min", "min7"),
        "iii": (4, "min", "min7"),
        "IV": (5, "maj", "maj7"),
        "V": (7, "maj", "7"),
        "vi": (9, "min", "min7"),
    },
    "minor": {
        "i": (0, "min", "min7"),
        "ii": (2, "dim", "hdim7"),
        "III": (3, "maj", "maj7"),
        "iv": (5, "min", "min7"),
        "v": (7, "min", "min7"),
        "V": (7, "maj", "7"),
        "VI": (8, "maj", "maj7"),
        "VII": (10, "maj", "7"),
    },
}
# The first list is for sections that state the key, the second for the others.
PROGRESSIONS = {
    "major": (
        ["I V vi IV", "I vi IV V", "I IV I V", "I ii IV V", "I IV V I", "I iii IV V"],
        ["vi IV I V", "IV I V vi", "ii V I vi", "IV V iii vi", "IV V I I", "vi ii V I"],
    ),
    "minor": (
        ["i VI III VII", "i iv V i", "i VII VI V", "i iv VII III", "i VI iv V", "i v VI VII"],
        ["VI VII i i", "iv i V i", "III VII i VI", "iv VII III VI", "VI iv i V", "ii V i i"],
    ),
}


class Chord(NamedTuple):
    """A chord: root as a pitch class, quality, and the bass as semitones above the root."""

    root: int
    quality: str
    bass: int = 0

    @property
    def tones(self) -> list[int]:
        """Pitch classes, from the root up."""
        return [(self.root + step) % 12 for step in QUALITIES[self.quality]]

    @property
    def harte(self) -> str:
        """The name after Harte et al. (ISMIR 2005), such as "D:min/b3"."""
        inversion = {0: "", 3: "/b3", 4: "/3", 6: "/b5", 7: "/5"}[self.bass]
        return f"{PITCH_CLASSES[self.root]}:{self.quality}{inversion}"


@dataclass(frozen=True)
class Span:
    """A chord with its place in beats."""

    start: float
    end: float
    chord: Chord


def progression(
    rng: Generator, *, tonic: int, mode: str, harmony: str, inversions: bool, states_key: bool
) -> list[Chord]:
    """Draw four chords."""
    romans = str(rng.choice(PROGRESSIONS[mode][0 if states_key else 1])).split()
    chords = []
    for roman in romans:
        step, triad, seventh = ROMAN[mode][roman]
        quality = seventh if harmony == "sevenths" and rng.random() < 0.75 else triad
        if harmony == "suspended" and quality == "maj" and rng.random() < 0.5:
            quality = str(rng.choice(["sus4", "sus4", "sus2"]))
        bass = 0
        if inversions and quality in ("maj", "min") and rng.random() < 0.35:
            bass = int(rng.choice(QUALITIES[quality][1:]))
        chords.append(Chord((tonic + step) % 12, quality, bass))
    return chords


def melody_tones(chord: Chord, tonic: int, mode: str) -> list[int]:
    """Pitch classes for passing notes: the scale, without what rubs against the chord, and the chord."""
    scale = {(tonic + step) % 12 for step in SCALES[mode]}
    rubbing = {(tone + step) % 12 for tone in chord.tones for step in (-1, 1)}
    return sorted((scale - rubbing) | set(chord.tones))


def nearest(pitch: float, classes: list[int], low: int, high: int) -> int:
    """The MIDI number in a range that belongs to one of the pitch classes and lies nearest to a pitch."""
    return min((p for p in range(low, high + 1) if p % 12 in classes), key=lambda p: (abs(p - pitch), p))
