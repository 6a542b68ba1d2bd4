"""Audio as the analysis takes it: one gate that loads and checks, one reduced copy for most measures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]

ANALYSIS_RATE = 22_050
BLOCK_SECONDS = 30
SILENCE_DBFS = -60.0


@dataclass(frozen=True)
class Sound:
    """A mono sound at the analysis rate."""

    samples: Samples
    """Shape (samples,), at ANALYSIS_RATE."""

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.samples) / ANALYSIS_RATE

    @property
    def is_silent(self) -> bool:
        """Whether nothing in it reaches SILENCE_DBFS."""
        return not len(self.samples) or float(np.abs(self.samples).max()) < 10 ** (SILENCE_DBFS / 20)

    def __add__(self, other: "Sound") -> "Sound":
        return Sound(self.samples + other.samples)


def load_sound(path: Path) -> Sound:
    """Load a sound file as mono at the analysis rate, block by block.

    Raises
    ------
    ValueError
        If a sample is not finite.
    """
    blocks: list[Samples] = []
    with sf.SoundFile(path) as file:
        resampler = soxr.ResampleStream(file.samplerate, ANALYSIS_RATE, 1, dtype="float32")
        size = file.samplerate * BLOCK_SECONDS
        while True:
            block = file.read(size, dtype="float32", always_2d=True)
            is_last = len(block) < size
            blocks.append(resampler.resample_chunk(block.mean(axis=1), last=is_last))
            if is_last:
                break
    samples = np.concatenate(blocks)
    if not np.isfinite(samples).all():
        raise ValueError(f"{path.name} holds samples that are not finite")
    return Sound(samples)
