"""The notes of a stem, by what kind of part it is."""

from collections.abc import Iterable

from gpu_worker.analysis.drums import DrumStroke, find_onsets, transcribe_drums
from gpu_worker.analysis.features import Features
from gpu_worker.notation.bass import transcribe_bass
from gpu_worker.notation.melody import transcribe_melody
from gpu_worker.notation.notes import Note
from gpu_worker.notation.polyphony import transcribe_polyphony
from gpu_worker.notation.score import DRUM_PITCHES
from shared.models import StemType

STROKE_SECONDS = 0.03
"""Length given to a drum's stroke, which has none of its own: less than from one to the next."""


def transcribe(*, stem: StemType, features: Features, tuning_cents: float = 0.0) -> list[Note]:
    """Find the notes of a stem, not quantised; none in silence.

    Parameters
    ----------
    stem : StemType
        Bass and vocals are heard as one line, other as chords, drums as strokes (pitches of DRUM_PITCHES).
    features : Features
        Of the stem. Chords are counted from the stem's own tuning.
    tuning_cents : float
        How far the song is tuned above A4 = 440 Hz; the pitches of a line are counted from there.
    """
    sound = features.sound
    if sound.is_silent:
        return []
    match stem:
        case StemType.DRUMS:
            return strokes_as_notes(transcribe_drums(find_onsets(sound)))
        case StemType.BASS:
            return transcribe_bass(
                sound=sound,
                track=features.bass_pitch,
                onsets=features.onsets,
                tuning_cents=tuning_cents,
            )
        case StemType.VOCALS:
            return transcribe_melody(track=features.voice_pitch, tuning_cents=tuning_cents)
        case StemType.OTHER:
            # Tones that agree on no tuning are none: speech has many that look like notes.
            return transcribe_polyphony(activations=features.activations) if features.tuning else []


def strokes_as_notes(strokes: Iterable[DrumStroke]) -> list[Note]:
    """Return drum strokes as notes of General MIDI's percussion map."""
    return [
        Note(
            onset=stroke.time,
            offset=stroke.time + STROKE_SECONDS,
            pitch=DRUM_PITCHES[stroke.drum],
            velocity=stroke.velocity,
            confidence=stroke.confidence,
        )
        for stroke in strokes
    ]
