"""The melody line of a voice: its pitch over time, and its notes."""

import numpy as np
from swift_f0 import PitchResult, segment_notes

from gpu_worker.notation.notes import Note, velocities
from gpu_worker.notation.pitch import PitchTrack, Values, steady_share

VOICED = 0.5
"""Confidence from which the network's authors call a frame voiced; a melody has such frames."""

SUNG = 0.15
"""Confidence from which a melody's frames are taken for sung: separation blurs a voice's harmonics, which
halves the network's confidence or worse, while that of frames without a voice stays near 0."""

QUIET_DB = 35.0
"""Below the part's loudest moment: echo, breath, leakage."""

MIN_STEADY_SHARE = 0.75
"""Of the notes' frames that keep to their note's pitch: 0.9 in song, 0.4 to 0.65 in speech, which
glides and is no melody."""


def transcribe_melody(*, track: PitchTrack, tuning_cents: float = 0.0) -> list[Note]:
    """Find the notes that a voice sings; none where it sings none or speaks.

    The pitch is cut into notes by SwiftF0's dynamic program, which weighs how far the pitch strays from a
    note against the number of notes, and cuts at dips of the level.

    Parameters
    ----------
    track : PitchTrack
        Of the voice.
    tuning_cents : float
        How far the song is tuned above A4 = 440 Hz; pitches are counted from there.
    """
    if len(track.times) < 2:
        return []
    confidence = np.where(track.level > track.level.max() - QUIET_DB, track.confidence, 0.0)
    if confidence.max() < VOICED:
        return []
    found = segment_notes(PitchResult(track.times, track.hertz, _centred(confidence), track.level))
    if not found:
        return []
    spans = [(track.times >= note.start) & (track.times < note.end) for note in found]
    if steady_share(track.midi, spans) < MIN_STEADY_SHARE:
        return []
    loudness = velocities(np.array([track.level[span].max() for span in spans]))
    return [
        Note(
            onset=note.start,
            offset=note.end,
            pitch=round(69 + 12 * np.log2(note.pitch_hz / 440) - tuning_cents / 100),
            velocity=velocity,
            confidence=float(np.clip(confidence[span].mean(), 0, 1)),
        )
        for note, span, velocity in zip(found, spans, loudness, strict=True)
    ]


def _centred(confidence: Values) -> Values:
    """Confidence with SUNG moved to 0.5, at which the dynamic program neither seeks nor shuns a frame."""
    odds = confidence / np.maximum(1 - confidence, 1e-9) * (1 - SUNG) / SUNG
    return np.asarray(odds / (1 + odds))
