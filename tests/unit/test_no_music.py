"""Sounds that are no music, through the whole analysis: nothing is invented, and each null has its reason."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from gpu_worker.analysis.song import SongAnalysis, analyse_song
from shared.models import StemMeasures, StemType

RATE = 44_100
SECONDS = 12
TIME = np.arange(SECONDS * RATE) / RATE
SINE = 0.3 * np.sin(2 * np.pi * 440 * TIME)
NOISE = 0.1 * np.random.default_rng(4).standard_normal(SECONDS * RATE)
SHORT = round(0.3 * RATE)
NO_MUSIC = {
    "nothing": np.zeros(0),
    "silence": np.zeros(SECONDS * RATE),
    "noise": NOISE,
    "one click": np.eye(1, SECONDS * RATE, 5 * RATE)[0],
    "0.3 s of noise": NOISE[:SHORT],
}
BURSTS = {"one click": 5.0, "0.3 s of noise": 0.0}
"""When what may be a stroke of a drum begins, in seconds."""

WORDS = (
    "This is a spoken sentence in which nobody sings anything at all, and then it stops. The committee will "
    "meet again on the third of May, unless the chairman decides otherwise. Please bring your own papers."
)
VOICES = {
    "a man": ["espeak-ng", "-v", "en+m3"],
    "a woman": ["espeak-ng", "-v", "fr+f4"],
    "recorded sounds": ["flite", "-voice", "awb"],
}
OF_THE_SONG = ("bpm", "key", "timeSignature", "tuning", "alternativeBpm", "swingRatio", "keyRegions")
OF_STEMS = ("bpm", "key", "camelot", "timeSignature", "tuning", "beats", "sections", "chordProgression")


def analysed(
    folder: Path, samples: np.ndarray, stems: tuple[StemType, ...], rate: int = RATE
) -> SongAnalysis:
    """The analysis of a song whose given stems hold a sound, the others silence."""
    paths = {stem: folder / f"{stem.lower()}.wav" for stem in StemType}
    for stem, path in paths.items():
        sf.write(path, samples if stem in stems else np.zeros(len(samples)), rate)
    return analyse_song(paths)


def told(result: SongAnalysis) -> set[str]:
    """The names of what is said of a song or its stems; all that is null has a reason."""
    for values in result.stems.values():
        record = StemMeasures.model_validate(values).to_wire()
        assert all(name in record["unmeasured"] for name in OF_STEMS if record[name] is None)
    names = {name for name in OF_THE_SONG if result.song[name] is not None}
    for values in result.stems.values():
        names |= {name for name in OF_STEMS if values.get(name) is not None}
        sure = {name for name, share in (values.get("confidence") or {}).items() if share is not None}
        assert all(values[name] is not None for name in sure)
    return names


def notes(result: SongAnalysis) -> dict[StemType, list[dict]]:
    parts = {stem: values.get("notationData") for stem, values in result.stems.items()}
    return {stem: part["notes"] for stem, part in parts.items() if part}


@pytest.mark.parametrize("name", NO_MUSIC)
def test_nothing_is_said_of_what_is_no_music(tmp_path: Path, name: str):
    result = analysed(tmp_path, NO_MUSIC[name], tuple(StemType))
    assert told(result) == set()
    found = notes(result)
    strokes = found.pop(StemType.DRUMS, [])
    assert found == {}
    assert {round(stroke["onset"], 1) for stroke in strokes} <= {BURSTS.get(name)}


@pytest.mark.parametrize("stem", StemType)
def test_a_sine_is_a_tone_and_no_more(tmp_path: Path, stem: StemType):
    result = analysed(tmp_path, SINE, (stem,))
    assert told(result) <= {"tuning"}
    assert all(len(part) == 1 for part in notes(result).values())


def test_a_third_of_a_second_of_sine_has_no_more_than_a_tuning(tmp_path: Path):
    assert told(analysed(tmp_path, SINE[:SHORT], tuple(StemType))) <= {"tuning"}


@pytest.mark.parametrize("stem", [StemType.VOCALS, StemType.OTHER, StemType.BASS])
@pytest.mark.parametrize("voice", VOICES)
def test_spoken_word_is_no_music(tmp_path: Path, voice: str, stem: StemType):
    program, *options = VOICES[voice]
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    path = tmp_path / "speech.wav"
    said = ["-w", path, WORDS] if program == "espeak-ng" else ["-t", WORDS, "-o", path]
    subprocess.run([program, *options, *said], check=True)
    samples, rate = sf.read(path)
    result = analysed(tmp_path, samples, (stem,), rate)
    assert told(result) == set()
    assert notes(result) == {}
