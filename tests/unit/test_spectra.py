"""Spectra by blocks are those of the whole."""

import librosa
import numpy as np
import pytest

from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound
from gpu_worker.analysis.spectra import magnitudes, stretches


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.3, 29.99, 30.0, 65.4])
@pytest.mark.parametrize(("window", "hop"), [(1024, 256), (2048, 512), (8192, 2048)])
def test_blocks_are_the_spectra_of_the_whole(seconds: float, window: int, hop: int):
    samples = np.random.default_rng(1).standard_normal(int(seconds * ANALYSIS_RATE)).astype(np.float32)
    blocks = list(magnitudes(Sound(samples), window=window, hop=hop))
    padded = np.pad(samples, window // 2)
    whole = np.abs(librosa.stft(padded, n_fft=window, hop_length=hop, center=False))
    assert np.array_equal(np.hstack(blocks), whole)


def test_stretches_take_little_more_than_a_block():
    sound = Sound(np.zeros(300 * ANALYSIS_RATE, np.float32))
    longest = max(len(stretch) for stretch in stretches(sound, window=2048, hop=512))
    assert longest <= 30 * ANALYSIS_RATE + 2048
