"""The whole analysis of a song: each stem is used for what it shows best."""

import functools
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_worker.analysis.metrics import measure
from gpu_worker.analysis.rhythm import Rhythm, track_rhythm
from gpu_worker.analysis.sound import Sound, load_sound
from gpu_worker.analysis.tonality import Tonality, find_key
from shared.models import StemType

NOT_ANALYSED = "not analysed by this version"
SILENT = "the stem is silent"
NO_PULSE = "no steady pulse was found"
NO_KEY = "no key stands out"


@dataclass(frozen=True)
class SongAnalysis:
    """The result, under the wire names of the records, structures as native JSON."""

    song: dict[str, Any]
    stems: dict[StemType, dict[str, Any]]


def analyse_song(stem_paths: dict[StemType, Path]) -> SongAnalysis:
    """Analyse a song from its four stems.

    Tempo and beats come from the drums where they keep a pulse, else from the mix; the key from bass and
    other, else from all pitched stems. They belong to the song and stand in each of its sounding stems; the
    metrics are each stem's own.
    """
    sounds = {stem: load_sound(path) for stem, path in stem_paths.items()}
    rhythm = track_rhythm(sounds[StemType.DRUMS]) or track_rhythm(_mix(list(sounds.values())))
    harmony = _mix([sounds[StemType.BASS], sounds[StemType.OTHER]])
    tonality = find_key(harmony) or find_key(_mix([harmony, sounds[StemType.VOCALS]]))
    shared = _shared_values(rhythm, tonality)
    stems = {
        stem: {**(_silent_values() if sound.is_silent else shared), **_metrics(stem_paths[stem], sound)}
        for stem, sound in sounds.items()
    }
    song = {name: shared[name] for name in ("bpm", "key", "timeSignature", "tuning")}
    return SongAnalysis(song, stems)


def _mix(sounds: list[Sound]) -> Sound:
    return functools.reduce(operator.add, sounds)


def _shared_values(rhythm: Rhythm | None, tonality: Tonality | None) -> dict[str, Any]:
    unmeasured = dict.fromkeys(
        ("timeSignature", "tuning", "chordProgression", "sections", "notationData"), NOT_ANALYSED
    )
    if rhythm is None:
        unmeasured |= {"bpm": NO_PULSE, "beats": NO_PULSE}
    if tonality is None:
        unmeasured |= {"key": NO_KEY, "camelot": NO_KEY}
    return {
        "bpm": rhythm and round(rhythm.bpm, 2),
        "key": tonality and tonality.key.name,
        "camelot": tonality and tonality.key.camelot,
        "timeSignature": None,
        "tuning": None,
        "confidence": {
            "bpm": rhythm and round(rhythm.confidence, 3),
            "key": tonality and round(tonality.confidence, 3),
        },
        "beats": rhythm and [{"time": round(time, 3)} for time in rhythm.beats],
        "unmeasured": unmeasured,
    }


def _silent_values() -> dict[str, Any]:
    names = ("bpm", "key", "camelot", "timeSignature", "tuning")
    structures = ("chordProgression", "beats", "sections", "notationData")
    return {"unmeasured": dict.fromkeys(names + structures, SILENT)}


def _metrics(path: Path, sound: Sound) -> dict[str, Any]:
    """Return the metrics under their wire names."""
    measured = measure(path, sound).to_dict()
    words = ((name.split("_"), value) for name, value in measured.items())
    return {first + "".join(word.title() for word in rest): value for (first, *rest), value in words}
