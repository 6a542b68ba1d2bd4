"""Tempo and beats."""

from dataclasses import dataclass

import librosa
import numpy as np

from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound

HOP = 512
MIN_BEATS = 4
STEADY = 0.35
"""Below this regularity the pulse is as weak as that of noise: no tempo is reported."""


@dataclass(frozen=True)
class Rhythm:
    """The pulse of a song."""

    bpm: float
    confidence: float
    """Share of onset energy that the pulse explains, 0 to 1."""
    beats: list[float]
    """Times in seconds."""


def track_rhythm(sound: Sound) -> Rhythm | None:
    """Track the beats; None if the sound has no steady pulse.

    Beats are found by dynamic programming over the onset strength (Ellis 2007, librosa.beat). The tempo is
    the slope of a line through the beats, which is finer than the tempogram's bins. The confidence is the
    highest autocorrelation of the onset strength at the beat period, or at twice or four times that.
    """
    if sound.is_silent:
        return None
    strength = librosa.onset.onset_strength(y=sound.samples, sr=ANALYSIS_RATE, hop_length=HOP)
    if not strength.any():
        return None
    _, frames = librosa.beat.beat_track(
        onset_envelope=strength, sr=ANALYSIS_RATE, hop_length=HOP, sparse=True, trim=True
    )
    if len(frames) < MIN_BEATS:
        return None
    beats = librosa.frames_to_time(frames, sr=ANALYSIS_RATE, hop_length=HOP)
    period = float(np.polyfit(np.arange(len(beats)), beats, 1)[0])
    confidence = _regularity(strength, period * ANALYSIS_RATE / HOP)
    if confidence < STEADY:
        return None
    return Rhythm(bpm=60 / period, confidence=confidence, beats=[float(time) for time in beats])


def _regularity(strength: np.ndarray, period: float) -> float:
    """Return the highest autocorrelation of the onset strength near multiples of a period in frames."""
    centred = strength - strength.mean()
    correlation = librosa.autocorrelate(centred)
    if correlation[0] <= 0:
        return 0.0
    lags = [round(period * multiple) + shift for multiple in (1, 2, 4) for shift in (-1, 0, 1)]
    # A shorter overlap at a longer lag would lower the correlation of a perfect pulse: undo that.
    values = [
        correlation[lag] / correlation[0] * len(strength) / (len(strength) - lag)
        for lag in lags
        if 0 < lag < len(strength) // 2
    ]
    return float(np.clip(max(values, default=0.0), 0, 1))
