"""The whole analysis of a song: each stem is used for what it shows best."""

import functools
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_worker.analysis import wire
from gpu_worker.analysis.drums import DrumOnsets, find_onsets, transcribe_drums
from gpu_worker.analysis.features import Features
from gpu_worker.analysis.harmony import Harmony, analyse_harmony
from gpu_worker.analysis.meter import Accents
from gpu_worker.analysis.metrics import measure, measure_leakage
from gpu_worker.analysis.rhythm import Rhythm, hear, track_rhythm
from gpu_worker.analysis.sections import find_sections
from gpu_worker.analysis.similarity import similarity_vector
from gpu_worker.analysis.sound import Sound, load_sound
from gpu_worker.analysis.tracked_beats import BeatTracker, rhythm_of
from gpu_worker.notation.export import NO_NOTES, find_places, notation_of
from gpu_worker.notation.notes import Note
from gpu_worker.notation.score import Music, Part
from gpu_worker.notation.transcription import strokes_as_notes, transcribe
from shared.models import StemType


@dataclass(frozen=True)
class SongAnalysis:
    """The result, under the wire names of the records, structures as native JSON."""

    song: dict[str, Any]
    stems: dict[StemType, dict[str, Any]]


def analyse_song(
    stem_paths: dict[StemType, Path], *, beat_tracker: BeatTracker | None = None
) -> SongAnalysis:
    """Analyse a song from its four stems; beats are those of `beat_tracker`, without one pulse readings.

    Tempo, beats, bars and sections come from drums, bass and other (vocals where that is silent); tuning,
    chords and key from bass and other, else from bass and vocals. They belong to the song and stand in each
    of its sounding stems; notes and metrics are each stem's own.
    """
    sounds = {stem: load_sound(path) for stem, path in stem_paths.items()}
    features = {stem: Features(sound) for stem, sound in sounds.items()}
    bass, other, vocals = (features[stem] for stem in (StemType.BASS, StemType.OTHER, StemType.VOCALS))
    strokes = find_onsets(sounds[StemType.DRUMS])
    accents = hear(drums=strokes, bass=bass, other=vocals if other.sound.is_silent else other)
    rhythm = _rhythm(beat_tracker, accents, _mix(list(sounds.values())))
    sections = (
        find_sections(accents=accents, stems=list(sounds.values()), downbeats=rhythm.downbeats)
        if rhythm
        else []
    )
    harmony = analyse_harmony(
        bass=bass,
        other=other,
        vocals=vocals,
        beats=rhythm.beats if rhythm else (),
        downbeats=rhythm.downbeats if rhythm else (),
    )
    shared = wire.shared_values(
        rhythm, harmony, sections, beat_tracker.label if beat_tracker else wire.PULSE_READINGS
    )
    notes = _notes(features, strokes, harmony)
    leakage = measure_leakage(sounds)
    stems = {
        stem: wire.stem_values(
            None if sound.is_silent else shared | _notation(stem, shared, notes[stem]),
            wire.metrics_values(measure(stem_paths[stem], sound))
            | {"leakage": leakage.get(stem), "similarity": _similarity(features[stem])},
        )
        for stem, sound in sounds.items()
    }
    return SongAnalysis(wire.song_values(rhythm, harmony, shared), stems)


def _rhythm(beat_tracker: BeatTracker | None, accents: Accents, mix: Sound) -> Rhythm | None:
    if beat_tracker is None:
        return track_rhythm(accents=accents, song=mix)
    return rhythm_of(tracked=beat_tracker.track(mix), accents=accents, song=mix)


def _mix(sounds: list[Sound]) -> Sound:
    return functools.reduce(operator.add, sounds)


def _notes(
    features: dict[StemType, Features], strokes: DrumOnsets, harmony: Harmony
) -> dict[StemType, list[Note]]:
    """Find each stem's notes; drums and bass were heard for rhythm and harmony already."""
    cents = harmony.tuning.cents if harmony.tuning else 0.0
    return {
        StemType.DRUMS: strokes_as_notes(transcribe_drums(strokes)),
        StemType.BASS: harmony.bass,
        **{
            stem: transcribe(stem=stem, features=features[stem], tuning_cents=cents)
            for stem in (StemType.VOCALS, StemType.OTHER)
        },
    }


def _notation(stem: StemType, shared: dict[str, Any], notes: list[Note]) -> dict[str, Any]:
    if not notes:
        return {"unmeasured": shared["unmeasured"] | {"notationData": NO_NOTES}}
    part = Part.of(stem, Music.from_values(shared), notes)
    return {"notationData": notation_of(part, find_places(part))}


def _similarity(features: Features) -> list[float] | None:
    vector = similarity_vector(sound=features.sound, onsets=features.onsets)
    return None if vector is None else [round(float(value), 4) for value in vector]
