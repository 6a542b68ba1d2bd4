"""What marks beats and bars in a song's stems."""

import librosa
import numpy as np
from numpy.typing import NDArray

from gpu_worker.analysis.drums import DRUMS, DrumOnsets
from gpu_worker.analysis.features import Features
from gpu_worker.analysis.meter import Accents
from gpu_worker.analysis.onsets import HOP, Curve
from gpu_worker.analysis.pulse import Frames
from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound
from gpu_worker.analysis.spectra import magnitudes

CHROMA_WINDOW = 4096
CHROMA_HOPS = 4
LOUD = 98
"""Percentile of a curve that is called 1."""

LEAST_STRENGTH = 0.5
"""Onset strength that counts as loud at least: beating tones reach a third of it."""

LEAK_DB = -20.0
"""Level of a stem below its song at which it holds what leaked into it: the softest drums that are played
were at -16 dB of rendered songs, what separation makes of none at -17 to -39 dB, seldom louder."""


def is_leak(stem: Sound, song: Sound) -> bool:
    """Whether a stem is silent, or so soft beside its song that nothing in it is played.

    Onsets are measured against the loudest of their stem: those of a leak would count like played ones.
    """
    if stem.is_silent:
        return True
    stem_energy, song_energy = (float(np.vdot(sound.samples, sound.samples)) for sound in (stem, song))
    return stem_energy < song_energy * 10 ** (LEAK_DB / 10)


def hear(*, drums: DrumOnsets, bass: Features, other: Features) -> Accents:
    """Measure what marks beats and bars."""
    frames = 1 + len(other.sound.samples) // HOP
    likelihoods = dict(zip(DRUMS, drums.likelihoods.T, strict=True))
    kick, snare = likelihoods.pop("kick"), likelihoods.pop("snare")
    others = np.max([*likelihoods.values(), drums.unknown], axis=0)
    return Accents(
        kick=_curve(drums.frames, kick, frames),
        snare=_curve(drums.frames, snare, frames),
        others=_curve(drums.frames, others, frames),
        bass=_scaled(bass.onsets),
        chords=_scaled(other.onsets),
        bass_chroma=_chroma(bass.sound),
        chroma=_chroma(other.sound),
    )


def _curve(onsets: Frames, strengths: Curve, frames: int) -> Curve:
    """Strengths over time; an onset counts in the neighbouring frames, too."""
    curve = np.zeros(frames, np.float32)
    curve[onsets] = strengths
    return np.convolve(curve, np.array([0.5, 1, 0.5], np.float32), "same")


def _scaled(curve: Curve) -> Curve:
    scaled: Curve = curve / max(float(np.percentile(curve, LOUD)), LEAST_STRENGTH)
    return scaled


def _chroma(sound: Sound) -> NDArray[np.float64]:
    """Pitch classes over time, (12, frames); coarse, but enough to tell whether the harmony changes."""
    frames = 1 + len(sound.samples) // HOP
    if sound.is_silent:
        return np.zeros((12, frames))
    filters = librosa.filters.chroma(sr=ANALYSIS_RATE, n_fft=CHROMA_WINDOW, octwidth=None)
    spectra = magnitudes(sound, window=CHROMA_WINDOW, hop=CHROMA_HOPS * HOP)
    classes = np.hstack([filters @ spectrum for spectrum in spectra]).astype(np.float64)
    return np.repeat(classes, CHROMA_HOPS, axis=1)[:, :frames]
