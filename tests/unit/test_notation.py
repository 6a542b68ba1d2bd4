"""Notes of bass, voice and polyphonic parts on synthesised truth, and their places on the beat grid."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gpu_worker.analysis.onsets import FRAME_RATE, onset_strength
from gpu_worker.analysis.pitches import note_activations
from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound, load_sound
from gpu_worker.notation.bass import transcribe_bass
from gpu_worker.notation.melody import transcribe_melody
from gpu_worker.notation.notes import Note, quantise
from gpu_worker.notation.pitch import PitchTrack, track_pitch
from gpu_worker.notation.polyphony import transcribe_polyphony

Played = tuple[float, float, int]
"""Onset, offset, MIDI number."""


def sound(samples: np.ndarray) -> Sound:
    return Sound(samples.astype("float32"))


def render(notes: list[Played], *, harmonics: int, decay: float = 1.0, cents: float = 0.0) -> Sound:
    samples = np.zeros(round((max(offset for _, offset, _ in notes) + 0.5) * ANALYSIS_RATE))
    for onset, offset, pitch in notes:
        time = np.arange(round((offset - onset) * ANALYSIS_RATE)) / ANALYSIS_RATE
        hertz = 440 * 2 ** ((pitch - 69 + cents / 100) / 12)
        waves = sum(np.sin(2 * np.pi * k * hertz * time) / k for k in range(1, harmonics + 1))
        edges = np.minimum(1, np.minimum(time, time[::-1]) / 0.008)
        start = round(onset * ANALYSIS_RATE)
        samples[start : start + len(time)] += 0.2 * waves * np.exp(-decay * time) * edges
    return sound(samples)


def bass_notes(heard: Sound, cents: float = 0.0) -> list[Note]:
    return transcribe_bass(
        sound=heard,
        track=track_pitch(heard, is_bass=True),
        onsets=onset_strength(heard),
        tuning_cents=cents,
    )


def assert_found(found: list[Note], played: list[Played]) -> None:
    assert [note.pitch for note in found] == [pitch for _, _, pitch in played]
    for note, (onset, offset, _) in zip(found, played, strict=True):
        assert note.onset == pytest.approx(onset, abs=0.05)
        assert note.offset == pytest.approx(offset, abs=0.12)
        assert 1 <= note.velocity <= 127
        assert 0 < note.confidence <= 1


LINE = [28, 28, 35, 40, 31, 31, 31, 43, 26, 24, 36, 33]


@pytest.mark.parametrize("harmonics", [4, 8])
def test_a_bass_line_with_repeated_notes(harmonics: int):
    played = [(0.3 + 0.4 * i, 0.3 + 0.4 * i + 0.36, pitch) for i, pitch in enumerate(LINE)]
    assert_found(bass_notes(render(played, harmonics=harmonics)), played)


def test_a_bass_of_plain_waves():
    played = [
        (0.3 + 0.4 * i, 0.3 + 0.4 * i + 0.36, pitch) for i, pitch in enumerate([28, 35, 40, 31, 26, 24, 36])
    ]
    assert_found(bass_notes(render(played, harmonics=1)), played)


def test_a_bass_is_read_in_the_songs_own_tuning():
    played = [(0.3 + 0.4 * i, 0.3 + 0.4 * i + 0.36, pitch) for i, pitch in enumerate(LINE)]
    heard = render(played, harmonics=6, cents=-45)
    assert [note.pitch for note in bass_notes(heard, cents=-45)] == LINE


def test_louder_notes_have_higher_velocities():
    played = [(0.3, 0.7, 40), (1.0, 1.4, 40)]
    heard = render(played, harmonics=6)
    heard.samples[: round(0.85 * ANALYSIS_RATE)] *= 0.25
    soft, loud = bass_notes(heard)
    assert loud.velocity - soft.velocity == pytest.approx(3 * 12, abs=6)


STRUCK = [(0.3 + 0.5 * i, 0.3 + 0.5 * i + 0.46, pitch) for i, pitch in enumerate([28, 35, 40, 31, 26, 24])]


def onsets_heard(song: Sound, onsets: np.ndarray, heard: Sound) -> list[float]:
    track = track_pitch(heard, is_bass=True)
    return [note.onset for note in transcribe_bass(sound=heard, track=track, onsets=onsets, song=song)]


def test_an_attack_that_separation_smeared_is_where_the_song_has_it():
    heard = render(STRUCK, harmonics=6)
    sharp = onset_strength(heard)
    late = round(0.08 * FRAME_RATE)
    smeared = 0.5 * sharp + np.roll(sharp, late)  # it begins to rise at the attack, and most of it comes late
    assert onsets_heard(heard, smeared, heard) == pytest.approx([onset for onset, *_ in STRUCK], abs=0.03)


def test_what_is_struck_before_a_note_of_the_bass_does_not_move_it():
    heard = render(STRUCK, harmonics=6)
    struck = 0.01 * heard.samples  # so soft that its own onsets do not stand out
    for onset, *_ in STRUCK:
        start = round((onset - 0.08) * ANALYSIS_RATE)
        struck[start : start + 400] += np.random.default_rng(1).normal(0, 0.3, 400)
    found = onsets_heard(sound(struck), onset_strength(heard), heard)
    assert found == pytest.approx([onset for onset, *_ in STRUCK], abs=0.03)


def test_a_melody():
    played = [(0.3, 0.8, 60), (0.8, 1.3, 62), (1.3, 2.3, 67), (2.6, 3.1, 64), (3.2, 4.0, 64)]
    heard = render(played, harmonics=10, decay=0.3, cents=20)
    track = track_pitch(heard)
    assert_found(transcribe_melody(track=track, tuning_cents=20), played)
    inside = (track.times > 1.4) & (track.times < 2.2)
    assert np.abs(track.midi[inside] - 67.2).max() < 0.3


def held(confidences: list[float], levels: list[float]) -> PitchTrack:
    """A pitch that holds for seconds, each of its own confidence and level."""
    times = np.arange(round(len(levels) / 0.016)) * 0.016
    second = np.minimum(times.astype(int), len(levels) - 1)
    hertz = np.full(len(times), 220.0)
    return PitchTrack(times, hertz, np.array(confidences)[second], np.array(levels)[second])


def test_a_voice_that_separation_blurred_is_sung_on():
    (note,) = transcribe_melody(track=held([0.9, 0.2, 0.03], [-20.0, -22.0, -22.0]))
    assert (note.pitch, note.offset) == (57, pytest.approx(2, abs=0.1))


def test_an_echo_is_not_sung():
    (note,) = transcribe_melody(track=held([0.9, 0.9], [-20.0, -57.0]))
    assert note.offset == pytest.approx(1, abs=0.1)


def test_a_polyphonic_part():
    played = [(0.3, 1.2, 60), (0.3, 1.2, 64), (0.3, 1.2, 67), (1.3, 2.2, 60), (1.3, 2.2, 65), (1.3, 2.2, 69)]
    found = transcribe_polyphony(activations=note_activations(render(played, harmonics=4, decay=2)))
    assert {(round(note.onset, 1), note.pitch) for note in found} >= {
        (onset, pitch) for onset, _, pitch in played
    }
    assert len(found) <= len(played) + 2


TIME = np.arange(ANALYSIS_RATE * 4) / ANALYSIS_RATE
NO_NOTES = {
    "nothing": np.zeros(0),
    "one sample": np.ones(1),
    "silence": np.zeros(ANALYSIS_RATE * 4),
    "noise": 0.1 * np.random.default_rng(4).standard_normal(ANALYSIS_RATE * 4),
    "one click": np.eye(1, ANALYSIS_RATE * 2, ANALYSIS_RATE)[0],
}


@pytest.mark.parametrize("samples", NO_NOTES.values(), ids=NO_NOTES)
def test_no_notes_are_invented(samples: np.ndarray):
    heard = sound(samples)
    assert bass_notes(heard) == []
    assert transcribe_melody(track=track_pitch(heard)) == []
    assert transcribe_polyphony(activations=note_activations(heard)) == []


def test_a_sine_is_one_note():
    heard = sound(0.3 * np.sin(2 * np.pi * 110 * TIME))
    assert [note.pitch for note in bass_notes(heard)] == [45]
    assert [note.pitch for note in transcribe_melody(track=track_pitch(heard))] == [45]


def test_a_third_of_a_second_is_one_note():
    heard = sound(0.3 * np.sin(2 * np.pi * 110 * TIME[:6615]))
    assert [note.pitch for note in bass_notes(heard)] == [45]


@pytest.mark.parametrize("voice", ["en+m3", "en+f2", "de+m7"])
def test_speech_is_no_melody(tmp_path: Path, voice: str):
    if shutil.which("espeak-ng") is None:
        pytest.skip("needs espeak-ng")
    path = tmp_path / "speech.wav"
    words = "This is a spoken sentence in which nobody sings anything at all, and then it stops."
    subprocess.run(["espeak-ng", "-v", voice, "-w", str(path), words], check=True)
    assert transcribe_melody(track=track_pitch(load_sound(path))) == []


def note(onset: float, offset: float) -> Note:
    return Note(onset=onset, offset=offset, pitch=60, velocity=80, confidence=0.9)


def placed(times: list[tuple[float, float]], beats: list[float]) -> list[tuple[float | None, float | None]]:
    notes = [note(onset, offset) for onset, offset in times]
    found = quantise(notes=notes, beats=beats)
    assert [(each.onset, each.offset) for each in found] == times  # as they were played
    return [(each.beat, each.beats) for each in found]


def test_notes_are_quantised_to_sixteenths():
    beats = [1.0, 1.5, 2.0, 2.5]
    assert placed([(1.02, 1.49), (1.63, 1.74), (2.24, 2.52)], beats) == [(0, 1), (1.25, 0.25), (2.5, 0.5)]


def test_notes_are_quantised_to_triplets_where_they_fit():
    beats = [1.0, 1.6, 2.2]
    times = [(1.0, 1.2), (1.21, 1.39), (1.4, 1.6), (1.6, 1.9), (1.9, 2.2)]
    third = pytest.approx(1 / 3)
    assert placed(times, beats) == [
        (0, third),
        (third, third),
        (pytest.approx(2 / 3), third),
        (1, 0.5),
        (1.5, 0.5),
    ]


def test_a_note_just_before_a_beat_belongs_to_it():
    assert placed([(1.47, 1.9)], [1.0, 1.5, 2.0]) == [(1, 0.75)]


def test_notes_before_and_after_the_beats_are_placed_too():
    assert placed([(0.5, 0.9), (3.0, 3.5)], [1.0, 1.5, 2.0]) == [(-1, 0.75), (4, 1)]


def test_the_grid_follows_the_beats():
    assert placed([(2.0, 2.8)], [0.0, 0.5, 1.2, 2.0, 2.8]) == [(3, 1)]


def test_without_beats_there_is_no_grid():
    assert placed([(1.0, 1.5)], []) == [(None, None)]
