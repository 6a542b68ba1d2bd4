"""Tuning, chords and key on synthesised truth, and on sounds that have none."""

import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gpu_worker.analysis.chords import QUALITIES, Chord, find_chords
from gpu_worker.analysis.features import Features
from gpu_worker.analysis.harmony import analyse_harmony
from gpu_worker.analysis.pitches import note_activations
from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound, load_sound
from gpu_worker.analysis.tonality import find_key
from gpu_worker.analysis.tuning import estimate_tuning
from gpu_worker.notation.notes import Note
from shared.keys import MusicalKey

BEAT = 0.5


def sound(samples: np.ndarray) -> Sound:
    return Sound(samples.astype("float32"))


def tone(pitch: float, seconds: float, a4: float = 440.0) -> np.ndarray:
    """A plucked string: harmonics that fall off and decay."""
    time = np.arange(round(seconds * ANALYSIS_RATE)) / ANALYSIS_RATE
    hertz = a4 * 2 ** ((pitch - 69) / 12)
    waves = [np.sin(2 * np.pi * k * hertz * time) / k**2 for k in range(1, 7) if k * hertz < 10_000]
    return sum(waves) * np.exp(-1.5 * time) * np.minimum(1, time / 0.005) * 0.2


def played(*chords: tuple[int, ...], seconds: float = 2.0, a4: float = 440.0) -> np.ndarray:
    """Chords of MIDI numbers, each struck on every second beat."""
    strokes = [
        sum((tone(pitch, 2 * BEAT, a4) for pitch in pitches), np.zeros(round(2 * BEAT * ANALYSIS_RATE)))
        for pitches in chords
        for _ in range(round(seconds / (2 * BEAT)))
    ]
    return np.concatenate(strokes)


def chord(root: int, quality: str, start: float, seconds: float = 2.0) -> Chord:
    return Chord(start=start, end=start + seconds, root=root, quality=quality, bass=0, confidence=1.0)


def voiced(root: int, quality: str) -> tuple[int, ...]:
    return tuple(52 + (root - 52 + step) % 12 for step in QUALITIES[quality])


NO_MUSIC = {
    "silence": np.zeros(ANALYSIS_RATE * 5),
    "nothing": np.zeros(0),
    "noise": 0.1 * np.random.default_rng(2).standard_normal(ANALYSIS_RATE * 10),
    "one click": np.eye(1, ANALYSIS_RATE * 3, ANALYSIS_RATE)[0],
}
SINE = 0.3 * np.sin(2 * np.pi * 443 * np.arange(ANALYSIS_RATE * 5) / ANALYSIS_RATE)


@pytest.mark.parametrize("a4", [428, 432, 437.3, 440, 445.5, 450])
def test_the_tuning_of_tones(a4: float):
    tuning = estimate_tuning(sound=sound(played((52, 57, 64), (50, 57, 66), a4=a4)))
    assert tuning is not None
    assert abs(1200 * np.log2(tuning.a4 / a4)) < 1
    assert 0.8 < tuning.confidence <= 1


@pytest.mark.parametrize("seconds", [0.3, 5])
def test_the_tuning_of_a_sine(seconds: float):
    tuning = estimate_tuning(sound=sound(SINE[: round(seconds * ANALYSIS_RATE)]))
    assert tuning is not None
    assert abs(1200 * np.log2(tuning.a4 / 443)) < 1


@pytest.mark.parametrize("samples", NO_MUSIC.values(), ids=NO_MUSIC)
def test_no_tuning_is_invented(samples: np.ndarray):
    assert estimate_tuning(sound=sound(samples)) is None


