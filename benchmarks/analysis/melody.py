"""Melodies over the chords: the same for all sections of a label."""

import numpy as np

from benchmarks.analysis.arrangement import Score, Section
from benchmarks.analysis.harmony import melody_tones, nearest
from gpu_worker.separation.preview.render.midi import Note

LENGTHS = [0.5, 0.5, 1, 1, 1, 1.5, 2]
LENGTHS_OF_THREE = [1 / 3, 1 / 3, 2 / 3, 1, 1]
PHRASE_SECONDS = 4.0
SHORTEST_SECONDS = 0.16


def phrases(score: Score, section: Section, pitches: tuple[int, int]) -> list[list[Note]]:
    """Phrases with rests between them; each begins and ends on a bar or a beat before it.

    Parameters
    ----------
    pitches : tuple of int
        Lowest and highest MIDI number.
    """
    rng = score.rng("melody", section.label)
    bar_seconds = score.bar * 60 / score.outline.bpm
    bars = max(1, round(PHRASE_SECONDS / bar_seconds))
    sung: list[list[Note]] = []
    pitch = float(rng.uniform(*np.percentile(pitches, [35, 65])))
    for start in range(section.start, section.end, bars * score.bar):
        end = min(start + bars * score.bar, section.end)
        rest = max(0.5, 0.12 * (end - start))
        phrase: list[Note] = []
        at = float(start) if rng.random() < 0.7 else start + 0.5 * (score.outline.meter.eighths == 2)
        while at < end - rest - 1e-6:
            length = _length(score, rng)
            until = min(at + length, end - rest)
            chord = score.chord_at(at)
            strong = abs(at - round(at)) < 1e-6
            tones = chord.tones if strong else melody_tones(chord, section.tonic, score.outline.mode)
            pitch = nearest(pitch + rng.choice([-4, -2, -2, -1, 1, 2, 2, 4]), tones, *pitches)
            phrase.append(
                Note(pitch, score.timeline.second(at), score.timeline.second(until), rng.uniform(85, 110))
            )
            at = until
        sung.append(phrase)
    return sung


def _length(score: Score, rng: np.random.Generator) -> float:
    lengths = LENGTHS if score.outline.meter.eighths == 2 else LENGTHS_OF_THREE
    shortest = SHORTEST_SECONDS * score.outline.bpm / 60
    return float(rng.choice([length for length in lengths if length >= shortest] or [1.0]))


def melody(score: Score, section: Section, pitches: tuple[int, int]) -> list[Note]:
    """The phrases' notes in one list, each a little shorter than its value."""
    return [
        note._replace(end=note.start + 0.94 * (note.end - note.start))
        for phrase in phrases(score, section, pitches)
        for note in phrase
    ]
