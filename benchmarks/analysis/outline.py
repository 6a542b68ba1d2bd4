"""What a song is to be, decided by its number alone: tempo, meter, key, form, faults and instruments."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from benchmarks.analysis.meters import METERS, Meter

SONGS = 64
SHORT_SONGS = (100, 101, 102)
"""Two sections each, for tests: plain 4/4, swing with a detuning, and a waltz that fades in."""

FIRST_TRAINING_SONG = 200
"""Even numbers from here on are more songs of the dev half's kind, to train on: no score uses them."""

TARGET_SECONDS = 40.0
SECTION_SECONDS = 9.0
FORMS = {2: ["AB"], 3: ["ABA"], 4: ["AABA", "ABAB"], 5: ["IABAB", "ABABC"], 6: ["IABABO", "ABACAB"]}
SECTION_BARS = (2, 4, 8, 16)
DRIFT = 0.06
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A song in outline; what is not plain about it stands here, so that scores can be told apart by it."""

    number: int
    meter: Meter
    bpm: float
    """Beats a minute at the start; in 6/8 the beat is the dotted quarter."""
    drift: str
    """"steady", "rising" or "falling" by 6 % from first to last beat, or "wavering" by that much."""
    swing: float
    """Length of the first eighth of a beat over that of the second; 1 is straight."""
    tonic: int
    mode: str
    modulation: int
    """Semitones by which the last sections stand above the first; 0 for none."""
    a4: float
    """Hz."""
    drums: str
    """"plain", "syncopated", "sparse" or "none"."""
    harmony: str
    """"triads", "sevenths" or "suspended"."""
    inversions: bool
    has_vocals: bool
    form: str
    section_bars: int
    lead_in: float
    """Seconds of silence before the first beat."""
    fade: str
    """"none", "in", "out" or "both"."""

    @property
    def half(self) -> str:
        """Whether the song may be developed on, or is kept for the scores."""
        return "test" if self.number % 2 else "dev"


def draw(number: int) -> Outline:
    """Draw the outline of a song.

    Traits are dealt from shuffled decks, separately for the two halves, so that each half has all of them
    in the same shares.

    Raises
    ------
    ValueError
        If there is no such song.
    """
    if number in SHORT_SONGS:
        return _short(number)
    is_for_training = number >= FIRST_TRAINING_SONG and number % 2 == 0
    if not (0 <= number < SONGS or is_for_training):
        raise ValueError(
            f"there is no song {number}: they are 0 to {SONGS - 1}, {SHORT_SONGS}, "
            f"and the even ones from {FIRST_TRAINING_SONG} on"
        )
    half, place = number % 2, number // 2
    rng = np.random.default_rng([15, number])
    meter = METERS[_deal(["4/4"] * 8 + ["3/4"] * 3 + ["6/8"] * 3 + ["2/4"] * 2, half, place, "meter")]
    bpm = _bpm(meter, half, place, within=float(rng.random()) if is_for_training else 0.5)
    simple = meter.eighths == 2
    swing = _deal([1.0] * 5 + [1.5, 1.7, 2.0], half, place, "swing") if simple and bpm < 180 else 1.0
    key = _deal(list(range(24)), half, place, "key")
    bars = _section_bars(meter, bpm)
    sections = int(np.clip(round(TARGET_SECONDS / (bars * meter.beats * 60 / bpm)), 3, 6))
    return Outline(
        number=number,
        meter=meter,
        bpm=bpm,
        drift=_deal(["steady"] * 5 + ["rising", "falling", "wavering"], half, place, "drift"),
        swing=swing,
        tonic=key % 12,
        mode="major" if key < 12 else "minor",
        modulation=_deal([0] * 6 + [1, 2, 0, 3], half, place, "modulation"),
        a4=_deal([440.0] * 3 + [0.0] * 3, half, place, "a4") or float(np.round(rng.uniform(430, 450), 2)),
        drums=_deal(["plain"] * 6 + ["syncopated"] * 3 + ["sparse"] * 2 + ["none"], half, place, "drums"),
        harmony=_deal(["triads"] * 3 + ["sevenths"] * 2 + ["suspended"], half, place, "harmony"),
        inversions=_deal([True, False, False], half, place, "inversions"),
        has_vocals=_deal([True] * 4 + [False], half, place, "vocals"),
        form=str(rng.choice(FORMS[sections])),
        section_bars=bars,
        lead_in=_deal([0.1, 0.3, 0.5, 0.8, 1.5, 3.0], half, place, "lead-in"),
        fade=_deal(["none"] * 5 + ["in", "out", "both"], half, place, "fade"),
    )


def _short(number: int) -> Outline:
    place = SHORT_SONGS.index(number)
    bpm = (112.0, 126.0, 150.0)[place]
    meter = METERS[("4/4", "4/4", "3/4")[place]]
    return Outline(
        number=number,
        meter=meter,
        bpm=bpm,
        drift="steady",
        swing=(1.0, 2.0, 1.0)[place],
        tonic=(9, 3, 7)[place],
        mode=("major", "minor", "major")[place],
        modulation=0,
        a4=(440.0, 446.0, 440.0)[place],
        drums="plain",
        harmony="triads",
        inversions=False,
        has_vocals=True,
        form="AB",
        section_bars=_section_bars(meter, bpm),
        lead_in=0.3,
        fade=("none", "none", "in")[place],
    )


def _bpm(meter: Meter, half: int, place: int, *, within: float) -> float:
    """A tempo from the meter's range, evenly spread over the half's songs on a logarithmic scale.

    Each song has a slot of its own; `within` is the place in it, 0 to 1.
    """
    slots = SONGS // 2
    slot = _deal(list(range(slots)), half, place, "tempo")
    low, high = meter.tempi
    return float(np.round(low * (high / low) ** ((slot + within) / slots), 2))


def _section_bars(meter: Meter, bpm: float) -> int:
    bar = meter.beats * 60 / bpm
    return min(SECTION_BARS, key=lambda bars: abs(np.log(bars * bar / SECTION_SECONDS)))


def _deal(deck: list[T], half: int, place: int, name: str) -> T:
    """The card that falls to a song, where each deck is shuffled anew for each round."""
    round_number, index = divmod(place, len(deck))
    rng = np.random.default_rng([half, round_number, *name.encode()])
    return deck[int(rng.permutation(len(deck))[index])]