def test_note_activations_keep_time_over_the_windows_seams():
    """Tones at odd times, longer than three of the network's windows."""
    onsets = np.arange(0.4, 12, 0.61)
    samples = np.zeros(13 * ANALYSIS_RATE)
    for onset in onsets:
        start = round(onset * ANALYSIS_RATE)
        samples[start : start + ANALYSIS_RATE // 2] += tone(60, 0.5)
    found = note_activations(sound(samples))
    strength = found.onsets[:, 60 - 21].astype(float)
    for onset in onsets:
        near = strength[round((onset - 0.05) * found.frame_rate) : round((onset + 0.05) * found.frame_rate)]
        assert near.max() > 0.5, onset


@pytest.mark.parametrize("quality", set(QUALITIES) - {"aug", "sus2"})
def test_chords_and_their_times(quality: str):
    """Four chords of a quality, on beats; an augmented chord and a sus2 can't be told from their likes."""
    roots = [0, 5, 7, 2]
    samples = played(*(voiced(root, quality) for root in roots))
    bass = [
        Note(
            onset=2.0 * i + BEAT * 2 * k, offset=2.0 * i + 1 + k, pitch=36 + root, velocity=90, confidence=0.9
        )
        for i, root in enumerate(roots)
        for k in range(2)
    ]
    beats = list(np.arange(0, 8.1, BEAT))
    found = find_chords(activations=note_activations(sound(samples)), bass=bass, beats=beats)
    right = 0.0
    for each in found:
        assert min(abs(each.start - beat) for beat in [*beats, 8]) < 0.02
        assert 0 < each.confidence <= 1
        for i, root in enumerate(roots):
            if (each.root, each.quality) == (root, quality):
                right += max(0, min(each.end, 2 * i + 2) - max(each.start, 2 * i))
    assert right / 8 > 0.8, [(each.start, each.name) for each in found]


def test_chords_follow_one_another_from_start_to_end():
    found = find_chords(
        activations=note_activations(sound(played((48, 52, 55), (53, 57, 60)))),
        bass=[],
        beats=[0.5, 1.0, 1.5],
    )
    assert found[0].start == 0
    assert found[-1].end == pytest.approx(4, abs=0.02)
    assert all(before.end == after.start for before, after in itertools.pairwise(found))


@pytest.mark.parametrize("beats", [[], [0.5, 1.0, 1.5]])
def test_chords_end_with_the_sound(beats: list[float]):
    heard = sound(played((48, 52, 55), seconds=1.8))
    found = find_chords(activations=note_activations(heard), bass=[], beats=beats)
    assert found[-1].end == heard.seconds


def test_an_inversion_is_named_after_the_bass():
    samples = played(voiced(0, "maj"), voiced(9, "min"))
    bass = [
        Note(onset=0, offset=2, pitch=40, velocity=90, confidence=0.9),
        Note(onset=2, offset=4, pitch=45, velocity=90, confidence=0.9),
    ]
    found = find_chords(
        activations=note_activations(sound(samples)), bass=bass, beats=list(np.arange(0, 4.1, BEAT))
    )
    assert [each.name for each in found] == ["C:maj/3", "A:min"]


def test_a_rest_is_no_chord():
    samples = np.concatenate([played((48, 52, 55)), np.zeros(3 * ANALYSIS_RATE)])
    found = find_chords(
        activations=note_activations(sound(samples)), bass=[], beats=list(np.arange(0, 5.1, BEAT))
    )
    assert [each.name for each in found] == ["C:maj", "N"]
    assert found[1].start == pytest.approx(2, abs=0.6)


CADENCES = {
    "major": [(0, "maj"), (5, "maj"), (7, "maj"), (0, "maj")],
    "minor": [(0, "min"), (5, "min"), (7, "maj"), (0, "min")],
}


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_the_key_of_a_cadence(tonic: int, mode: str):
    cadence = [
        chord((tonic + step) % 12, quality, 2.0 * i) for i, (step, quality) in enumerate(CADENCES[mode])
    ]
    found = find_key(chords=cadence)
    assert found is not None
    assert found.key == MusicalKey(tonic, mode)
    assert 0.5 < found.confidence <= 1
    assert [region.key for region in found.regions] == [found.key]


@pytest.mark.parametrize(("tonic", "mode"), [(1, "major"), (6, "minor"), (10, "major")])
def test_the_key_of_what_is_heard(tonic: int, mode: str):
    samples = played(*(voiced((tonic + step) % 12, quality) for step, quality in CADENCES[mode]), a4=436)
    silent = Features(sound(np.zeros(len(samples))))
    found = analyse_harmony(bass=silent, other=Features(sound(samples)), vocals=silent)
    assert found.tonality is not None
    assert found.tonality.key == MusicalKey(tonic, mode)
    assert found.bass == []


def test_a_modulation_has_regions():
    steps = [*CADENCES["major"], *CADENCES["major"]]
    both = [
        chord((tonic + step) % 12, quality, 16.0 * place + 2.0 * i)
        for place, tonic in enumerate([0, 2])
        for i, (step, quality) in enumerate(steps)
    ]
    found = find_key(chords=both)
    assert found is not None
    assert [region.key.name for region in found.regions] == ["C major", "D major"]
    assert found.regions[0].end == found.regions[1].start == pytest.approx(16, abs=2.1)


def test_chords_of_all_keys_show_none():
    """Twelve major chords, a semitone apart: none of them is home."""
    found = find_key(chords=[chord(i % 12, "aug", 2.0 * i) for i in range(36)])
    assert found is None or found.confidence < 0.5


@pytest.mark.parametrize("samples", [*NO_MUSIC.values(), SINE, SINE[:6615]], ids=[*NO_MUSIC, "sine", "0.3 s"])
def test_no_harmony_is_invented(samples: np.ndarray):
    features = Features(sound(samples))
    silent = Features(sound(np.zeros(len(samples))))
    for stems in ({"bass": silent, "other": features}, {"bass": features, "other": silent}):
        found = analyse_harmony(**stems, vocals=silent)
        assert found.chords == []
        assert found.tonality is None


def test_speech_has_no_harmony(tmp_path: Path):
    if shutil.which("espeak-ng") is None:
        pytest.skip("needs espeak-ng")
    path = tmp_path / "speech.wav"
    words = "This is a spoken sentence in which nobody sings anything at all, and then it stops."
    subprocess.run(["espeak-ng", "-w", str(path), words], check=True)
    speech = load_sound(path)
    silent = Features(sound(np.zeros(len(speech.samples))))
    found = analyse_harmony(bass=silent, other=Features(speech), vocals=silent)
    assert found.tuning is None
    assert found.chords == []
    assert found.tonality is None
