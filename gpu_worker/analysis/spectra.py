"""Spectra of a sound, a block at a time: what is kept of each is small, however long the sound."""

from collections.abc import Iterator

import librosa
import numpy as np
from numpy.typing import NDArray

from gpu_worker.analysis.sound import ANALYSIS_RATE, BLOCK_SECONDS, Samples, Sound

Magnitudes = NDArray[np.float32]


def stretches(sound: Sound, *, window: int, hop: int) -> Iterator[Samples]:
    """Cut a sound into overlapping stretches whose frames are together those of the whole.

    Parameters
    ----------
    sound : Sound
        It counts as silent before its beginning and after its end.
    window, hop : int
        Samples. Frame n is centred at sample n * hop, as in librosa with `center`; the frames of a stretch
        are those that fit into it without.
    """
    samples = sound.samples
    frames = 1 + len(samples) // hop
    step = BLOCK_SECONDS * ANALYSIS_RATE // hop
    for first in range(0, frames, step):
        start = first * hop - window // 2
        end = (min(first + step, frames) - 1) * hop + window - window // 2
        inner = samples[max(0, start) : max(0, end)]
        before = max(0, -start)
        yield np.pad(inner, (before, end - start - before - len(inner)))


def magnitudes(sound: Sound, *, window: int, hop: int) -> Iterator[Magnitudes]:
    """Yield the magnitudes of a sound's short-time Fourier transform, (window // 2 + 1, frames) each."""
    for stretch in stretches(sound, window=window, hop=hop):
        yield np.abs(librosa.stft(stretch, n_fft=window, hop_length=hop, center=False))


def mel_bands(sound: Sound, *, window: int, hop: int, bands: int) -> Magnitudes:
    """Return the magnitudes in mel bands from 30 Hz, (bands, frames); the bands' heights are equal."""
    filters = librosa.filters.mel(sr=ANALYSIS_RATE, n_fft=window, n_mels=bands, fmin=30, norm=None)
    return np.hstack([filters @ block for block in magnitudes(sound, window=window, hop=hop)])
