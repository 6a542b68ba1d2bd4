"""Scores of an analysis against a song's truth, by mir_eval.

Each measure takes the truth of a song (see `songs`) and what the analysis says of it on the wire, and returns
a score from 0 to 1: None where the song has nothing to be measured, MISSING where the analysis says nothing.
"""

from collections.abc import Callable
from typing import Any

import mir_eval
import numpy as np
from mir_eval.util import midi_to_hz
from numpy.typing import NDArray

Json = dict[str, Any]
Times = NDArray[np.float64]

MISSING = "missing"
Score = float | str | None

BOUNDARY_SECONDS = 3.0
TEMPO_TOLERANCE = 0.04
TUNING_CENTS = 3.0
SWING_TOLERANCE = 0.15
OCTAVES = (1 / 3, 1 / 2, 1, 2, 3)
ONE_STROKE_SECONDS = 0.03
DRUMS = {"kick": ("kick",), "snare": ("snare",), "hi-hat": ("hihat_closed", "hihat_open")}


def beats(truth: Json, found: Json) -> Score:
    """F-measure at 70 ms."""
    if found["beats"] is None:
        return MISSING
    return _beat_f(truth["beats"], [beat["time"] for beat in found["beats"]])


def downbeats(truth: Json, found: Json) -> Score:
    """F-measure at 70 ms of the beats whose position is 1."""
    if found["beats"] is None or not any("position" in beat for beat in found["beats"]):
        return MISSING
    return _beat_f(truth["downbeats"], [beat["time"] for beat in found["beats"] if beat.get("position") == 1])


def _beat_f(reference: list[float], estimated: list[float]) -> float:
    return float(mir_eval.beat.f_measure(np.array(reference), np.array(sorted(estimated))))


def tempo(truth: Json, found: Json) -> Score:
    """Whether the tempo is within 4 %."""
    if found["bpm"] is None:
        return MISSING
    return float(abs(found["bpm"] / truth["bpm"] - 1) <= TEMPO_TOLERANCE)


def tempo_octave(truth: Json, found: Json) -> Score:
    """Whether the tempo, its half, double, third or triple is within 4 %."""
    if found["bpm"] is None:
        return MISSING
    return max(float(tempo(truth, found | {"bpm": found["bpm"] * octave})) for octave in OCTAVES)


def time_signature(truth: Json, found: Json) -> Score:
    """Whether it is the same."""
    if found["timeSignature"] is None:
        return MISSING
    return float(found["timeSignature"] == truth["timeSignature"])


def swing(truth: Json, found: Json) -> Score:
    """Whether the ratio of the eighths is within 15 %; none where a beat has three."""
    if truth["timeSignature"] == "6/8":
        return None
    if found["swingRatio"] is None:
        return MISSING
    return float(abs(np.log(found["swingRatio"] / truth["swingRatio"])) <= np.log(1 + SWING_TOLERANCE))


def key(truth: Json, found: Json) -> Score:
    """The MIREX score, which gives parts for a fifth, the relative and the parallel key."""
    if found["key"] is None:
        return MISSING
    return float(mir_eval.key.weighted_score(truth["key"], found["key"]))


def key_regions(truth: Json, found: Json) -> Score:
    """The MIREX score over time."""
    if not found["keyRegions"]:
        return MISSING
    regions = found["keyRegions"]
    times = np.arange(truth["beats"][0], truth["keyRegions"][-1]["end"], 0.1)
    pairs = [(_at(truth["keyRegions"], time), _at(regions, time)) for time in times]
    return float(np.mean([mir_eval.key.weighted_score(a, b) if b else 0.0 for a, b in pairs]))


def _at(regions: list[Json], time: float) -> str | None:
    return next((region["key"] for region in regions if region["start"] <= time < region["end"]), None)


def tuning(truth: Json, found: Json) -> Score:
    """Whether A4 is within 3 cents."""
    if found["tuning"] is None:
        return MISSING
    return float(abs(1200 * np.log2(found["tuning"] / truth["tuning"])) <= TUNING_CENTS)


def chords(truth: Json, found: Json) -> Score:
    """Share of time with the right major or minor triad, or rightly none."""
    return _chord_score(truth, found, "majmin")


def chord_sevenths(truth: Json, found: Json) -> Score:
    """Share of time with the right triad or seventh chord."""
    return _chord_score(truth, found, "sevenths")


def chord_inversions(truth: Json, found: Json) -> Score:
    """Share of time with the right major or minor triad and the right bass."""
    return _chord_score(truth, found, "majmin_inv")


def _chord_score(truth: Json, found: Json, vocabulary: str) -> Score:
    if found["chordProgression"] is None:
        return MISSING
    first = truth["chords"][0]["start"]
    reference = [{"start": 0.0, "end": first, "chord": "N"}, *truth["chords"]]
    spans = (_labelled(chords_, "chord") for chords_ in (reference, found["chordProgression"]))
    (intervals, labels), (found_intervals, found_labels) = spans
    if not len(found_intervals):
        return 0.0
    scores = mir_eval.chord.evaluate(intervals, labels, found_intervals, found_labels)
    return float(scores[vocabulary])


def _labelled(spans: list[Json], name: str) -> tuple[Times, list[str]]:
    return np.array([[span["start"], span["end"]] for span in spans]), [span[name] for span in spans]


