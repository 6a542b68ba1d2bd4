"""Musical keys: their canonical names and their places on the Camelot wheel."""

from dataclasses import dataclass
from typing import Literal

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

Mode = Literal["major", "minor"]


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
        major_tonic = self.tonic if self.mode == "major" else (self.tonic + 3) % 12
        number = (7 * major_tonic + 7) % 12 + 1
        return f"{number}{'B' if self.mode == 'major' else 'A'}"

    @classmethod
    def from_name(cls, name: str) -> "MusicalKey":
        """Return the key of a canonical name.

        Raises
        ------
        ValueError
            If the name is not a canonical one.
        """
        tonic, _, mode = name.partition(" ")
        if tonic not in PITCH_CLASSES or mode not in ("major", "minor"):
            raise ValueError(f"{name!r} is not a key: expected a name such as 'C# major' or 'A minor'")
        return cls(PITCH_CLASSES.index(tonic), "major" if mode == "major" else "minor")
