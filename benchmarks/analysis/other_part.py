"""Everything else: instruments that play the chords as pads, strokes or arpeggios, and a lead."""

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from benchmarks.analysis import instruments
from benchmarks.analysis.arrangement import Score, Section
from benchmarks.analysis.harmony import Span, nearest
from benchmarks.analysis.melody import melody
from gpu_worker.separation.preview.render.clip import Audio, Session
from gpu_worker.separation.preview.render.midi import Note, Part, play

LOWEST = {"pad": 50, "comping": 52, "arpeggio": 55, "strum": 48}
LEAD_RANGE = (64, 81)
STRUM_SECONDS = 0.010
TIMING_SECONDS = 0.005


def perform(score: Score, session: Session) -> tuple[Audio, list[Note]]:
    """Play one chordal instrument, a second one in choruses, and the lead where there is one."""
    rng = session.rng
    package = instruments.soundfont(score)
    roles = [str(role) for role in score.rng("roles").choice(list(LOWEST), 2, replace=False)]
    players: list[tuple[str, list[Note]]] = []
    for place, role in enumerate(roles):
        layer = ("chords", "full")[place]
        heard = [section for section in score.sections if layer in section.layers]
        players.append((role, [note for section in heard for note in _chords(score, section, role, rng)]))
    led = [section for section in score.sections if "lead" in section.layers]
    players.append(("lead", [note for section in led for note in melody(score, section, LEAD_RANGE)]))
    parts = []
    for role, notes in players:
        program, offset = instruments.draw(package, role, rng)
        cents = instruments.cents_of(score.outline.a4) - offset
        parts.append(Part(program, notes, pan=int(rng.integers(30, 98)), cents=cents))
    played = [part for part in parts if part.notes]
    notes = sorted((note for part in played for note in part.notes), key=lambda note: note.start)
    return play(played, session, package), notes


def _chords(score: Score, section: Section, role: str, rng: Generator) -> Iterator[Note]:
    for span in score.chords_of(section):
        pitches = _voicing(span, LOWEST[role])
        velocity = rng.uniform(75, 100)
        for start, end, chosen in _strokes(score, section, span, role, len(pitches)):
            at, until = score.timeline.second(start), score.timeline.second(end)
            at += abs(rng.normal(0, TIMING_SECONDS))
            for i in chosen:
                delay = i * STRUM_SECONDS if role == "strum" else 0
                octave = 12 * (i // len(pitches))
                loudness = velocity + rng.uniform(-6, 6)
                yield Note(
                    pitches[i % len(pitches)] + octave, at + delay, max(at + delay + 0.06, until), loudness
                )


def _voicing(span: Span, lowest: int) -> list[int]:
    """The chord's tones from a pitch upwards."""
    return sorted(nearest(lowest, [tone], lowest, lowest + 11) for tone in span.chord.tones)


def _strokes(
    score: Score, section: Section, span: Span, role: str, tones: int
) -> Iterator[tuple[float, float, list[int]]]:
    """Starts, ends and chord tones (tones + 1: an octave higher) of what is struck during a chord."""
    every = list(range(tones))
    eighths = score.outline.meter.eighths
    if role == "pad":
        yield span.start, span.end - 0.03, every
        return
    grid = np.arange(round((span.end - span.start) * eighths)) / eighths
    if 60 / score.outline.bpm / eighths < 0.16:
        grid = grid[::eighths]
    step = grid[1] - grid[0] if len(grid) > 1 else 1.0
    if role == "arpeggio":
        order = score.rng("arpeggio").permutation(tones + 1)
        for i, at in enumerate(grid):
            yield span.start + at, span.start + at + step * 0.95, [int(order[i % len(order)])]
        return
    likelihood = np.where(grid % 1 < 1e-6, 0.75, 0.4)
    struck = score.rng(role, section.label).random(len(grid)) < likelihood
    struck[0] = True
    for at in grid[struck]:
        yield span.start + at, span.start + at + step * 0.9, every
