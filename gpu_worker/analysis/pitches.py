"""Which pitches sound when: the note activations of a polyphonic sound."""

import functools
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import soxr
from numpy.typing import NDArray

from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound

HOP = 256
LOWEST_PITCH = 21
PITCHES = 88
"""From MIDI 21 (A0) to 108 (C8)."""

WINDOW_SAMPLES = 43_844
EDGE_FRAMES = 15
"""At both ends of a window, where the network sees too little: the windows overlap by twice that."""

WINDOW_FRAMES = 141
"""Frames that are kept of each window."""

BATCH = 8


@dataclass(frozen=True)
class NoteActivations:
    """Likelihoods from 0 to 1, each of shape (frames, PITCHES)."""

    notes: NDArray[np.float16]
    """That the pitch sounds."""
    onsets: NDArray[np.float16]
    """That a note of this pitch begins."""
    frame_rate: float
    """Frames a second."""
    seconds: float
    """Length of the sound; the last frame may end a little later."""

    @property
    def pitch_classes(self) -> NDArray[np.float32]:
        """The strongest note of each pitch class, C first; shape (frames, 12)."""
        octaves = np.pad(self.notes, ((0, 0), (LOWEST_PITCH % 12, -(LOWEST_PITCH + PITCHES) % 12)))
        strongest: NDArray[np.float32] = octaves.reshape(len(octaves), -1, 12).max(axis=1).astype(np.float32)
        return strongest


def note_activations(sound: Sound, *, tuning_cents: float = 0.0) -> NoteActivations:
    """Run basic-pitch's network over a sound, window by window.

    Parameters
    ----------
    sound : Sound
        Any number of notes at once.
    tuning_cents : float
        How far it is tuned above A4 = 440 Hz; the sound is played that much lower, since the network has a
        note for each tempered semitone (the log loss of pitch classes falls from 0.16 to 0.13 by it).

    Notes
    -----
    Bittner et al., "A lightweight instrument-agnostic model for polyphonic note transcription and multipitch
    estimation", ICASSP 2022. The weights come with the package basic-pitch; its own inference code needs
    TensorFlow's pins, and its windows do not start on whole frames, which these do.
    """
    speed = 2 ** (tuning_cents / 1200)
    samples = soxr.resample(sound.samples, ANALYSIS_RATE, ANALYSIS_RATE * speed)
    frames = -(-len(samples) // HOP)
    windows = -(-frames // WINDOW_FRAMES)
    step = WINDOW_FRAMES * HOP
    lead = EDGE_FRAMES * HOP
    padded = np.zeros(windows * step + WINDOW_SAMPLES, np.float32)
    padded[lead : lead + len(samples)] = samples
    kept = slice(EDGE_FRAMES, EDGE_FRAMES + WINDOW_FRAMES)
    notes, onsets = [np.zeros((0, PITCHES), np.float16)], [np.zeros((0, PITCHES), np.float16)]
    for first in range(0, windows, BATCH):
        starts = range(first * step, min(first + BATCH, windows) * step, step)
        batch = np.stack([padded[start : start + WINDOW_SAMPLES, None] for start in starts])
        note, onset = _network().run(
            ["StatefulPartitionedCall:1", "StatefulPartitionedCall:2"], {"serving_default_input_2:0": batch}
        )
        notes.append(note[:, kept].reshape(-1, PITCHES).astype(np.float16))
        onsets.append(onset[:, kept].reshape(-1, PITCHES).astype(np.float16))
    return NoteActivations(
        np.concatenate(notes)[:frames],
        np.concatenate(onsets)[:frames],
        frame_rate=speed * ANALYSIS_RATE / HOP,
        seconds=sound.seconds,
    )


@functools.cache
def _network() -> onnxruntime.InferenceSession:
    """Load the weights without importing the package, which looks for TensorFlow at import."""
    package = find_spec("basic_pitch")
    if package is None or package.origin is None:
        raise RuntimeError("basic-pitch is not installed: its weights are needed to find notes")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the stems are analysed side by side
    weights = Path(package.origin).parent / "saved_models" / "icassp_2022" / "nmp.onnx"
    return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
