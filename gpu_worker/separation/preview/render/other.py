"""Everything else: one to three instruments that play chords, arpeggios, pads or a lead."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gpu_worker.separation.preview.render.clip import BEATS_PER_BAR, Audio, Session
from gpu_worker.separation.preview.render.midi import Note, Part, play

# General MIDI programs that suit each role.
PROGRAMS = {
    "chords": [0, 1, 2, 4, 5, 16, 17, 18, 21],
    "arpeggio": [0, 4, 8, 11, 12, 24, 25, 46, 80, 81, 88],
    "lead": [22, 26, 27, 29, 30, 40, 41, 56, 57, 61, 64, 65, 66, 68, 71, 73, 80, 81, 84],
    "pad": [48, 49, 50, 51, 61, 62, 88, 89, 90, 92, 94],
    "strum": [24, 25, 26, 27, 28, 29, 30],
}
LOWEST = 48
LOWEST_OF_LEAD = 60
STRUM_SECONDS = 0.012


def render(session: Session) -> Audio:
    """Render the stem; (samples, 2)."""
    return play([_part(session) for _ in range(int(session.rng.choice([1, 2, 2, 3])))], session)


def _part(session: Session) -> Part:
    """One instrument with a role of its own."""
    clip, rng = session.clip, session.rng
    role = str(rng.choice(list(PROGRAMS)))
    program = int(rng.choice(PROGRAMS[role]))
    eighths = np.flatnonzero(rng.random(8) < 0.5)
    if len(eighths) == 0:
        eighths = np.array([0])
    velocity = rng.uniform(60, 105)
    notes: list[Note] = []
    for _, bar, root in clip.bars():
        thirds = (0, 2, 4) if rng.random() < 0.7 else (0, 2, 4, 6)
        chord = [clip.pitch(root + third, LOWEST) for third in thirds]
        if role == "pad":
            notes += [Note(pitch, bar, bar + BEATS_PER_BAR * clip.beat, velocity) for pitch in chord]
        elif role == "arpeggio":
            notes += _arpeggio(chord, bar, clip.beat / 2, velocity)
        elif role == "lead":
            notes += _lead(bar, session, velocity)
        else:
            notes += _strokes(chord, bar, eighths, session, velocity, strummed=role == "strum")
    return Part(program, notes, pan=int(rng.integers(20, 108)))


def _arpeggio(chord: list[int], bar: float, eighth: float, velocity: float) -> Iterator[Note]:
    """Eight eighths up the chord, every second run an octave higher."""
    for i in range(8):
        run, tone = divmod(i, len(chord))
        yield Note(chord[tone] + 12 * (run % 2), bar + i * eighth, bar + (i + 1) * eighth, velocity)


def _lead(bar: float, session: Session, velocity: float) -> Iterator[Note]:
    """A melody of random notes and rests over the scale."""
    clip, rng = session.clip, session.rng
    time = bar
    while time < bar + BEATS_PER_BAR * clip.beat - 0.05:
        length = clip.beat * rng.choice([0.5, 1, 1.5, 2])
        if rng.random() < 0.75:
            pitch = clip.pitch(int(rng.integers(0, 10)), LOWEST_OF_LEAD)
            yield Note(pitch, time, time + length * 0.95, velocity)
        time += length


def _strokes(
    chord: list[int], bar: float, eighths: NDArray[np.intp], session: Session, velocity: float, strummed: bool
) -> Iterator[Note]:
    """The chord at the given eighths; strummed, its tones come one after another and the root is raised."""
    clip = session.clip
    for eighth in eighths:
        for i, pitch in enumerate(chord):
            start = bar + eighth * clip.beat / 2
            raised = pitch + (12 if strummed and i == 0 else 0)
            delay = i * STRUM_SECONDS if strummed else 0
            loudness = velocity + session.rng.uniform(-10, 10)
            yield Note(raised, start + delay, start + clip.beat * 0.48, loudness)
