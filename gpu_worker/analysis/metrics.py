"""Audio metrics of one stem: levels, loudness, spectrum, onsets and silence."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pyloudnorm
import soundfile as sf
from numpy.typing import NDArray

from gpu_worker.analysis.sound import ANALYSIS_RATE, BLOCK_SECONDS, SILENCE_DBFS, Sound

FRAME = 2048
HOP = 512
LOUDNESS_BLOCK_SECONDS = 0.4

Frames = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class AudioMetrics:
    """The metrics of a stem, under the names of the record; None where the sound has none."""

    rms_level: float | None
    peak_level: float | None
    loudness_lufs: float | None
    spectral_centroid: float | None
    spectral_bandwidth: float | None
    spectral_rolloff: float | None
    zero_crossing_rate: float | None
    dynamic_range: float | None
    onset_rate: float
    silence_ratio: float

    def to_dict(self) -> dict[str, Any]:
        """Return the values by name, rounded to what they are good for."""
        return {name: value and round(value, 4) for name, value in asdict(self).items()}


def measure(path: Path, sound: Sound) -> AudioMetrics:
    """Measure one stem.

    Parameters
    ----------
    path : Path
        The stem at full rate, all channels: levels and loudness are measured there.
    sound : Sound
        The same stem reduced: spectrum, onsets and silence are measured there.
    """
    rms, peak = _levels(path)
    spectrum = _spectrum(sound)
    return AudioMetrics(
        rms_level=_dbfs(rms),
        peak_level=_dbfs(peak),
        loudness_lufs=_loudness(path),
        spectral_centroid=spectrum.centroid,
        spectral_bandwidth=spectrum.bandwidth,
        spectral_rolloff=spectrum.rolloff,
        zero_crossing_rate=spectrum.zero_crossing_rate,
        dynamic_range=spectrum.dynamic_range,
        onset_rate=_onset_rate(sound),
        silence_ratio=spectrum.silence_ratio,
    )


def _dbfs(amplitude: float) -> float | None:
    return float(20 * np.log10(amplitude)) if amplitude > 0 else None


def _levels(path: Path) -> tuple[float, float]:
    """Return root mean square over all channels, and sample peak."""
    squares, count, peak = 0.0, 0, 0.0
    with sf.SoundFile(path) as file:
        for block in file.blocks(blocksize=file.samplerate * BLOCK_SECONDS, dtype="float64", always_2d=True):
            squares += float(np.square(block).sum())
            count += block.size
            peak = max(peak, float(np.abs(block).max()))
    return (squares / count) ** 0.5 if count else 0.0, peak


def _loudness(path: Path) -> float | None:
    """Return the integrated loudness after ITU-R BS.1770-4 (pyloudnorm), None below its absolute gate."""
    samples, rate = sf.read(path, dtype="float32", always_2d=True)
    if len(samples) < LOUDNESS_BLOCK_SECONDS * rate:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        loudness = float(pyloudnorm.Meter(rate).integrated_loudness(samples))
    return loudness if np.isfinite(loudness) else None


@dataclass(frozen=True)
class _Spectrum:
    centroid: float | None
    bandwidth: float | None
    rolloff: float | None
    zero_crossing_rate: float | None
    dynamic_range: float | None
    silence_ratio: float


def _spectrum(sound: Sound) -> _Spectrum:
    """Measure frames block by block, in constant memory; means are over sounding frames."""
    rows: list[Frames] = []
    block = BLOCK_SECONDS * ANALYSIS_RATE // HOP * HOP
    for start in range(0, len(sound.samples), block):
        part = sound.samples[start : start + block]
        magnitude = np.abs(librosa.stft(part, n_fft=FRAME, hop_length=HOP))
        rows.append(
            np.vstack(
                [
                    librosa.feature.rms(y=part, frame_length=FRAME, hop_length=HOP),
                    librosa.feature.spectral_centroid(S=magnitude, sr=ANALYSIS_RATE),
                    librosa.feature.spectral_bandwidth(S=magnitude, sr=ANALYSIS_RATE),
                    librosa.feature.spectral_rolloff(S=magnitude, sr=ANALYSIS_RATE),
                    librosa.feature.zero_crossing_rate(part, frame_length=FRAME, hop_length=HOP),
                ]
            )
        )
    rms, *measures = np.hstack(rows)
    sounding = rms > 10 ** (SILENCE_DBFS / 20)
    if not sounding.any():
        return _Spectrum(None, None, None, None, None, silence_ratio=1.0)
    centroid, bandwidth, rolloff, crossings = (float(measure[sounding].mean()) for measure in measures)
    loud, soft = np.percentile(20 * np.log10(rms[sounding]), [95, 10])
    return _Spectrum(
        centroid=centroid,
        bandwidth=bandwidth,
        rolloff=rolloff,
        zero_crossing_rate=crossings,
        dynamic_range=float(loud - soft),
        silence_ratio=float(1 - sounding.mean()),
    )


def _onset_rate(sound: Sound) -> float:
    """Return onsets per second (librosa's spectral flux peaks); 0 for silence."""
    if sound.is_silent:
        return 0.0
    onsets = librosa.onset.onset_detect(y=sound.samples, sr=ANALYSIS_RATE, hop_length=HOP)
    return len(onsets) / sound.seconds
