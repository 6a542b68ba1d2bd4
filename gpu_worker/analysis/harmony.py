"""What a song's pitched stems say together: tuning, bass line, chords and key."""

from dataclasses import dataclass

from numpy.typing import ArrayLike

from gpu_worker.analysis.chords import Chord, find_chords
from gpu_worker.analysis.features import Features
from gpu_worker.analysis.sound import Sound
from gpu_worker.analysis.tonality import Tonality, find_key
from gpu_worker.analysis.tuning import Tuning
from gpu_worker.notation.bass import transcribe_bass
from gpu_worker.notation.notes import Note


@dataclass(frozen=True)
class Harmony:
    """The harmony of a song; what it does not show is None or empty."""

    tuning: Tuning | None
    chords: list[Chord]
    tonality: Tonality | None
    bass: list[Note]
    """Not quantised."""


def analyse_harmony(
    *,
    bass: Features,
    other: Features,
    vocals: Features,
    song: Sound | None = None,
    beats: ArrayLike = (),
    downbeats: ArrayLike = (),
) -> Harmony:
    """Analyse the harmony of a song.

    The chords are heard in `other` and their roots in the bass; where `other` is silent, in bass and vocals.

    Parameters
    ----------
    bass, other, vocals : Features
        Of the stems, of one length.
    song : Sound, optional
        All stems together, by which holes in a separated bass are told from its notes.
    beats, downbeats : array_like
        Seconds; empty if there is no pulse.
    """
    harmony = Features(bass.sound + vocals.sound) if other.sound.is_silent else other
    if harmony.sound.is_silent:
        return Harmony(None, [], None, [])
    tuning = harmony.tuning or bass.tuning
    cents = tuning.cents if tuning else 0.0
    notes = []
    if not bass.sound.is_silent:
        notes = transcribe_bass(
            sound=bass.sound, track=bass.bass_pitch, onsets=bass.onsets, song=song, tuning_cents=cents
        )
    if tuning is None:  # no two tones agree: what the activations show then is noise or speech
        return Harmony(None, [], None, notes)
    chords = find_chords(activations=harmony.activations, bass=notes, beats=beats, downbeats=downbeats)
    return Harmony(tuning, chords, find_key(chords=chords), notes)
