"""The pitch of a part that plays or sings one note at a time."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray
from swift_f0 import SAMPLE_RATE as NETWORK_RATE
from swift_f0 import SwiftF0

from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound

BASS_RATE = 8000
"""Rate at which a bass is played to the network as if it were NETWORK_RATE: it then hears it an octave higher
and knows pitches from 23 Hz, where its own range ends at F#1 (46 Hz)."""

HIGHEST_BASS_HERTZ = 400.0
STEADY_SEMITONES = 0.35
LEVEL_WINDOW = (-0.02, 0.02)
"""Seconds."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class PitchTrack:
    """Pitch over time, each of shape (frames,)."""

    times: Values
    """Seconds, evenly spaced."""
    hertz: Values
    """The likeliest pitch, also where nothing is heard."""
    confidence: Values
    """That there is a pitch, and that it is this one; 0 to 1."""
    level: Values
    """dBFS."""

    @property
    def midi(self) -> Values:
        """MIDI numbers with fractions, A4 at 440 Hz."""
        return np.asarray(69 + 12 * np.log2(self.hertz / 440))


def track_pitch(sound: Sound, *, is_bass: bool = False) -> PitchTrack:
    """Track the pitch of a monophonic sound.

    SwiftF0, a small convolutional network (Nieradzik, arXiv:2508.18440); it works through long sounds in
    blocks by itself.
    """
    rate = BASS_RATE if is_bass else NETWORK_RATE
    speed = rate / NETWORK_RATE
    samples = soxr.resample(sound.samples, ANALYSIS_RATE, rate)
    if not len(samples):
        nothing = np.zeros(0)
        return PitchTrack(nothing, nothing, nothing, nothing)
    highest = HIGHEST_BASS_HERTZ / speed if is_bass else None
    result = _network().detect(samples, NETWORK_RATE, fmax=highest)
    times = result.timestamps / speed
    return PitchTrack(times, result.pitch_hz * speed, result.confidence, _level(sound, times))


def steady_share(midi: Values, notes: Iterable[NDArray[np.bool_]]) -> float:
    """Share of the frames of notes that lie within STEADY_SEMITONES of their note's median; 0 without frames.

    Parameters
    ----------
    midi : ndarray
        Pitch, (frames,).
    notes : iterable of ndarray
        Which frames are each note's, (frames,).
    """
    strays = [np.abs(midi[note] - np.median(midi[note])) for note in notes if note.any()]
    return float(np.mean(np.concatenate(strays) < STEADY_SEMITONES)) if strays else 0.0


def _level(sound: Sound, times: Values) -> Values:
    """RMS level around each time: sharper than the network's own, which blurs a bass's notes."""
    energies = np.square(np.append(sound.samples, np.float32(0)))
    first, last = (
        np.clip(((times + side) * ANALYSIS_RATE).astype(int), 0, len(sound.samples)) for side in LEVEL_WINDOW
    )
    power = np.add.reduceat(energies, np.stack([first, last], axis=1).ravel())[::2] / np.maximum(
        1, last - first
    )
    return np.asarray(10 * np.log10(np.maximum(power, 1e-14)))


@functools.cache
def _network() -> SwiftF0:
    return SwiftF0(threads=1)  # the stems are analysed side by side
