"""A stem as a point among others: a vector of fixed length whose cosines say how alike stems are."""

import librosa
import numpy as np
from numpy.typing import NDArray

from gpu_worker.analysis.onsets import FRAME_RATE, Curve
from gpu_worker.analysis.sound import ANALYSIS_RATE, SILENCE_DBFS, Sound
from gpu_worker.analysis.spectra import stretches

FRAME, HOP = 2048, 1024
CEPSTRUM = 12
LAGS = 12
SHORTEST_LAG, LONGEST_LAG = 0.1, 2.0
"""Seconds."""

HARMONIES = 6
LENGTH = 2 * CEPSTRUM + LAGS + HARMONIES

Values = NDArray[np.float64]


def similarity_vector(*, sound: Sound, onsets: Curve) -> Values | None:
    """Describe a stem by timbre, rhythm and harmony; None for silence.

    The parts are of length 1 each, or 0 where a stem shows nothing of the kind, and the vector of at most the
    root of three: the dot product of two vectors is the sum of three cosines.

    Parameters
    ----------
    sound : Sound
        The stem.
    onsets : ndarray
        Its onset strength, (frames,) at onsets.FRAME_RATE.

    Returns
    -------
    ndarray
        Shape (LENGTH,): 24 for timbre (mean, then spread, of mel-frequency cepstral coefficients 1 to 12 of
        sounding frames, whatever the level); 12 for rhythm (autocorrelation of the onset strength at lags
        from 0.1 to 2 s, in equal ratios); 6 for harmony (magnitudes 1 to 6 of the Fourier transform of the
        mean chroma, which are the same in every key).
    """
    cepstra, chroma = _frames(sound)
    if not cepstra.shape[1]:
        return None
    timbre = np.concatenate([cepstra.mean(axis=1), cepstra.std(axis=1)])
    harmony = np.abs(np.fft.rfft(chroma.mean(axis=1)))[1:]
    return np.concatenate([_unit(timbre), _unit(_repetition(onsets)), _unit(harmony)])


def _frames(sound: Sound) -> tuple[Values, Values]:
    """Return cepstral coefficients (CEPSTRUM, frames) and chroma (12, frames) of the sounding frames."""
    cepstra, chromas = [np.zeros((CEPSTRUM, 0))], [np.zeros((12, 0))]
    for part in stretches(sound, window=FRAME, hop=HOP):
        power = np.abs(librosa.stft(part, n_fft=FRAME, hop_length=HOP, center=False)) ** 2
        level = librosa.feature.rms(y=part, frame_length=FRAME, hop_length=HOP, center=False)[0]
        power = power[:, level > 10 ** (SILENCE_DBFS / 20)]
        if not power.shape[1]:
            continue
        mel = librosa.feature.melspectrogram(S=power, sr=ANALYSIS_RATE, n_mels=40)
        # Relative to each frame's loudest band: the first coefficient, the level, is left out in any case.
        decibels = 10 * np.log10(np.maximum(mel / mel.max(axis=0), 1e-8))
        cepstra.append(librosa.feature.mfcc(S=decibels, n_mfcc=CEPSTRUM + 1)[1:])
        chromas.append(librosa.feature.chroma_stft(S=power, sr=ANALYSIS_RATE, tuning=0.0))
    return np.hstack(cepstra), np.hstack(chromas)


def _repetition(onsets: Curve) -> Values:
    """Return how far onsets repeat after each lag, -1 to 1; zeros without onsets."""
    strength = onsets.astype(np.float64) - onsets.mean()
    size = 2 * len(strength)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(strength, size)) ** 2, size)
    lags = np.geomspace(SHORTEST_LAG, LONGEST_LAG, LAGS) * FRAME_RATE
    if correlation[0] <= 0:
        return np.zeros(LAGS)
    within = lags < len(strength)
    values = np.interp(lags, np.arange(len(strength)), correlation[: len(strength)]) / correlation[0]
    return np.where(within, values, 0.0)


def _unit(values: Values) -> Values:
    length = float(np.linalg.norm(values))
    return values / length if length > 1e-9 else np.zeros_like(values)
