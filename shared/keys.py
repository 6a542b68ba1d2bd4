"""Musical keys: how people write them, their canonical names, and the wheel that DJs mix by.

Conventions: equal temperament, so enharmonic names (C#, Db) are one key; canonical names use sharps. A bare
note means major. Case does not matter, but for the single letter of the mode: `C#M` is major, `C#m` minor.
"""

import re
from dataclasses import dataclass
from typing import Literal

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

Mode = Literal["major", "minor"]


def _any_case(word: str) -> str:
    return "".join(f"[{letter.upper()}{letter}]" for letter in word)


_MAJOR = f"M|{_any_case('maj')}(?:{_any_case('or')})?"
_MINOR = f"m|{_any_case('min')}(?:{_any_case('or')})?"
_SHARPS = f"[#♯]{{1,2}}|x|𝄪|[ -]?{_any_case('sharp')}"
_FLATS = f"[bB♭]{{1,2}}|𝄫|[ -]?{_any_case('flat')}"

KEY_PATTERN = (
    rf"^ {{0,3}}(?:([A-Ga-g])(?:({_SHARPS})|({_FLATS}))?(?:[ :-]{{0,3}}(?:({_MAJOR})|({_MINOR})))?"
    r"|(0?[1-9]|1[0-2]) ?(?:([ABab])|([DMdm]))) {0,3}$"
)
"""What `MusicalKey.parse` takes, as an expression that means the same to Python, ECMA 262 and Rust.

Groups: note, sharps, flats, major, minor; or number, Camelot letter, Open Key letter.
"""

MAX_LENGTH = 40
"""Longer texts are no keys, and are not looked at."""

ACCEPTED_FORMS = (
    "a note with an optional mode, as in 'C# major', 'Db maj', 'C♯', 'c sharp minor' or 'C#m', "
    "a Camelot code from '1A' to '12B', or an Open Key code from '1d' to '12m'"
)


@dataclass(frozen=True)
class MusicalKey:
    """A major or minor key."""

    tonic: int
    """Pitch class, 0 (C) to 11 (B)."""
    mode: Mode

    @property
    def name(self) -> str:
        """Canonical name, sharps only: `C# major`."""
        return f"{PITCH_CLASSES[self.tonic]} {self.mode}"

    @property
    def camelot(self) -> str:
        """Code on the Camelot wheel: fifths are neighbours, a minor key stands inside its relative major."""
        return f"{self._hour}{'B' if self.mode == 'major' else 'A'}"

    @property
    def open_key(self) -> str:
        """Code of the Open Key notation: the same wheel, turned so that C major is `1d`."""
        return f"{(self._hour - 8) % 12 + 1}{'d' if self.mode == 'major' else 'm'}"

    @property
    def _hour(self) -> int:
        major_tonic = self.tonic if self.mode == "major" else (self.tonic + 3) % 12
        return (7 * major_tonic + 7) % 12 + 1

    @classmethod
    def parse(cls, text: str) -> "MusicalKey":
        """Return the key that the text names.

        Raises
        ------
        ValueError
            If the text is not of the form `KEY_PATTERN`; the message lists the accepted forms.
        """
        match = re.fullmatch(KEY_PATTERN, text) if len(text) <= MAX_LENGTH else None
        if match is None:
            shown = text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…"
            raise ValueError(f"{shown!r} is not a key: expected {ACCEPTED_FORMS}")
        note, sharps, flats, _, minor, number, camelot, open_key = match.groups()
        if number:
            return cls._at(int(number), camelot, open_key)
        tonic = NATURALS[note.upper()] + _semitones(sharps) - _semitones(flats)
        return cls(tonic % 12, "minor" if minor else "major")

    @classmethod
    def _at(cls, number: int, camelot: str | None, open_key: str | None) -> "MusicalKey":
        """Return the key of a code, by going round the wheel in fifths."""
        fifths = number - (8 if camelot else 1)
        is_major = (camelot or open_key) in ("B", "b", "D", "d")
        return cls((7 * fifths + (0 if is_major else 9)) % 12, "major" if is_major else "minor")

    def compatible_keys(self) -> list["MusicalKey"]:
        """Return the keys that mix well with this one, closest first.

        Itself, its relative, then its neighbours on the wheel a fifth up and a fifth down.
        """
        relative = MusicalKey((self.tonic + 9) % 12, "minor")
        if self.mode == "minor":
            relative = MusicalKey((self.tonic + 3) % 12, "major")
        fifth_up, fifth_down = (MusicalKey((self.tonic + step) % 12, self.mode) for step in (7, -7))
        return [self, relative, fifth_up, fifth_down]


def all_keys() -> list[MusicalKey]:
    """Return the 24 keys, from C major, C minor up to B major, B minor."""
    modes: tuple[Mode, Mode] = ("major", "minor")
    return [MusicalKey(tonic, mode) for tonic in range(12) for mode in modes]


def _semitones(accidental: str | None) -> int:
    if accidental is None:
        return 0
    return 2 if len(accidental) == 2 or accidental in ("x", "𝄪", "𝄫") else 1
