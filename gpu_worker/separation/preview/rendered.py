"""Read what the renderer wrote: whole songs to score with, random crops to train on."""

from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from gpu_worker.separation.preview.network import SOURCES

SAMPLE_RATE = 44100
FULL_SCALE = 32767
CROP = 4 * SAMPLE_RATE

Stereo = NDArray[np.float32]


def song_numbers(data: Path) -> list[str]:
    """File names of the songs in a folder of the renderer, those that have all four stems, in order."""
    names = [{path.name for path in (data / source).glob("?????.npy")} for source in SOURCES]
    return sorted(set.intersection(*names))


def read_song(data: Path, name: str) -> torch.Tensor:
    """Read a song's stems, each at a level within 3 dB that belongs to its number: (sources, 2, samples)."""
    rng = np.random.default_rng(int(Path(name).stem))
    stems = [_decibels(rng.uniform(-3, 3)) * _read(data / source / name) for source in SOURCES]
    return torch.from_numpy(np.stack(stems))


class Crops:
    """Random mixes of rendered stems, as the training takes them.

    Half of the mixes are four stems of one song at one time, the others come from four songs. Level, speed,
    polarity and sides vary, and some stems are missing.

    Parameters
    ----------
    data : Path
        A folder of the renderer, with songs of at least 6 s.
    """

    def __init__(self, data: Path) -> None:
        self.songs = song_numbers(data)
        if not self.songs:
            raise ValueError(f"There are no rendered songs in {data}.")
        self.data = data

    def batch(self, size: int, rng: Generator) -> torch.Tensor:
        """Draw (size, sources, 2, CROP)."""
        return torch.from_numpy(np.stack([self._mix(rng) for _ in range(size)]))

    def _mix(self, rng: Generator) -> Stereo:
        """Draw the stems of one mix: (sources, 2, CROP)."""
        one_song = rng.random() < 0.5
        song, moment, speed = self._place(rng)
        stems = []
        for source in SOURCES:
            if rng.random() < 0.08:
                stems.append(np.zeros((2, CROP), np.float32))
                continue
            if not one_song:
                song, moment, speed = self._place(rng)
            crop = _crop(self.data / source / song, moment, speed)
            if rng.random() < 0.5:
                crop = crop[::-1]
            polarity = rng.choice([-1, 1])
            stems.append(crop * np.float32(polarity * _decibels(rng.uniform(-9, 7))))
        return np.stack(stems)

    def _place(self, rng: Generator) -> tuple[str, float, float]:
        """Draw a song, a moment in it from 0 to 1, and the speed to play it at."""
        speed = rng.uniform(0.9, 1.12) if rng.random() < 0.4 else 1.0
        return str(rng.choice(self.songs)), rng.random(), speed


def _crop(path: Path, moment: float, speed: float) -> Stereo:
    """Cut (2, CROP) out of a stem."""
    needed = int(CROP * speed) + 2
    stem = np.load(path, mmap_mode="r")
    if len(stem) < needed:
        raise ValueError(f"{path} is too short to train on.")
    at = int(moment * (len(stem) - needed))
    cut: Stereo = stem[at : at + needed].T.astype(np.float32) / FULL_SCALE
    if speed == 1.0:
        return cut[:, :CROP]
    positions = np.arange(CROP) * speed
    resampled = np.stack([np.interp(positions, np.arange(needed), channel) for channel in cut])
    return np.asarray(resampled, np.float32)


def _read(path: Path) -> Stereo:
    """A whole stem: (2, samples)."""
    stem: Stereo = np.load(path).T.astype(np.float32) / FULL_SCALE
    return stem


def _decibels(level: float) -> np.float32:
    """The factor of a level in dB."""
    return np.float32(10 ** (level / 20))
