"""Drum transcription: when a drum stem is struck, on what, and how hard."""

import functools
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
from numpy.typing import NDArray

from gpu_worker.analysis.onsets import FRAME_RATE, HOP, WINDOW
from gpu_worker.analysis.sound import Sound
from gpu_worker.analysis.spectra import mel_bands

DRUMS = ("kick", "snare", "hihat_closed", "hihat_open", "tom", "cymbal", "percussion")

WEIGHTS = Path(__file__).with_name("drums.npz")

BANDS = 40
COMPRESSION = 1000.0
LOUDEST = 99.5
"""Percentile of the frames' levels that counts as the loudest."""

FEW_STROKES = 0.1
"""Share of the highest level that counts as the loudest at least."""

CONTEXT = (-3, -1, 0, 1, 2, 4, 8, 16)
"""Frames around an onset that its drum is told by: what sounded before, the stroke, and its decay."""

APART = 2
"""Frames on either side of an onset without a stronger one: drums that are struck together are one onset."""

FAINTEST = 0.04
"""Onset strength below which nothing is looked at, as a share of the song's strongest."""

STRUCK = 0.5
"""Likelihood from which on a drum counts as struck."""

SOMETHING_STRUCK = 0.3
"""Likelihood from which on the likeliest drum counts as struck even so: something was."""

MIN_CLEAR = 0.6
"""Mean likelihood of the strokes: 0.85 to 1 for drums, also for leaky ones, 0.4 for noise, which has none."""

BODY = {"kick": slice(0, 3), "tom": slice(1, 8), "snare": slice(3, 24)}
"""Bands that show how hard a drum is struck; the others' are the highest ten."""

DYNAMICS = 0.6
"""Velocity is this power of the amplitude, relative to the drum's hardest strokes."""

Values = NDArray[np.float32]


@dataclass(frozen=True)
class DrumStroke:
    """A drum that is struck."""

    time: float
    """Seconds."""
    drum: str
    """One of DRUMS."""
    velocity: int
    """1 to 127, relative to the hardest strokes of this drum in the song."""
    confidence: float
    """0 to 1."""


@dataclass(frozen=True)
class DrumOnsets:
    """Moments at which drums may be struck, the faint ones included."""

    frames: NDArray[np.int64]
    """Shape (onsets,), at onsets.FRAME_RATE."""
    patches: Values
    """Shape (onsets, len(CONTEXT) * BANDS): the logarithmic mel spectrum around each."""
    strengths: Values
    """Shape (onsets,): 1 for the strongest few, and in proportion."""

    @functools.cached_property
    def likelihoods(self) -> Values:
        """Of each drum at each onset, (onsets, len(DRUMS)): a perceptron trained by train_drums.py."""
        if not len(self.frames):
            return np.zeros((0, len(DRUMS)), np.float32)
        values = self.patches
        *hidden, last = _layers()
        for weights, bias in hidden:
            values = np.maximum(0, values @ weights + bias)
        scores = values @ last[0] + last[1]
        likelihoods: Values = 1 / (1 + np.exp(-scores))
        return likelihoods

    @property
    def unknown(self) -> Values:
        """How likely something else was struck, (onsets,): strong onsets that sound like none of DRUMS."""
        unknown: Values = self.strengths * (1 - self.likelihoods.max(axis=1, initial=0))
        return unknown


NO_ONSETS = DrumOnsets(
    np.zeros(0, np.int64), np.zeros((0, len(CONTEXT) * BANDS), np.float32), np.zeros(0, np.float32)
)


def find_onsets(sound: Sound) -> DrumOnsets:
    """Find all moments at which the spectrum of a drum stem rises."""
    if sound.is_silent:
        return NO_ONSETS
    bands = mel_bands(sound, window=WINDOW, hop=HOP, bands=BANDS)
    peaks = bands.max(axis=0)
    # A percentile, so that one odd crack is no measure; but a stem of few strokes is mostly silence.
    loudest = max(np.percentile(peaks, LOUDEST), FEW_STROKES * peaks.max())
    level = np.log1p(COMPRESSION * bands / loudest).astype(np.float32)
    flux = np.maximum(0, level[:, 2:] - level[:, :-2])
    # A drum may fill a few bands or all: the mean alone would miss a kick under a cymbal.
    strength = np.pad(flux.mean(axis=0) + np.partition(flux, -4, axis=0)[-4:].mean(axis=0) / 2, (2, 0))
    highest = librosa.util.localmax(strength)
    for shift in range(1, APART + 1):
        highest[shift:] &= strength[shift:] >= strength[:-shift]
        highest[:-shift] &= strength[:-shift] >= strength[shift:]
    strongest = np.percentile(strength, LOUDEST)
    frames = np.flatnonzero(highest & (strength > FAINTEST * strongest))
    before, after = -CONTEXT[0], CONTEXT[-1]
    padded = np.pad(level, ((0, 0), (before, after)))
    patches = np.concatenate([padded[:, frames + before + offset] for offset in CONTEXT])
    # Nothing is stronger than the strongest where most of a stem is silence.
    strengths = np.minimum(1, strength[frames] / max(strongest, FEW_STROKES * strength.max()))
    return DrumOnsets(frames.astype(np.int64), patches.T, strengths.astype(np.float32))


def transcribe_drums(onsets: DrumOnsets) -> list[DrumStroke]:
    """The strokes, in order of time; drums that are struck together have the same time."""
    likelihoods = onsets.likelihoods
    if not likelihoods.any():
        return []
    best = likelihoods.max(axis=1, keepdims=True)
    struck = (likelihoods > STRUCK) | ((likelihoods == best) & (best > SOMETHING_STRUCK))
    opened, closed = DRUMS.index("hihat_open"), DRUMS.index("hihat_closed")
    both = struck[:, opened] & struck[:, closed]
    struck[both, opened] = likelihoods[both, opened] > likelihoods[both, closed]
    struck[both, closed] = ~struck[both, opened]
    if not struck.any() or likelihoods[struck].mean() < MIN_CLEAR:
        return []
    velocities = np.stack(
        [_velocities(onsets, drum, struck[:, place]) for place, drum in enumerate(DRUMS)], 1
    )
    return [
        DrumStroke(
            time=float(onsets.frames[onset] / FRAME_RATE),
            drum=DRUMS[place],
            velocity=int(velocities[onset, place]),
            confidence=float(likelihoods[onset, place]),
        )
        for onset, place in np.argwhere(struck)
    ]


def _velocities(onsets: DrumOnsets, drum: str, struck: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How hard each onset would be as a stroke of a drum, from the rise of amplitude in the drum's bands."""
    spectra = np.expm1(onsets.patches.reshape(-1, len(CONTEXT), BANDS))
    risen = np.maximum(0, spectra[:, CONTEXT.index(1)] - spectra[:, CONTEXT.index(-3)])
    rise = risen[:, BODY.get(drum, slice(-10, None))].sum(axis=1)
    hardest = np.percentile(rise[struck], 95) if struck.any() else 0.0
    if hardest <= 0:
        return np.full(len(rise), 127, np.int64)
    shares = np.minimum(1, (rise / hardest) ** DYNAMICS)
    velocities: NDArray[np.int64] = np.maximum(1, np.round(127 * shares)).astype(np.int64)
    return velocities


@functools.cache
def _layers() -> list[tuple[Values, Values]]:
    """Weights and bias of each layer; the normalisation of the patches is folded into the first."""
    with np.load(WEIGHTS) as stored:
        count = len(stored.files) // 2
        return [
            (stored[f"weights{layer}"].astype(np.float32), stored[f"bias{layer}"].astype(np.float32))
            for layer in range(count)
        ]
