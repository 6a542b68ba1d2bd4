"""The whole analysis of a song: each stem is used for what it shows best."""

import functools
import operator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from gpu_worker.analysis import wire
from gpu_worker.analysis.accents import hear, is_leak
from gpu_worker.analysis.drums import NO_ONSETS, DrumOnsets, find_onsets, transcribe_drums
from gpu_worker.analysis.features import Features
from gpu_worker.analysis.harmony import Harmony, analyse_harmony
from gpu_worker.analysis.meter import Accents
from gpu_worker.analysis.metrics import measure, measure_leakage
from gpu_worker.analysis.rhythm import Rhythm, track_rhythm
from gpu_worker.analysis.sections import find_sections
from gpu_worker.analysis.similarity import similarity_vector
from gpu_worker.analysis.sound import Sound, load_sound
from gpu_worker.analysis.tracked_beats import BeatTracker, rhythm_of
from gpu_worker.notation.export import NO_NOTES, missing_files, notation_of
from gpu_worker.notation.notes import Note
from gpu_worker.notation.score import Music, Part
from gpu_worker.notation.transcription import strokes_as_notes, transcribe
from shared.models import StemType


@dataclass(frozen=True)
class SongAnalysis:
    """The result, under the wire names of the records, structures as native JSON."""

    song: dict[str, Any]
    stems: dict[StemType, dict[str, Any]]
    parts: dict[StemType, Part]
    """What the stems play, of those that have notes."""


LONE_FEATURES = {
    StemType.OTHER: ("activations",),
    StemType.VOCALS: ("voice_pitch",),
    StemType.BASS: ("bass_pitch",),
    StemType.DRUMS: (),
}
"""What takes long and needs one stem alone, longest first: computed side by side."""

THREADS = 2
"""The longest two stems take about as long as the others; a thread more needs 110 MiB (10 min of audio)."""


@dataclass(frozen=True)
class _Lone:
    """What one stem shows by itself."""

    features: Features
    values: dict[str, Any]
    """Metrics and similarity, under their wire names."""


def analyse_song(
    stem_paths: dict[StemType, Path],
    *,
    beat_tracker: BeatTracker | None = None,
    threads: int = THREADS,
) -> SongAnalysis:
    """Analyse a song from its four stems; beats are those of `beat_tracker`, without one pulse readings.

    Tempo, beats, bars and sections come from drums, bass and other (vocals where that is silent); tuning,
    chords and key from bass and other, else from bass and vocals. They belong to the song and stand in each
    of its sounding stems; notes and metrics are each stem's own.

    The result does not depend on the number of threads.
    """
    # BLAS's own threads spin while they wait for work: they cost a third more and save no time.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        heard = {stem: pool.submit(_hear, stem, stem_paths[stem]) for stem in LONE_FEATURES}
        return _put_together({stem: heard[stem].result() for stem in stem_paths}, beat_tracker)


def _hear(stem: StemType, path: Path) -> _Lone:
    sound = load_sound(path)
    features = Features(sound)
    if not sound.is_silent:
        for name in LONE_FEATURES[stem]:
            getattr(features, name)  # computed when it is first asked for
    similarity = {"similarity": _similarity(features)}
    return _Lone(features, wire.metrics_values(measure(path, features)) | similarity)


def _put_together(heard: dict[StemType, _Lone], beat_tracker: BeatTracker | None) -> SongAnalysis:
    features = {stem: lone.features for stem, lone in heard.items()}
    sounds = {stem: each.sound for stem, each in features.items()}
    bass, other, vocals = (features[stem] for stem in (StemType.BASS, StemType.OTHER, StemType.VOCALS))
    strokes = find_onsets(sounds[StemType.DRUMS])
    mix = _mix(list(sounds.values()))
    accents = hear(
        drums=NO_ONSETS if is_leak(sounds[StemType.DRUMS], mix) else strokes,
        bass=bass,
        other=vocals if is_leak(other.sound, mix) else other,
    )
    rhythm = _rhythm(beat_tracker, accents, mix)
    sections = (
        find_sections(accents=accents, stems=list(sounds.values()), downbeats=rhythm.downbeats)
        if rhythm
        else []
    )
    harmony = analyse_harmony(
        bass=bass,
        other=other,
        vocals=vocals,
        song=mix,
        beats=rhythm.beats if rhythm else (),
        downbeats=rhythm.downbeats if rhythm else (),
    )
    shared = wire.shared_values(
        rhythm, harmony, sections, beat_tracker.label if beat_tracker else wire.PULSE_READINGS
    )
    parts = _parts(shared, _notes(features, strokes, harmony))
    leakage = measure_leakage(sounds)
    stems = {
        stem: wire.stem_values(
            None if sound.is_silent else shared | _notation(shared, parts.get(stem)),
            heard[stem].values | {"leakage": leakage.get(stem)},
        )
        for stem, sound in sounds.items()
    }
    return SongAnalysis(wire.song_values(rhythm, harmony, shared), stems, parts)


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


def _parts(shared: dict[str, Any], notes: dict[StemType, list[Note]]) -> dict[StemType, Part]:
    music = Music.from_values(shared)
    return {stem: Part.of(stem, music, played) for stem, played in notes.items() if played}


def _notation(shared: dict[str, Any], part: Part | None) -> dict[str, Any]:
    if part is None:
        return {"unmeasured": shared["unmeasured"] | {"notationData": NO_NOTES}}
    reasons = shared["unmeasured"] | missing_files(part)
    return {"notationData": notation_of(part), "unmeasured": reasons}


def _similarity(features: Features) -> list[float] | None:
    vector = similarity_vector(sound=features.sound, onsets=features.onsets)
    return None if vector is None else [round(float(value), 4) for value in vector]
