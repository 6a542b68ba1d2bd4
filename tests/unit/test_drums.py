"""Drum transcription and sections against synthesised truth."""

import numpy as np
import pytest

from gpu_worker.analysis.accents import hear
from gpu_worker.analysis.drums import DrumStroke, find_onsets, transcribe_drums
from gpu_worker.analysis.features import Features
from gpu_worker.analysis.sections import Section, find_sections
from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound
from tests.unit.test_rhythm import NOTHING_REGULAR, hat, kick, placed, snare, tone

HITS = [(0.5 + 0.25 * place, drum) for place, drum in enumerate(("kick", "hat", "snare", "hat") * 16)]
SOUNDS = {"kick": kick(), "snare": snare(), "hat": hat()}
NAMES = {"kick": "kick", "snare": "snare", "hat": "hihat_closed"}


def transcribe(sound: Sound) -> list[DrumStroke]:
    return transcribe_drums(find_onsets(sound))


def test_strokes_are_found_when_they_are_struck():
    found = np.array([stroke.time for stroke in transcribe(placed([(t, SOUNDS[drum]) for t, drum in HITS]))])
    assert all(np.abs(found - time).min() < 0.025 for time, _ in HITS)
    assert len(np.unique(found)) <= len(HITS) + 1


@pytest.mark.parametrize("drum", ["kick", "snare"])
def test_a_drum_is_told_by_its_sound(drum: str):
    strokes = transcribe(placed([(t, SOUNDS[name]) for t, name in HITS]))
    times = [stroke.time for stroke in strokes if stroke.drum == NAMES[drum]]
    wanted = [time for time, name in HITS if name == drum]
    hits = sum(min((abs(time - other) for other in times), default=1) < 0.05 for time in wanted)
    assert 2 * hits / (len(times) + len(wanted)) > 0.85


def test_a_softer_stroke_has_a_lower_velocity():
    loudness = [1.0, 0.3] * 12
    strokes = transcribe(placed([(0.5 + 0.5 * i, gain * kick()) for i, gain in enumerate(loudness)]))
    kicks = {round((stroke.time - 0.5) / 0.5): stroke.velocity for stroke in strokes if stroke.drum == "kick"}
    assert len(kicks) >= 20
    loud, soft = ([v for i, v in kicks.items() if i % 2 == odd] for odd in (0, 1))
    assert min(loud) > max(soft)


@pytest.mark.parametrize("name", NOTHING_REGULAR)
def test_what_is_no_drum_does_not_crash(name: str):
    strokes = transcribe(Sound(NOTHING_REGULAR[name].astype(np.float32)))
    assert all(0 < stroke.velocity <= 127 and 0 <= stroke.confidence <= 1 for stroke in strokes)
    if name in ("silence", "nothing"):
        assert strokes == []


def song_of(form: str, bars: int = 4) -> tuple[list[Section], float]:
    """Each letter has its own chords and drums; bars of 1 s."""
    roots = {"A": (0, 5, 7, 0), "B": (9, 2, 4, 11)}
    strokes, notes = [], []
    for bar in range(len(form) * bars):
        letter = form[bar // bars]
        root = roots[letter][bar % 4]
        notes += [(float(bar), tone(48 + root + step, 1.0)) for step in (0, 4, 7)]
        strokes += [
            (bar + 0.5 * half, kick() if half == 0 or letter == "B" else snare()) for half in range(2)
        ]
    drums, harmony = placed(strokes), placed(notes)
    accents = hear(drums=find_onsets(drums), bass=Features(harmony), other=Features(harmony))
    stems = [drums, harmony, harmony]
    return find_sections(accents=accents, stems=stems, downbeats=np.arange(len(form) * bars) * 1.0), float(
        bars
    )


def test_sections_turn_and_recur():
    sections, length = song_of("ABAB")
    starts = [section.start for section in sections]
    assert starts == pytest.approx([0, length, 2 * length, 3 * length], abs=0.01)
    assert [section.label for section in sections] == ["A", "B", "A", "B"]
    assert all(0 <= section.confidence <= 1 for section in sections)


def test_too_few_bars_have_no_sections():
    silence = Sound(np.zeros(ANALYSIS_RATE, np.float32))
    accents = hear(drums=find_onsets(silence), bass=Features(silence), other=Features(silence))
    assert find_sections(accents=accents, stems=[silence], downbeats=np.array([0.0, 0.5])) == []


def test_silent_bars_are_one_section():
    silence = Sound(np.zeros(ANALYSIS_RATE * 20, np.float32))
    accents = hear(drums=find_onsets(silence), bass=Features(silence), other=Features(silence))
    assert len(find_sections(accents=accents, stems=[silence], downbeats=np.arange(0, 20, 2.0))) == 1
