"""The key of a song."""

from dataclasses import dataclass

import librosa
import numpy as np
from numpy.typing import NDArray

from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound
from shared.keys import Mode, MusicalKey

MAJOR_PROFILE = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR_PROFILE = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
"""Probe-tone ratings of Krumhansl and Kessler (1982)."""

PROFILES: dict[Mode, NDArray[np.float64]] = {"major": MAJOR_PROFILE, "minor": MINOR_PROFILE}

MIN_CONTRAST = 0.15
"""Between the strongest and the weakest pitch class, as a share of the strongest; noise has about 0.06."""

MIN_CORRELATION = 0.5
"""Of the best profile with the chroma; below it, the sound shows no key."""


@dataclass(frozen=True)
class Tonality:
    """A key and how sure it is."""

    key: MusicalKey
    confidence: float
    """0 to 1: the correlation's lead over the best unrelated key, as a share of a clear lead (0.3)."""


def find_key(sound: Sound) -> Tonality | None:
    """Find the key; None if the sound shows none.

    The mean constant-Q chroma is correlated with the 24 rotated key profiles (Krumhansl 1990).
    """
    if sound.is_silent:
        return None
    chroma = librosa.feature.chroma_cqt(y=sound.samples, sr=ANALYSIS_RATE).mean(axis=1)
    if np.ptp(chroma) < MIN_CONTRAST * chroma.max():
        return None
    correlations = {
        MusicalKey(tonic, mode): float(np.corrcoef(np.roll(profile, tonic), chroma)[0, 1])
        for mode, profile in PROFILES.items()
        for tonic in range(12)
    }
    best = max(correlations, key=lambda key: correlations[key])
    if correlations[best] < MIN_CORRELATION:
        return None
    rival = max(value for key, value in correlations.items() if key.camelot[:-1] != best.camelot[:-1])
    return Tonality(best, confidence=float(np.clip((correlations[best] - rival) / 0.3, 0, 1)))
