"""Measures how far soundfonts' programs are off pitch: `python -m benchmarks.analysis.intonation`."""

import json

import numpy as np
from numpy.typing import NDArray

from benchmarks.analysis.instruments import INTONATION, PROGRAMS
from gpu_worker.separation.preview.render.clip import SAMPLE_RATE, Clip, Session
from gpu_worker.separation.preview.render.midi import Note, Part, play
from gpu_worker.separation.preview.render.packages import SOUNDFONTS

SPACING, LENGTH = 1.5, 1.2
PITCHES = [50, 55, 59, 62, 65, 69, 72, 76]
BASS_PITCHES = [31, 34, 38, 41, 45, 48]
POINTS = 1 << 19


def measure(package: str, program: int, pitches: list[int]) -> list[float]:
    """Play single notes without effects; cents of each above its pitch at A4 = 440 Hz."""
    notes = [Note(pitch, i * SPACING, i * SPACING + LENGTH, 90) for i, pitch in enumerate(pitches)]
    clip = Clip(len(notes) * SPACING + 1, 60, 0, False, (0,), 0.5, 0)
    session = Session(clip, np.random.default_rng(0))
    mono = play([Part(program, notes)], session, package, effects=False).mean(axis=1)
    spans = (
        mono[int((note.start + 0.1) * SAMPLE_RATE) : int((note.end - 0.1) * SAMPLE_RATE)] for note in notes
    )
    return [
        round(_cents(span, 440 * 2 ** ((p - 69) / 12)), 2) for span, p in zip(spans, pitches, strict=True)
    ]


def _cents(sound: NDArray[np.float32], hertz: float) -> float:
    """Weighted mean of the deviations of the first three harmonics' spectral peaks."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), POINTS))
    bin_hertz = SAMPLE_RATE / POINTS
    weights, deviations = [], []
    for harmonic in (1, 2, 3):
        low, high = (int(hertz * harmonic * 2 ** (step / 12) / bin_hertz) for step in (-0.6, 0.6))
        peak = low + int(np.argmax(spectrum[low:high]))
        weights.append(spectrum[peak])
        deviations.append(1200 * np.log2(peak * bin_hertz / (hertz * harmonic)))
    return float(np.average(deviations, weights=weights))


def main() -> None:
    """Write intonation.json."""
    measured: dict[str, dict[str, list[float]]] = {}
    for package in SOUNDFONTS:
        measured[package] = {}
        for program in sorted({program for programs in PROGRAMS.values() for program in programs}):
            pitches = BASS_PITCHES if program in PROGRAMS["bass"] else PITCHES
            measured[package][str(program)] = measure(package, program, pitches)
    INTONATION.write_text(json.dumps(measured, indent=0) + "\n")


if __name__ == "__main__":
    main()
