"""Which General MIDI programs play, each corrected by its own intonation, so that the tuning is known.

The samples of soundfonts are up to some cents off: `intonation.json` has each program's, measured by
`python -m benchmarks.analysis.intonation`. Programs that are uneven from note to note don't play.
"""

import functools
import json
from pathlib import Path

import numpy as np
from numpy.random import Generator

from benchmarks.analysis.arrangement import Score

INTONATION = Path(__file__).with_name("intonation.json")
UNEVEN_CENTS = 2.0
PROGRAMS = {
    "bass": [32, 33, 34, 35, 36, 37, 38, 39],
    "pad": [16, 18, 48, 49, 51, 61, 89, 90, 92, 94],
    "comping": [0, 1, 2, 4, 5, 6, 16, 17, 18],
    "arpeggio": [0, 4, 8, 11, 12, 24, 25, 46, 81],
    "strum": [24, 25, 26, 27, 28, 29, 30],
    "lead": [22, 26, 29, 30, 40, 56, 57, 61, 64, 65, 66, 68, 71, 73, 75, 80, 81],
    "voice": [53],
}


def cents_of(a4: float) -> float:
    """How far a tuning is above 440 Hz."""
    return float(1200 * np.log2(a4 / 440))


def soundfont(score: Score) -> str:
    """The Debian package of the soundfont that a song's instruments come from."""
    return str(score.rng("soundfont").choice(sorted(_intonation())))


def draw(package: str, role: str, rng: Generator) -> tuple[int, float]:
    """Draw an even program for a role, and how many cents it is above its pitch."""
    even = [program for program in PROGRAMS[role] if program in _even(package)]
    program = int(rng.choice(even))
    return program, _even(package)[program]


@functools.cache
def _intonation() -> dict[str, dict[str, list[float]]]:
    read: dict[str, dict[str, list[float]]] = json.loads(INTONATION.read_text())
    return read


@functools.cache
def _even(package: str) -> dict[int, float]:
    """Median cents of the programs of a soundfont whose notes agree with one another."""
    medians = {int(program): float(np.median(cents)) for program, cents in _intonation()[package].items()}
    return {
        program: median
        for program, median in medians.items()
        if np.percentile(np.abs(np.array(_intonation()[package][str(program)]) - median), 75) <= UNEVEN_CENTS
    }
