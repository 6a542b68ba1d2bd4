"""Where a part lies on a fretboard: string and fret of each note."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FRETS = 22
HAND_FRETS = 4
"""Frets that a hand spans."""

MOST_FINGERINGS = 64
"""Kept of a chord's: the lowest and narrowest."""

HEIGHT_COST, SPAN_COST, MOVE_COST = 0.15, 0.5, 1.0
"""Per fret: up the neck, within a chord, and from one hand position to the next."""


class Place(NamedTuple):
    """A note on the fretboard."""

    string: int
    """1 for the highest."""
    fret: int


@dataclass(frozen=True)
class Instrument:
    """A fretted instrument."""

    strings: tuple[int, ...]
    """MIDI numbers of the open strings, the highest first."""


GUITAR = Instrument((64, 59, 55, 50, 45, 40))
BASS = Instrument((43, 38, 33, 28))
FIVE_STRING_BASS = Instrument((43, 38, 33, 28, 23))


def bass_for(pitches: Sequence[int]) -> Instrument:
    """Return the bass that reaches a part's lowest note."""
    return FIVE_STRING_BASS if min(pitches, default=127) < min(BASS.strings) else BASS


class _Fingering(NamedTuple):
    places: tuple[Place, ...]
    hand: float
    """Mean of the stopped frets; nan if all strings are open, which leaves the hand free."""
    cost: float


def find_tablature(
    *, chords: Sequence[Sequence[int]], instrument: Instrument
) -> list[tuple[Place, ...] | None]:
    """Choose the fingerings that move the hand least over a part.

    A dynamic programme over the fingerings of each chord (Sayegh 1989): low, narrow and near the last one.

    Parameters
    ----------
    chords : sequence of sequences of int
        MIDI numbers of what is played together, in order of time.
    instrument : Instrument
        What it is played on.

    Returns
    -------
    list
        A place for each note of each chord; None for a chord that the instrument can't play.
    """
    options = [_fingerings(chord, instrument) for chord in chords]
    playable = [place for place, found in enumerate(options) if found]
    best: list[tuple[Place, ...] | None] = [None] * len(chords)
    if not playable:
        return best
    costs = np.array([each.cost for each in options[playable[0]]])
    origins: list[NDArray[np.int64]] = []
    for before, after in itertools.pairwise(playable):
        hands = [np.array([each.hand for each in options[place]]) for place in (before, after)]
        moves = np.nan_to_num(np.abs(hands[0][:, None] - hands[1][None, :]), nan=0.0)
        totals = costs[:, None] + MOVE_COST * moves
        origins.append(totals.argmin(axis=0))
        costs = totals.min(axis=0) + np.array([each.cost for each in options[after]])
    choice = int(costs.argmin())
    for place, origin in zip(reversed(playable), [*reversed(origins), None], strict=True):
        best[place] = options[place][choice].places
        if origin is not None:
            choice = int(origin[choice])
    return best


def _fingerings(chord: Sequence[int], instrument: Instrument) -> list[_Fingering]:
    """All ways to play a chord, each note on a string of its own, the cheapest first."""
    if not chord or len(chord) > len(instrument.strings):
        return []
    found: list[tuple[Place, ...]] = [()]
    for pitch in chord:
        found = [
            (*places, Place(string, pitch - open_pitch))
            for places in found
            for string, open_pitch in enumerate(instrument.strings, start=1)
            if 0 <= pitch - open_pitch <= FRETS and all(string != place.string for place in places)
        ]
        found = [places for places in found if _span(places) < HAND_FRETS]
    fingerings = [_Fingering(places, _hand(places), _cost(places)) for places in found]
    return sorted(fingerings, key=lambda each: each.cost)[:MOST_FINGERINGS]


def _stopped(places: tuple[Place, ...]) -> list[int]:
    return [place.fret for place in places if place.fret]


def _span(places: tuple[Place, ...]) -> int:
    frets = _stopped(places)
    return max(frets) - min(frets) if frets else 0


def _hand(places: tuple[Place, ...]) -> float:
    frets = _stopped(places)
    return sum(frets) / len(frets) if frets else float("nan")


def _cost(places: tuple[Place, ...]) -> float:
    return HEIGHT_COST * sum(_stopped(places)) / len(places) + SPAN_COST * _span(places)
