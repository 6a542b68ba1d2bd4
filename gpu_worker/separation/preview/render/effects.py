"""What a studio does to a stem: a room, tone controls, saturation, and a common level."""

import numpy as np
from numpy.random import Generator
from scipy.signal import butter, fftconvolve, sosfilt

from gpu_worker.separation.preview.render.clip import SAMPLE_RATE, Audio

RMS = 0.1
PEAK = 0.95


def produce(audio: Audio, source: str, rng: Generator) -> Audio:
    """Apply random effects to a stem of the given source, and level it; (samples, 2)."""
    if rng.random() < 0.35 and source != "bass":
        audio = _room(audio, rng)
    if rng.random() < 0.5:
        audio = _tone(audio, rng)
    audio = audio / max(1e-4, float(np.abs(audio).max()))
    if rng.random() < (0.3 if source == "vocals" else 0.4):
        drive = rng.uniform(1.2, 3.5)
        audio = np.tanh(drive * audio) / np.tanh(drive)
    return _level(audio)


def _room(audio: Audio, rng: Generator) -> Audio:
    """Reverberation by decaying, darkened noise (60 dB in 0.3 to 1.8 s)."""
    samples = int(SAMPLE_RATE * rng.uniform(0.3, 1.8))
    decay = np.exp(-6.9 * np.arange(samples) / samples)
    response = rng.standard_normal((samples, 2)) * decay[:, None]
    response = sosfilt(butter(1, rng.uniform(2000, 9000), fs=SAMPLE_RATE, output="sos"), response, axis=0)
    wet = fftconvolve(audio, response, axes=0)[: len(audio)]
    amount = np.std(audio) / max(1e-6, np.std(wet)) * rng.uniform(0.05, 0.35)
    mixed: Audio = (audio + wet * amount).astype(np.float32)
    return mixed


def _tone(audio: Audio, rng: Generator) -> Audio:
    """Raise or lower bass and treble by up to 4 dB each."""
    low = sosfilt(butter(1, rng.uniform(200, 3000), fs=SAMPLE_RATE, output="sos"), audio, axis=0)
    bass, treble = (10 ** (rng.uniform(-4, 4) / 20) for _ in range(2))
    mixed: Audio = (low * bass + (audio - low) * treble).astype(np.float32)
    return mixed


def _level(audio: Audio) -> Audio:
    """Bring to the common RMS, as far as the peaks allow."""
    rms = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
    levelled = audio * (RMS / max(rms, 1e-4))
    loudest = float(np.abs(levelled).max())
    return (levelled * min(1, PEAK / max(loudest, 1e-4))).astype(np.float32)
