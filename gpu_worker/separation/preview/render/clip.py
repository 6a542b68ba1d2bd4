"""What the four stems of one rendered song share: tempo, key, harmony, and the clock that they play by."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SAMPLE_RATE = 44100
BEATS_PER_BAR = 4

PITCH_CLASSES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
MAJOR = [0, 2, 4, 5, 7, 9, 11]
NATURAL_MINOR = [0, 2, 3, 5, 7, 8, 10]

# (samples, 2), float32 at SAMPLE_RATE.
Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """A song in outline.

    Attributes
    ----------
    duration : float
        Length in seconds.
    bpm : float
        Tempo in quarter notes a minute, constant.
    tonic : int
        Pitch class of the key, 0 for C.
    minor : bool
        Natural minor instead of major.
    progression : tuple of int
        Scale degree (0 to 6) of each bar's chord; repeats.
    swing : float
        Where the second of two sixteenths lies between its neighbours: 0.5 is straight.
    start : float
        Time of the first downbeat in seconds.
    """

    duration: float
    bpm: float
    tonic: int
    minor: bool
    progression: tuple[int, ...]
    swing: float
    start: float

    @classmethod
    def draw(cls, number: int, duration: float) -> "Clip":
        """Draw the outline that belongs to a seed number."""
        rng = np.random.default_rng(number)
        return cls(
            duration=duration,
            bpm=rng.uniform(65, 175),
            tonic=int(rng.integers(12)),
            minor=bool(rng.random() < 0.5),
            progression=(0, *(int(degree) for degree in rng.choice(7, 3))),
            swing=rng.uniform(0.5, 0.67) if rng.random() < 0.2 else 0.5,
            start=rng.uniform(0, 0.3),
        )

    @property
    def key(self) -> str:
        """The key's name, such as "C# major"."""
        return f"{PITCH_CLASSES[self.tonic]} {'minor' if self.minor else 'major'}"

    def truth(self) -> dict[str, object]:
        """What an analysis of the song should find."""
        return {
            "durationSeconds": self.duration,
            "bpm": self.bpm,
            "key": self.key,
            "timeSignature": f"{BEATS_PER_BAR}/4",
            "firstDownbeat": self.start,
        }

    @property
    def beat(self) -> float:
        """Seconds a beat."""
        return 60 / self.bpm

    @property
    def samples(self) -> int:
        """Length in samples."""
        return int(SAMPLE_RATE * self.duration)

    @property
    def scale(self) -> list[int]:
        """Semitones of the seven scale degrees above the tonic."""
        return NATURAL_MINOR if self.minor else MAJOR

    def pitch(self, degree: int, lowest: int) -> int:
        """MIDI number of a scale degree, where 0 is the first tonic at or above `lowest`."""
        octave, step = divmod(degree, 7)
        return lowest + (self.tonic - lowest) % 12 + 12 * octave + self.scale[step]

    def bars(self) -> Iterator[tuple[int, float, int]]:
        """Each bar's number, start in seconds and the scale degree of its chord."""
        number, time = 0, self.start
        while time < self.duration:
            yield number, time, self.progression[number % len(self.progression)]
            time += BEATS_PER_BAR * self.beat
            number += 1

    def next_beat(self, time: float) -> float:
        """The first beat at or after a time, in seconds."""
        return self.start + float(np.ceil((time - self.start) / self.beat - 1e-6)) * self.beat


@dataclass
class Session:
    """A stem in the making: the song, the stem's own random numbers, and the sounds that it has used so far.

    The names of the sounds (soundfonts, drum kits, voices) are kept because their licences matter.
    """

    clip: Clip
    rng: Generator
    sounds: list[str] = field(default_factory=list)

    def use(self, sound: str) -> None:
        """Note that a sound is heard in the stem."""
        if sound not in self.sounds:
            self.sounds.append(sound)


def stereo(mono: NDArray[np.floating]) -> Audio:
    """Turn (samples,) into (samples, 2)."""
    return np.repeat(mono[:, None], 2, axis=1).astype(np.float32)
