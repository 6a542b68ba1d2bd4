"""The bass of a song: a figure over the chords' bass notes, from a soundfont or a synthesiser."""

import numpy as np
from numpy.random import Generator

from benchmarks.analysis import instruments
from benchmarks.analysis.arrangement import Score, Section
from benchmarks.analysis.harmony import nearest
from gpu_worker.separation.preview.render.bass import synthesise
from gpu_worker.separation.preview.render.clip import Audio, Session
from gpu_worker.separation.preview.render.midi import Note, Part, play

LOWEST, HIGHEST = 28, 52
TIMING_SECONDS = 0.006
SYNTHESISER_LIKELIHOOD = 0.25

# Onsets within a bar in beats, by style and meter; "chord" holds through, "walking" goes by beats.
FIGURES = {
    "eighths": {"2/4": [0, 0.5, 1, 1.5], "3/4": [0, 0.5, 1, 1.5, 2, 2.5], "4/4": list(np.arange(8) / 2)},
    "beats": {"2/4": [0, 1], "3/4": [0, 1, 2], "4/4": [0, 1, 2, 3], "6/8": [0, 2 / 3, 1, 5 / 3]},
    "few": {"2/4": [0], "3/4": [0], "4/4": [0, 2], "6/8": [0, 1]},
    "syncopated": {
        "2/4": [0, 0.75, 1.5],
        "3/4": [0, 1.5, 2],
        "4/4": [0, 1.5, 2.5, 3],
        "6/8": [0, 2 / 3, 4 / 3],
    },
    "dotted": {"2/4": [0, 1.5], "3/4": [0, 2], "4/4": [0, 1.5, 2, 3.5], "6/8": [0, 5 / 3]},
}
FAST_BEAT = 0.4


def perform(score: Score, session: Session) -> tuple[Audio, list[Note]]:
    """Play the bass; audio (samples, 2), and its notes in whole MIDI numbers of the song's tuning."""
    rng = session.rng
    names = [name for name in FIGURES if not (name == "eighths" and _is_fast(score))]
    style = str(score.rng("bass").choice([*names, "walking"]))
    notes = [note for s in score.sections if "bass" in s.layers for note in _line(score, s, style, rng)]
    if score.rng("bass sound").random() < SYNTHESISER_LIKELIHOOD:
        cents = instruments.cents_of(score.outline.a4)
        return synthesise([note._replace(pitch=note.pitch + cents / 100) for note in notes], session), notes
    package = instruments.soundfont(score)
    program, offset = instruments.draw(package, "bass", rng)
    part = Part(program, notes, cents=instruments.cents_of(score.outline.a4) - offset)
    return play([part], session, package), notes


def _is_fast(score: Score) -> bool:
    return 60 / score.outline.bpm < FAST_BEAT


def _line(score: Score, section: Section, style: str, rng: Generator) -> list[Note]:
    """One section's notes: the chord's bass where it begins, then roots, fifths and octaves."""
    meter = score.outline.meter
    held = score.rng("bass length").choice([0.6, 0.92, 0.92])
    figure = [float(b) for b in range(score.bar)] if style == "walking" else FIGURES[style].get(meter.name)
    if figure is None:  # 6/8 has no straight eighths figure of its own
        figure = FIGURES["beats"][meter.name]
    changes = [span.start for span in score.chords_of(section)]
    onsets = {bar + at for bar in range(section.start, section.end, score.bar) for at in figure}
    positions = sorted({round(p, 6) for p in [*onsets, *changes]})
    variation = score.rng("bass variation", section.label)
    notes = []
    pitch = float(LOWEST + 10)
    for position, following in zip(positions, [*positions[1:], float(section.end)], strict=True):
        chord = score.chord_at(position)
        if position in changes:
            pitch = nearest(LOWEST + 9, [(chord.root + chord.bass) % 12], LOWEST, HIGHEST)
            base = pitch
        elif style == "walking":
            pitch = nearest(pitch + variation.choice([-3, 3]), chord.tones, LOWEST, HIGHEST)
        else:
            choice = variation.random()
            fifth = 7 if 7 in _steps(chord.tones, chord.root) else 0
            pitch = base + (0 if choice < 0.7 or chord.bass else fifth if choice < 0.85 else 12)
        start, end = score.timeline.second(position), score.timeline.second(following)
        start += rng.normal(0, TIMING_SECONDS)
        notes.append(
            Note(pitch, max(0, start), start + max(0.08, (end - start) * held), rng.uniform(80, 118))
        )
    return notes


def _steps(tones: list[int], root: int) -> set[int]:
    return {(tone - root) % 12 for tone in tones}
