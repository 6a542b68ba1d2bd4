"""The notes of a part that plays several at once."""

import itertools

import numpy as np
from numpy.typing import NDArray

from gpu_worker.analysis.pitches import LOWEST_PITCH, PITCHES, NoteActivations
from gpu_worker.notation.notes import Note

ONSET = 0.65
NOTE = 0.4
SHORTEST_SECONDS = 0.06
LONGEST_GAP_SECONDS = 0.1
"""For which a note may fall below NOTE and still go on."""

Values = NDArray[np.float32]


def transcribe_polyphony(*, activations: NoteActivations) -> list[Note]:
    """Find the notes in note activations, ordered by onset; velocities are the activations' own.

    A note begins at a peak of its pitch's onset activation and lasts while its pitch sounds, or until it is
    struck again (the basic method of Bittner et al. 2022, without the guesses at notes that lack an onset).
    """
    rate = activations.frame_rate
    gap, shortest = round(LONGEST_GAP_SECONDS * rate), SHORTEST_SECONDS * rate
    found = []
    for row in range(PITCHES):
        sounding = activations.notes[:, row].astype(np.float32)
        starts = _peaks(activations.onsets[:, row].astype(np.float32))
        for start, limit in itertools.pairwise([*starts, len(sounding)]):
            end = _end(sounding[start:limit], gap)
            if end < shortest:
                continue
            strength = float(sounding[start : start + end].mean())
            found.append(
                Note(
                    onset=float(start / rate),
                    offset=float((start + end) / rate),
                    pitch=LOWEST_PITCH + row,
                    velocity=int(np.clip(round(127 * strength), 1, 127)),
                    confidence=min(1.0, float(activations.onsets[start, row])),
                )
            )
    return sorted(found, key=lambda note: (note.onset, note.pitch))


def _peaks(curve: Values) -> list[int]:
    """Frames of the local maxima above ONSET."""
    before = np.concatenate([[0], curve[:-1]])
    after = np.concatenate([curve[1:], [0]])
    return [int(i) for i in np.flatnonzero((curve > ONSET) & (curve > before) & (curve >= after))]


def _end(sounding: Values, gap: int) -> int:
    """Frames until a pitch has ended: the last sounding one before a silence longer than the gap."""
    frames = np.flatnonzero(sounding > NOTE)
    if not len(frames) or frames[0] > gap:
        return 0
    breaks = np.flatnonzero(np.diff(frames) > gap)
    return int(frames[breaks[0]] if len(breaks) else frames[-1]) + 1
