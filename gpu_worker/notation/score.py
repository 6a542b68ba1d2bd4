"""A part as it is written: its notes on the beat grid, in bars of the song's metre."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from gpu_worker.notation.notes import COMPOUND_STEPS, STEPS_PER_BEAT, Note, quantise
from gpu_worker.notation.tablature import GUITAR, Place, bass_for, find_tablature
from shared.keys import MusicalKey
from shared.models import StemType

DRUM_PITCHES = {
    "kick": 36,
    "snare": 38,
    "hihat_closed": 42,
    "hihat_open": 46,
    "tom": 47,
    "cymbal": 49,
    "percussion": 54,
}
"""Keys of General MIDI's percussion map; tom and percussion stand for any of their kind."""


MONOPHONIC = frozenset({StemType.BASS, StemType.VOCALS})


@dataclass(frozen=True)
class Metre:
    """A time signature, and the beat that the analysis counts in it."""

    beats: int
    """Beats a bar; in 6/8 two."""
    beat_quarters: Fraction
    """Length of a beat in quarter notes; in 6/8 three halves."""
    signature: tuple[int, int]

    @classmethod
    def parse(cls, text: str) -> "Metre":
        """Read a signature such as "6/8"; eighths in threes are compound.

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            count, unit = (int(number) for number in text.split("/"))
            quarter = Fraction(4, unit)
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"timeSignature {text!r} is none: expected one such as '3/4'") from None
        if count < 1 or unit not in (1, 2, 4, 8, 16, 32):
            raise ValueError(f"timeSignature {text!r} is none: expected one such as '3/4'")
        if unit >= 8 and count > 3 and count % 3 == 0:
            return cls(count // 3, 3 * quarter, (count, unit))
        return cls(count, quarter, (count, unit))

    @property
    def is_compound(self) -> bool:
        """Whether a beat has three parts."""
        return self.beat_quarters.numerator == 3

    @property
    def bar_quarters(self) -> Fraction:
        """Length of a bar in quarter notes."""
        return self.beats * self.beat_quarters


@dataclass(frozen=True)
class Music:
    """What the analysis says of the song that a part is written in; None or empty where it does not."""

    beats: Sequence[float]
    """Seconds."""
    first_position: int | None
    """Place of the first beat in its bar, from 1; None, too, where a bar is shorter or longer than others."""
    metre: Metre | None
    key: MusicalKey | None
    bpm: float | None
    tuning: float | None
    """A4 in Hz."""

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "Music":
        """Read a stem's values as the analysis writes them, structures as native JSON.

        Raises
        ------
        ValueError
            If one is malformed.
        """
        beats = values.get("beats") or []
        try:
            times = [float(beat["time"]) for beat in beats]
            positions = [int(beat["position"]) for beat in beats if "position" in beat]
        except (TypeError, KeyError, ValueError):
            raise ValueError("beats must be a list of {time, position}") from None
        if any(later <= earlier for earlier, later in itertools.pairwise(times)):
            raise ValueError("beats must ascend")
        signature, key = values.get("timeSignature"), values.get("key")
        metre = Metre.parse(signature) if signature else None
        return cls(
            beats=times,
            first_position=positions[0] if metre and _count_on(positions, metre.beats) else None,
            metre=metre,
            key=MusicalKey.parse(key) if key else None,
            bpm=values.get("bpm"),
            tuning=values.get("tuning"),
        )

    @property
    def has_bars(self) -> bool:
        """Whether it can be written in bars."""
        return self.metre is not None and self.first_position is not None and len(self.beats) > 1

    @property
    def tuning_cents(self) -> float:
        """How far the song is tuned above A4 = 440 Hz; 0 where no tuning was found."""
        return 1200 * math.log2(self.tuning / 440) if self.tuning else 0.0


@dataclass(frozen=True)
class Part:
    """The notes of one stem, quantised where there is a beat; a drum is its key of DRUM_PITCHES."""

    stem: StemType
    music: Music
    notes: list[Note]

    @classmethod
    def of(cls, stem: StemType, music: Music, notes: Sequence[Note]) -> "Part":
        """Quantise notes and put them in order."""
        compound = music.metre is not None and music.metre.is_compound
        steps = COMPOUND_STEPS if compound else STEPS_PER_BEAT
        placed = quantise(notes=notes, beats=music.beats, steps=steps)
        placed.sort(key=lambda note: (note.onset, note.pitch))
        return cls(stem, music, _one_at_a_time(placed) if stem in MONOPHONIC else placed)

    @cached_property
    def places(self) -> list[Place | None]:
        """String and fret of each note; None where the instrument can't play it, or has no frets.

        What other plays on one beat is played together; a bass plays one note after the other.
        """
        if self.stem not in (StemType.BASS, StemType.OTHER):
            return [None] * len(self.notes)
        together: dict[float, dict[int, list[int]]] = {}
        for number, note in enumerate(self.notes):
            moment = note.onset if note.beat is None or self.stem in MONOPHONIC else note.beat
            together.setdefault(moment, {}).setdefault(note.pitch, []).append(number)
        found = find_tablature(
            chords=[list(numbers) for numbers in together.values()],
            instrument=GUITAR if self.stem is StemType.OTHER else bass_for([n.pitch for n in self.notes]),
        )
        places: list[Place | None] = [None] * len(self.notes)
        for numbers, chord in zip(together.values(), found, strict=True):
            for repeated, place in zip(numbers.values(), chord or (), strict=chord is not None):
                for number in repeated:
                    places[number] = place
        return places


@dataclass(frozen=True)
class Chord:
    """Notes that are written as one: one note, a chord, or drums struck together."""

    start: Fraction
    """Quarter notes from the beginning of the first written bar."""
    length: Fraction
    """Quarter notes."""
    notes: tuple[int, ...]
    """Places in the part's notes, by ascending pitch."""


