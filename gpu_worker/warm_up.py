"""Runs the analysis once, so that numba keeps what librosa compiles: `python -m gpu_worker.warm_up`."""

import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf

from gpu_worker.analysis.song import analyse_song
from shared.models import StemType

SAMPLE_RATE = 44_100
SECONDS = 8


def main() -> None:
    """Analyse a few seconds of clicks and tones."""
    time = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    clicks = np.exp(-(time % 0.5) * 60) * np.sin(2 * np.pi * 1000 * time)
    chord = sum(np.sin(2 * np.pi * frequency * time) for frequency in (220.0, 277.2, 329.6)) / 3
    with tempfile.TemporaryDirectory() as folder:
        stems = {stem: Path(folder) / f"{stem}.wav" for stem in StemType}
        for path in stems.values():
            sf.write(path, 0.5 * (clicks + chord), SAMPLE_RATE)
        analyse_song(stems)


if __name__ == "__main__":
    main()
