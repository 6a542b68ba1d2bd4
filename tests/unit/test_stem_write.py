"""POST /api/stems: what is taken, and what is refused by the name of its field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.keys import all_keys
from shared.models import StemStructures
from shared.worker_contract import StemWrite

AUDIO_FILE_ID = "0b5c8a52-93c7-4c55-a07f-32d6d2f1c9aa"
STRUCTURES = ("chordProgression", "beats", "sections", "notationData")
LEAST = {"audioFileId": AUDIO_FILE_ID, "type": "Drums", "blobUri": "https://x/audio-files/0/stems/drums.wav"}
DOCUMENTED = {
    **LEAST,
    "bpm": 120.5,
    "key": "C# major",
    "chordProgression": '[{"start": 0, "end": 2, "chord": "C#:maj"}]',
    "beats": "[0.5, 1.0]",
    "sections": "[]",
    "notationData": '{"notes": []}',
    "analysisStatus": "Completed",
    "rmsLevel": 0.12,
    "peakLevel": 0.98,
    "spectralCentroid": 1800.5,
    "zeroCrossingRate": 0.07,
}


def read(body: dict[str, Any] | str) -> StemWrite:
    return StemWrite.model_validate_json(body if isinstance(body, str) else json.dumps(body))


def faults(body: dict[str, Any] | str) -> list[str]:
    with pytest.raises(ValidationError) as refusal:
        read(body)
    return [".".join(map(str, fault["loc"])) for fault in refusal.value.errors()]


def test_the_documented_json_is_taken():
    stem = read(DOCUMENTED)
    assert (stem.bpm, stem.key, stem.camelot, stem.rms_level) == (120.5, "C# major", "3B", 0.12)
    assert json.loads(str(stem.chord_progression)) == [{"start": 0, "end": 2, "chord": "C#:maj"}]
    assert (stem.beats, stem.sections, stem.notation_data) == ("[0.5,1.0]", "[]", '{"notes":[]}')


def test_what_is_not_said_is_null():
    stem = read(LEAST)
    said = {"audioFileId", "type", "blobUri", "analysisVersion", "analysisStatus", "confidence", "unmeasured"}
    assert {name for name, value in stem.to_wire().items() if value is not None} == said


@pytest.mark.parametrize("name", LEAST)
def test_what_a_stem_cannot_be_without_is_named(name: str):
    assert faults({key: value for key, value in LEAST.items() if key != name}) == [name]


def test_an_audio_file_id_is_a_guid_of_either_case():
    assert read({**LEAST, "audioFileId": AUDIO_FILE_ID.upper()}).audio_file_id == AUDIO_FILE_ID
    for wrong in ("guid", "", f"{AUDIO_FILE_ID}/..", f"{AUDIO_FILE_ID}\n", f"{{{AUDIO_FILE_ID}}}", 7, None):
        assert faults({**LEAST, "audioFileId": wrong}) == ["audioFileId"]


@pytest.mark.parametrize("key", all_keys())
def test_a_key_is_kept_under_its_canonical_name_with_its_code(key: Any):
    for spelling in (key.name, key.camelot.lower(), key.open_key):
        stem = read({**LEAST, "key": spelling})
        assert (stem.key, stem.camelot) == (key.name, key.camelot)
    assert read({**LEAST, "key": key.name, "camelot": key.camelot}).camelot == key.camelot
    assert read({**LEAST, "key": key.name, "camelot": None}).camelot == key.camelot


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"key": "D major", "camelot": "3B"}, "camelot"),
        ({"camelot": "3B"}, "camelot"),
        ({"key": "C# major", "camelot": "C"}, "camelot"),
        ({"key": "H"}, "key"),
        ({"key": "H", "camelot": "3B"}, "key"),
        ({"key": "C" * 10_000}, "key"),
        ({"type": "drums "}, "type"),
        ({"bpm": 0}, "bpm"),
        ({"bpm": -120}, "bpm"),
        ({"bpm": 1001}, "bpm"),
        ({"bpm": "fast"}, "bpm"),
        ({"tuning": 44}, "tuning"),
        ({"timeSignature": "٣/٤"}, "timeSignature"),
        ({"timeSignature": "0/4"}, "timeSignature"),
        ({"confidence": {"bpm": 1.1}}, "confidence.bpm"),
        ({"confidence": {"tempo": 1}}, "confidence.tempo"),
        ({"durationSeconds": -0.1}, "durationSeconds"),
        ({"fileSizeBytes": -1}, "fileSizeBytes"),
        ({"fileSizeBytes": 2**53}, "fileSizeBytes"),
        ({"fileSizeBytes": 10**30}, "fileSizeBytes"),
        ({"sampleRate": 0}, "sampleRate"),
        ({"channels": 0}, "channels"),
        ({"peakLevel": 1.6}, "peakLevel"),
        ({"rmsLevel": 1.6}, "rmsLevel"),
        ({"silenceRatio": 1.5}, "silenceRatio"),
        ({"spectralCentroid": -1}, "spectralCentroid"),
        ({"onsetRate": 1e300}, "onsetRate"),
        ({"analysisVersion": 0}, "analysisVersion"),
        ({"analysisVersion": 10**20}, "analysisVersion"),
        ({"analysisError": "x" * 2001}, "analysisError"),
        ({"analysisStatus": "Done"}, "analysisStatus"),
        ({"separationModel": "x" * 301}, "separationModel"),
        ({"separatedAt": "2026-01-01T00:00:00"}, "separatedAt"),
        ({"blobUri": "https://" + "x" * 2048}, "blobUri"),
        ({"blobUri": "https://x/\0"}, "blobUri"),
        ({"jobId": "job"}, "jobId"),
        ({"attempt": 0}, "attempt"),
        ({"unmeasured": {f"n{number}": "" for number in range(51)}}, "unmeasured"),
        ({"unmeasured": {"bpm": "x" * 501}}, "unmeasured.bpm"),
        ({"unmeasured": {"bpm\0": "x"}}, "unmeasured.bpm\0.[key]"),
        ({"analysisError": "\0"}, "analysisError"),
        ({"_etag": "x"}, "_etag"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(change: dict[str, Any], field: str):
    assert faults({**LEAST, **change}) == [field]


@pytest.mark.parametrize("name", ["bpm", "rmsLevel", "durationSeconds", "loudnessLufs", "zeroCrossingRate"])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_is_refused_by_name(name: str, number: str):
    assert faults(json.dumps(LEAST)[:-1] + f', "{name}": {number}}}') == [name]


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_native_json_without_a_text_is_refused_by_name(number: str):
    assert faults(json.dumps(LEAST)[:-1] + f', "beats": [{number}]}}') == ["beats"]


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "beats",
        "[0.5",
        "[0.5] ]",
        "[NaN]",
        "[1e999]",
        "[-Infinity]",
        "null",
        "1",
        '"text"',
        '["\\ud800"]',
        "[" * 100_000,
        "[" * 1000 + "]" * 1000,
        '{"a":' * 1000 + "1" + "}" * 1000,
        "[" + "9" * 5000 + "]",
        "[" + "0," * 4_100_000 + "0]",
        1,
        True,
    ],
    ids=lambda value: str(value)[:12],
)
def test_wrong_json_text_is_refused_by_name(name: str, value: Any):
    assert faults({**LEAST, name: value}) == [name]


NATIVE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(NATIVE) | st.dictionaries(st.text(), NATIVE))
def test_native_json_and_its_text_are_kept_as_the_same_text(native: Any):
    kept = {
        StemStructures.model_validate_json(json.dumps({"beats": form})).beats
        for form in (native, json.dumps(native))
    }
    assert [json.loads(str(text)) for text in kept] == [native]


def test_the_schema_says_what_is_taken():
    schema = StemWrite.model_json_schema()
    assert set(schema["required"]) == set(LEAST)
    sent, absent = schema["properties"]["beats"]["anyOf"]
    assert [form["type"] for form in (*sent["anyOf"], absent)] == ["string", "array", "object", "null"]
