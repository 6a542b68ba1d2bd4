"""The bass: roots in eighths with some fifths and octaves, from a soundfont or a plain synthesiser."""

from collections.abc import Iterator

import numpy as np
from scipy.signal import butter, sosfilt

from gpu_worker.separation.preview.render.clip import SAMPLE_RATE, Audio, Session, stereo
from gpu_worker.separation.preview.render.midi import Note, Part, play

# Acoustic, finger, pick, fretless, slap and synth basses; strings and lead as rarities.
PROGRAMS = [32, 33, 33, 33, 34, 34, 35, 36, 37, 38, 39, 43, 87]
SYNTHESISER_LIKELIHOOD = 0.3
LOWEST_AUDIBLE = 28


def render(session: Session) -> Audio:
    """Render the stem; (samples, 2)."""
    rng = session.rng
    notes = list(line(session))
    if rng.random() < SYNTHESISER_LIKELIHOOD:
        return synthesise(notes, session)
    return play([Part(int(rng.choice(PROGRAMS)), notes)], session)


def line(session: Session) -> Iterator[Note]:
    """One bar's rhythm for the whole song, over the chords' roots."""
    clip, rng = session.clip, session.rng
    played = rng.random(8) < rng.choice([0.3, 0.6, 0.95])
    played[0] = True
    octaves = rng.random() < 0.3
    lowest = int(rng.choice([24, 24, 28, 33]))
    eighth = clip.beat / 2
    for _, bar, root in clip.bars():
        for i in np.flatnonzero(played):
            degree = root if rng.random() < 0.75 else max(0, root + int(rng.choice([4, 2, 7, -3])))
            pitch = clip.pitch(degree, lowest) + (12 if octaves and i % 2 else 0)
            start = bar + i * eighth
            yield Note(pitch, start, start + eighth * rng.choice([0.5, 0.9, 0.98, 1.8]), rng.uniform(75, 120))


def synthesise(notes: list[Note], session: Session) -> Audio:
    """Play with a sine or a sawtooth through a low-pass filter."""
    rng = session.rng
    session.use("bass synthesiser")
    mono = np.zeros(session.clip.samples)
    cutoff = rng.uniform(200, 1800)
    sine = rng.random() < 0.4
    for pitch, start, end, velocity in notes:
        at, length = int(start * SAMPLE_RATE), int((end - start) * SAMPLE_RATE)
        if at + length >= len(mono) or length < 200:
            continue
        t = np.arange(length) / SAMPLE_RATE
        raised = pitch + (12 if pitch < LOWEST_AUDIBLE else 0)
        cycles = t * 440 * 2 ** ((raised - 69) / 12)
        wave = np.sin(2 * np.pi * cycles) if sine else 2 * (cycles % 1) - 1
        attack = np.minimum(1, np.arange(length) / 200)
        release = np.minimum(1, np.arange(length)[::-1] / 800)
        decay = np.exp(-t * rng.uniform(0, 3))
        mono[at : at + length] += wave * attack * release * decay * velocity / 127
    return stereo(sosfilt(butter(2, cutoff, fs=SAMPLE_RATE, output="sos"), mono))
