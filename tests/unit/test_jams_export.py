"""JAMS of a song's result, read back and used by the measures of mir_eval."""

import json
from dataclasses import replace
from pathlib import Path

import jams
import pytest

from gpu_worker.analysis.jams_export import to_jams
from gpu_worker.analysis.song import SongAnalysis
from shared.models import StemType

MUSIC = {
    "bpm": 120.0,
    "key": "C# minor",
    "timeSignature": "4/4",
    "tuning": 441.5,
    "beatTracker": "beat_this-final0@1a2b3c4d",
    "confidence": {"bpm": 0.8, "key": 0.9},
    "beats": [{"time": 0.5 * k, "position": k % 4 + 1} for k in range(16)],
    "chordProgression": [
        {"start": 0.0, "end": 4.0, "chord": "C#:min7", "confidence": 0.7},
        {"start": 4.0, "end": 6.0, "chord": "A:maj/3", "confidence": 0.6},
        {"start": 6.0, "end": 8.0, "chord": "N", "confidence": 0.9},
    ],
    "sections": [{"start": 0.0, "end": 8.0, "label": "A'", "confidence": 0.5}],
}
NOTE = {"onset": 0.5, "offset": 0.75, "velocity": 90, "confidence": 0.8}
SILENT = {"unmeasured": {"bpm": "the stem is silent"}, "activeRegions": []}
RESULT = SongAnalysis(
    song={name: MUSIC[name] for name in ("bpm", "key", "timeSignature", "tuning", "beatTracker")}
    | {"swingRatio": 1.5, "keyRegions": [{"start": 0.25, "end": 8.0, "key": "C# minor", "confidence": 0.9}]},
    stems={
        StemType.VOCALS: SILENT,
        StemType.DRUMS: MUSIC | {"notationData": {"notes": [NOTE | {"drum": "snare"}]}},
        StemType.BASS: MUSIC
        | {"notationData": {"notes": [NOTE | {"pitch": 37}]}, "activeRegions": [{"start": 0.5, "end": 8.0}]},
    },
    parts={},
)


def test_a_songs_jams_reads_back(tmp_path: Path):
    path = tmp_path / "song.jams"
    path.write_text(to_jams(result=RESULT, duration=8.0, title="Song").dumps())
    file = jams.load(str(path), validate=True, strict=True)
    assert (file.file_metadata.title, file.file_metadata.duration) == ("Song", 8.0)
    assert dict(file.sandbox) == {"timeSignature": "4/4", "tuning": 441.5, "swingRatio": 1.5}
    assert len(file.search(namespace="tempo")) == 1  # it does not vary
    values = {a.namespace: [(o.time, o.duration, o.value) for o in a.data] for a in file.annotations}
    assert values["beat"][5] == (2.5, 0, 2)
    assert values["tempo"] == [(0, 8, 120)]
    assert values["key_mode"] == [(0.25, 7.75, "C#:minor")]
    assert file.search(namespace="key_mode")[0].data[0].confidence == 0.9
    assert values["chord"] == [(0, 4, "C#:min7"), (4, 2, "A:maj/3"), (6, 2, "N")]
    stems = [(a.namespace, a.sandbox["stem"], a.data[0].value) for a in file.annotations if a.sandbox]
    assert stems == [
        ("tag_open", "Drums", "snare"),
        ("note_midi", "Bass", 37),
        ("segment_open", "Bass", "active"),
    ]
    tools = {a.namespace: a.annotation_metadata.annotation_tools for a in file.annotations}
    assert tools["beat"] == tools["tempo"] == "Stem Library, beats by beat_this-final0@1a2b3c4d"
    assert tools["chord"] == "Stem Library"
    sections = file.search(namespace="segment_open")[0]
    assert [(o.time, o.duration, o.value, o.confidence) for o in sections.data] == [(0, 8, "A'", 0.5)]


def test_a_modulation_is_a_key_after_the_other():
    regions = [
        {"start": 0.0, "end": 5.0, "key": "F# major", "confidence": 0.7},
        {"start": 5.0, "end": 8.0, "key": "C major", "confidence": 0.4},
    ]
    modulating = replace(RESULT, song=RESULT.song | {"key": "F# major", "keyRegions": regions})
    keys = to_jams(result=modulating, duration=8.0).search(namespace="key_mode")[0].data
    assert [tuple(key) for key in keys] == [(0, 5, "F#:major", 0.7), (5, 3, "C:major", 0.4)]


def test_a_tempo_that_varies_is_told_beat_by_beat():
    beats = [{"time": 0.0, "bpm": 120.0}, {"time": 0.5, "bpm": 110.0}, {"time": 1.05, "bpm": 100.0}]
    stems = {StemType.BASS: MUSIC | {"beats": beats}}
    song, curve = to_jams(result=replace(RESULT, stems=stems), duration=8.0).search(namespace="tempo")
    assert [tuple(each) for each in song.data] == [(0, 8, 120, 0.8)]
    assert curve.sandbox["by"] == "beat"
    # The last beat has no next.
    assert [tuple(each) for each in curve.data] == [(0, 0.5, 120, 0.8), (0.5, 0.55, 110, 0.8)]


@pytest.mark.parametrize(("namespace", "measure"), [("beat", "F-measure"), ("chord", "sevenths")])
def test_the_fields_own_measures_take_it(namespace: str, measure: str):
    annotation = to_jams(result=RESULT, duration=8.0).search(namespace=namespace)[0]
    score = jams.eval.beat if namespace == "beat" else jams.eval.chord
    assert score(annotation, annotation)[measure] == pytest.approx(1)


def test_what_was_not_measured_has_no_annotation():
    stems = dict.fromkeys(StemType, SILENT)
    nothing = replace(RESULT, song=dict.fromkeys(RESULT.song), stems=stems)
    file = json.loads(to_jams(result=nothing, duration=8.0).dumps())
    assert file["annotations"] == []


def test_what_jams_does_not_allow_is_refused():
    stems = {StemType.BASS: MUSIC | {"chordProgression": [{"start": 0, "end": 1, "chord": "H"}]}}
    with pytest.raises(jams.SchemaError):
        to_jams(result=replace(RESULT, stems=stems), duration=8.0)