def boundaries(truth: Json, found: Json) -> Score:
    """F-measure of the sections' boundaries at 3 s."""
    if not found["sections"]:
        return MISSING
    reference, estimated = (_labelled(spans, "label")[0] for spans in (truth["sections"], found["sections"]))
    return float(mir_eval.segment.detection(reference, estimated, window=BOUNDARY_SECONDS)[2])


def section_labels(truth: Json, found: Json) -> Score:
    """F-measure of pairs of frames that are in sections of one label."""
    if not found["sections"]:
        return MISSING
    intervals, labels = _labelled(truth["sections"], "label")
    start, end = intervals.min(), intervals.max()
    spans = [
        mir_eval.util.adjust_intervals(ends - start, names, t_min=0.0, t_max=end - start)
        for ends, names in ((intervals, labels), _labelled(found["sections"], "label"))
    ]
    return float(mir_eval.segment.pairwise(*spans[0], *spans[1])[2])


def drum_onsets(truth: Json, found: Json) -> Score:
    """F-measure at 50 ms of all strokes together, where those within 30 ms count as one."""
    if not truth["drums"]:
        return None
    if found["drums"] is None:
        return MISSING
    return _onset_f(*(_strokes([hit["onset"] for hit in hits]) for hits in (_hits(truth), found["drums"])))


def drum_classes(truth: Json, found: Json) -> Score:
    """Mean F-measure at 50 ms over those of kick, snare and hi-hat that are played."""
    if not truth["drums"]:
        return None
    if found["drums"] is None:
        return MISSING
    scores = []
    for names in DRUMS.values():
        played, heard = (
            _strokes([hit["onset"] for hit in hits if hit["drum"] in names])
            for hits in (_hits(truth), found["drums"])
        )
        if len(played):
            scores.append(_onset_f(played, heard))
    return float(np.mean(scores)) if scores else None


def _hits(truth: Json) -> list[Json]:
    return [hit | {"onset": max(0.0, hit["time"])} for hit in truth["drums"]]


def _strokes(onsets: list[float]) -> Times:
    """Sorted times, without those that follow another at once."""
    kept: list[float] = []
    for onset in sorted(onsets):
        if not kept or onset - kept[-1] > ONE_STROKE_SECONDS:
            kept.append(onset)
    return np.array(kept)


def _onset_f(reference: Times, estimated: Times) -> float:
    return float(mir_eval.onset.f_measure(reference, estimated)[0]) if len(estimated) else 0.0


def bass_onsets(truth: Json, found: Json) -> Score:
    """F-measure at 50 ms of the bass notes' onsets alone."""
    if not truth["bass"]:
        return None
    if found["bass"] is None:
        return MISSING
    return _onset_f(
        *(np.array(sorted(note["onset"] for note in notes)) for notes in (truth["bass"], found["bass"]))
    )


def bass_notes(truth: Json, found: Json) -> Score:
    """F-measure of the bass notes by onset (50 ms) and pitch."""
    return _note_score(truth["bass"], found["bass"])


def other_notes(truth: Json, found: Json) -> Score:
    """F-measure of the other instruments' notes by onset (50 ms) and pitch."""
    return _note_score(truth["other"], found["other"])


def _note_score(reference: list[Json], estimated: list[Json] | None) -> Score:
    if not reference:
        return None
    if estimated is None:
        return MISSING
    if not estimated:
        return 0.0
    (times, pitches), (found_times, found_pitches) = (_notes(notes) for notes in (reference, estimated))
    return float(
        mir_eval.transcription.precision_recall_f1_overlap(
            times, pitches, found_times, found_pitches, onset_tolerance=0.05, offset_ratio=None
        )[2]
    )


def _notes(notes: list[Json]) -> tuple[Times, Times]:
    """Intervals, and pitches in Hz as at A4 = 440 Hz."""
    times = np.array([[note["onset"], max(note["offset"], note["onset"] + 1e-3)] for note in notes])
    return times, midi_to_hz(np.array([note["pitch"] for note in notes], float))


def melody(truth: Json, found: Json) -> Score:
    """Share of the sung frames whose pitch is right within half a semitone, raw pitch accuracy."""
    f0 = np.array(truth["vocals"]["f0"])
    if not f0.any():
        return None
    if found["melody"] is None:
        return MISSING
    times = np.arange(len(f0)) * truth["vocals"]["hop"]
    return float(mir_eval.melody.evaluate(times, f0, *found["melody"])["Raw Pitch Accuracy"])


Measure = Callable[[Json, Json], Score]
MEASURES: dict[str, Measure] = {
    "beats": beats,
    "downbeats": downbeats,
    "tempo": tempo,
    "tempo-octave": tempo_octave,
    "time-signature": time_signature,
    "swing": swing,
    "key": key,
    "key-regions": key_regions,
    "tuning": tuning,
    "chords": chords,
    "chord-sevenths": chord_sevenths,
    "chord-inversions": chord_inversions,
    "boundaries": boundaries,
    "section-labels": section_labels,
    "drum-onsets": drum_onsets,
    "drum-classes": drum_classes,
    "bass-onsets": bass_onsets,
    "bass-notes": bass_notes,
    "other-notes": other_notes,
    "melody": melody,
}