def write_voice(part: Part) -> list[Chord]:
    """Write a part as one voice: what begins together is a chord that ends where the next begins at latest.

    So a long note under faster ones is written short; its sounding length is in the part's notes. The song's
    bars are counted on from its first beat; the first written bar is that of whatever comes first.

    Raises
    ------
    ValueError
        If the song has no bars.
    """
    music = part.music
    if music.metre is None or music.first_position is None or not music.has_bars:
        raise ValueError("nothing tells where bars begin")
    by_beat: dict[Fraction, list[int]] = {}
    for place, note in enumerate(part.notes):
        assert note.beat is not None, "a song with bars has beats"
        by_beat.setdefault(_fraction(note.beat), []).append(place)
    starts = sorted(by_beat)
    lead = Fraction(music.first_position - 1)
    if starts and starts[0] + lead < 0:
        lead += music.metre.beats * math.ceil(-(starts[0] + lead) / music.metre.beats)
    chords = []
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        members = _one_a_pitch(part, by_beat[start])
        length = max(_fraction(part.notes[place].beats or 0) for place in members)
        if part.stem is StemType.DRUMS:
            length = Fraction(math.floor(start) + 1) - start  # a stroke has no length: up to the next beat
        if following is not None:
            length = min(length, following - start)
        unit = music.metre.beat_quarters
        chords.append(Chord((start + lead) * unit, length * unit, members))
    return chords


def _one_at_a_time(notes: list[Note]) -> list[Note]:
    """End each quantised note where the next begins at latest, unless both are on one place of the grid."""
    ended = []
    for note, following in zip(notes, [*notes[1:], None], strict=True):
        if note.beat is None or note.beats is None or following is None or following.beat is None:
            ended.append(note)
            continue
        gap = following.beat - note.beat
        ended.append(replace(note, beats=min(note.beats, gap)) if gap > 0 else note)
    return ended


def _one_a_pitch(part: Part, places: list[int]) -> tuple[int, ...]:
    """Keep the longest of notes that are quantised to the same place and pitch; one of a single line's."""
    best: dict[int, int] = {}
    for place in sorted(places, key=lambda place: part.notes[place].offset - part.notes[place].onset):
        best[0 if part.stem in MONOPHONIC else part.notes[place].pitch] = place
    return tuple(best[pitch] for pitch in sorted(best))


def _count_on(positions: Sequence[int], beats: int) -> bool:
    """Whether positions count from 1 to `beats` again and again."""
    return bool(positions) and all(
        following == position % beats + 1 for position, following in itertools.pairwise(positions)
    )


def _fraction(beats: float) -> Fraction:
    return Fraction(beats).limit_denominator(12)
