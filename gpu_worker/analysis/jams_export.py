"""A song's result as JAMS (Humphrey et al. 2014), which other tools of music information retrieval read."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import jams

from gpu_worker.analysis.song import SongAnalysis
from shared.keys import PITCH_CLASSES, MusicalKey
from shared.models import ANALYSIS_VERSION

TOOL = "Stem Library"

Observation = tuple[float, float, Any, float | None]
"""Time and duration in seconds, value, and confidence."""


def to_jams(*, result: SongAnalysis, duration: float, title: str = "", artist: str = "") -> jams.JAMS:
    """Return a song's result as JAMS, checked against its schema.

    Beats, tempo, keys, chords and sections are the song's; notes and active regions each stem's, whose name
    is in the annotation's sandbox. A tempo that varies has a second annotation, whose sandbox says that it is
    by the beat. What was not measured has no annotation. The file's sandbox holds time signature, tuning and
    swing ratio, for which JAMS has no namespace.

    Raises
    ------
    jams.SchemaError
        If a value is none that JAMS allows.
    """
    song = result.song
    beats_by = f"{TOOL}, beats by {song['beatTracker']}" if song.get("beatTracker") else TOOL
    shared = next((values for values in result.stems.values() if "bpm" in values), {})
    confidence = shared.get("confidence", {})
    file = jams.JAMS()
    file.file_metadata = jams.FileMetadata(title=title, artist=artist, duration=duration)
    file.sandbox = jams.Sandbox(
        **{name: song.get(name) for name in ("timeSignature", "tuning", "swingRatio")}
    )

    def add(
        namespace: str, observations: Iterable[Observation], *, tools: str = TOOL, **sandbox: str
    ) -> None:
        annotation = jams.Annotation(
            namespace=namespace,
            time=0,
            duration=duration,
            annotation_metadata=jams.AnnotationMetadata(
                annotation_tools=tools, version=str(ANALYSIS_VERSION), data_source="program"
            ),
            sandbox=sandbox,
        )
        for time, length, value, sure in observations:
            annotation.append(time=time, duration=length, value=value, confidence=sure)
        if annotation.data:
            file.annotations.append(annotation)

    beats = shared.get("beats") or []
    add("beat", ((beat["time"], 0.0, beat.get("position"), None) for beat in beats), tools=beats_by)
    if song.get("bpm"):
        add("tempo", [(0.0, duration, song["bpm"], confidence.get("bpm"))], tools=beats_by)
    add("tempo", _tempo_curve(beats, confidence.get("bpm")), tools=beats_by, by="beat")
    add("key_mode", _keys(song.get("keyRegions") or ()))
    add("chord", _spans(shared.get("chordProgression"), "chord"))
    add("segment_open", _spans(shared.get("sections"), "label"))
    for stem, values in result.stems.items():
        notes = (values.get("notationData") or {}).get("notes", ())
        add("note_midi", (_note(note, note["pitch"]) for note in notes if "pitch" in note), stem=stem)
        add("tag_open", (_note(note, note["drum"]) for note in notes if "drum" in note), stem=stem)
        regions = values.get("activeRegions") or ()
        add("segment_open", _spans([region | {"label": "active"} for region in regions], "label"), stem=stem)
    file.validate(strict=True)
    return file


def _tempo_curve(beats: Sequence[Mapping[str, Any]], confidence: float | None) -> Iterable[Observation]:
    """The tempo from each beat to the next, where beats have tempi of their own."""
    for beat, following in pairwise(beats):
        if "bpm" in beat:
            yield beat["time"], round(following["time"] - beat["time"], 3), beat["bpm"], confidence


def _keys(regions: Iterable[Mapping[str, Any]]) -> Iterable[Observation]:
    """The keys in order."""
    for region in regions:
        key = MusicalKey.parse(region["key"])
        name = f"{PITCH_CLASSES[key.tonic]}:{key.mode}"
        yield region["start"], round(region["end"] - region["start"], 3), name, region["confidence"]


def _spans(spans: Iterable[Mapping[str, Any]] | None, name: str) -> Iterable[Observation]:
    for span in spans or ():
        length = round(span["end"] - span["start"], 3)
        yield span["start"], length, span[name], span.get("confidence")


def _note(note: Mapping[str, Any], value: Any) -> Observation:
    return note["onset"], round(note["offset"] - note["onset"], 3), value, note["confidence"]
