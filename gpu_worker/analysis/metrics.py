"""Audio metrics of one stem: levels, loudness, spectrum, onsets, silence, and what leaks from other stems."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import librosa
import numpy as np
from numpy.typing import NDArray

from gpu_worker.analysis.features import Features
from gpu_worker.analysis.levels import measure_levels
from gpu_worker.analysis.onsets import onset_times
from gpu_worker.analysis.sound import ANALYSIS_RATE, SILENCE_DBFS, Sound
from gpu_worker.analysis.spectra import stretches
from shared.models import StemType

FRAME = 2048
HOP = 512

FLAT_BINS = 10_000 * FRAME // ANALYSIS_RATE
"""Above 10 kHz the reduced copy fades, which looks like a tonal spectrum."""

REST_SECONDS = 0.5
"""Silence up to this long does not end an active region."""

Frames = NDArray[np.floating[Any]]


class Region(NamedTuple):
    """A stretch of time, in seconds."""

    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class AudioMetrics:
    """The metrics of a stem, under the names of the record; None where the sound has none."""

    rms_level: float | None
    peak_level: float | None
    true_peak_level: float | None
    loudness_lufs: float | None
    crest_factor: float | None
    stereo_width: float | None
    clipping_count: int
    spectral_centroid: float | None
    spectral_bandwidth: float | None
    spectral_rolloff: float | None
    spectral_flatness: float | None
    spectral_contrast: float | None
    zero_crossing_rate: float | None
    dynamic_range: float | None
    onset_rate: float
    silence_ratio: float
    active_regions: list[Region]

    def to_dict(self) -> dict[str, Any]:
        """Return the values by name, rounded to what they are good for; regions as start and end."""
        regions = [
            {name: round(value, 3) for name, value in region._asdict().items()}
            for region in self.active_regions
        ]
        values = asdict(self) | {"active_regions": regions}
        return {
            name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()
        }


def measure(path: Path, features: Features) -> AudioMetrics:
    """Measure one stem.

    Parameters
    ----------
    path : Path
        The stem at full rate, all channels: levels and loudness are measured there.
    features : Features
        Of the same stem: spectrum, onsets and silence are measured there.
    """
    levels = measure_levels(path)
    spectrum = _spectrum(features.sound)
    return AudioMetrics(
        rms_level=levels.rms,
        peak_level=levels.peak,
        true_peak_level=levels.true_peak,
        loudness_lufs=levels.loudness,
        crest_factor=None if levels.peak is None or levels.rms is None else levels.peak - levels.rms,
        stereo_width=levels.stereo_width,
        clipping_count=levels.clipping_count,
        spectral_centroid=spectrum.centroid,
        spectral_bandwidth=spectrum.bandwidth,
        spectral_rolloff=spectrum.rolloff,
        spectral_flatness=spectrum.flatness,
        spectral_contrast=spectrum.contrast,
        zero_crossing_rate=spectrum.zero_crossing_rate,
        dynamic_range=spectrum.dynamic_range,
        onset_rate=_onset_rate(features),
        silence_ratio=spectrum.silence_ratio,
        active_regions=spectrum.active_regions,
    )


def measure_leakage(sounds: Mapping[StemType, Sound]) -> dict[StemType, dict[StemType, float]]:
    """Measure how much the sounding stems of a song share, as leakage between them does.

    Returns
    -------
    dict
        For each sounding stem the absolute correlation of its samples with each other sounding stem's, 0 to
        1. Parts that play in unison correlate, too.
    """
    sounding = {stem: sound.samples for stem, sound in sounds.items() if not sound.is_silent}
    energies = {stem: float(np.dot(samples, samples)) for stem, samples in sounding.items()}
    found: dict[StemType, dict[StemType, float]] = {stem: {} for stem in sounding}
    for one, other in combinations(sounding, 2):
        product = float(np.dot(sounding[one], sounding[other]))
        correlation = round(min(1.0, abs(product) / (energies[one] * energies[other]) ** 0.5), 4)
        found[one][other] = found[other][one] = correlation
    return found


@dataclass(frozen=True)
class _Spectrum:
    centroid: float | None
    bandwidth: float | None
    rolloff: float | None
    flatness: float | None
    contrast: float | None
    zero_crossing_rate: float | None
    dynamic_range: float | None
    silence_ratio: float
    active_regions: list[Region]


SILENCE = _Spectrum(None, None, None, None, None, None, None, silence_ratio=1.0, active_regions=[])


def _spectrum(sound: Sound) -> _Spectrum:
    """Measure frames block by block, in constant memory; means are over sounding frames."""
    if sound.is_silent:
        return SILENCE
    rows: list[Frames] = []
    for part in stretches(sound, window=FRAME, hop=HOP):
        magnitude = np.abs(librosa.stft(part, n_fft=FRAME, hop_length=HOP, center=False))
        rows.append(
            np.vstack(
                [
                    librosa.feature.rms(y=part, frame_length=FRAME, hop_length=HOP, center=False),
                    librosa.feature.spectral_centroid(S=magnitude, sr=ANALYSIS_RATE),
                    librosa.feature.spectral_bandwidth(S=magnitude, sr=ANALYSIS_RATE),
                    librosa.feature.spectral_rolloff(S=magnitude, sr=ANALYSIS_RATE),
                    librosa.feature.spectral_flatness(S=magnitude[:FLAT_BINS]),
                    librosa.feature.spectral_contrast(S=magnitude, sr=ANALYSIS_RATE).mean(axis=0),
                    librosa.feature.zero_crossing_rate(
                        part, frame_length=FRAME, hop_length=HOP, center=False
                    ),
                ]
            )
        )
    rms, *measures = np.hstack(rows)
    sounding = rms > 10 ** (SILENCE_DBFS / 20)
    if not sounding.any():
        return SILENCE
    centroid, bandwidth, rolloff, flatness, contrast, crossings = (
        float(measure[sounding].mean()) for measure in measures
    )
    loud, soft = np.percentile(20 * np.log10(rms[sounding]), [95, 10])
    return _Spectrum(
        centroid=centroid,
        bandwidth=bandwidth,
        rolloff=rolloff,
        flatness=flatness,
        contrast=contrast,
        zero_crossing_rate=crossings,
        dynamic_range=float(loud - soft),
        silence_ratio=float(1 - sounding.mean()),
        active_regions=_regions(sounding, sound.seconds),
    )


def _regions(sounding: NDArray[np.bool_], seconds: float) -> list[Region]:
    """Return when a stem sounds; frames are centred at multiples of HOP."""
    frames = np.flatnonzero(sounding)
    gaps = np.flatnonzero(np.diff(frames) * HOP / ANALYSIS_RATE > REST_SECONDS)
    first, last = frames[np.r_[0, gaps + 1]], frames[np.r_[gaps, len(frames) - 1]]
    step = HOP / ANALYSIS_RATE
    return [
        Region(max(0.0, float(start - 0.5) * step), min(seconds, float(end + 0.5) * step))
        for start, end in zip(first, last, strict=True)
    ]


def _onset_rate(features: Features) -> float:
    """Return onsets per second; 0 for silence."""
    if features.sound.is_silent:
        return 0.0
    return len(onset_times(features.onsets)) / features.sound.seconds
