"""The vocals: a singing voice, sometimes doubled or with an echo, now and then a soundfont's choir."""

import numpy as np

from gpu_worker.separation.preview.render.clip import SAMPLE_RATE, Audio, Session, stereo
from gpu_worker.separation.preview.render.midi import Note, Part, play
from gpu_worker.separation.preview.render.voice import sing

CHOIR_LIKELIHOOD = 0.12
CHOIR_PROGRAMS = [52, 53, 54]
VOICE_RANGES = [43, 48, 52, 55, 60]


def render(session: Session) -> Audio:
    """Render the stem; (samples, 2)."""
    rng = session.rng
    if rng.random() < CHOIR_LIKELIHOOD:
        return _choir(session)
    lowest = int(rng.choice(VOICE_RANGES))
    lead = sing(session, lowest)
    audio = stereo(lead)
    if rng.random() < 0.3:
        audio = audio + _second_voice(lead, session, lowest + 4)
    if rng.random() < 0.4:
        audio = audio + _echo(audio, session)
    return audio


def _choir(session: Session) -> Audio:
    """A soundfont's "aahs", one note a beat."""
    clip, rng = session.clip, session.rng
    program = int(rng.choice(CHOIR_PROGRAMS))
    notes = []
    for _, bar, root in clip.bars():
        for beat in range(4):
            if rng.random() < 0.7:
                pitch = clip.pitch(root + int(rng.integers(0, 6)), 60)
                start = bar + beat * clip.beat
                notes.append(Note(pitch, start, start + 0.95 * clip.beat, 100))
    return play([Part(program, notes)], session)


def _second_voice(lead: Audio, session: Session, lowest: int) -> Audio:
    """The same voice a little later, or another one, off the centre."""
    rng = session.rng
    doubled = rng.random() < 0.5
    second = np.roll(lead, int(rng.uniform(0.008, 0.03) * SAMPLE_RATE)) if doubled else sing(session, lowest)
    gain = rng.uniform(0.2, 0.6)
    sides = np.array([rng.uniform(0.2, 1), rng.uniform(0.2, 1)], np.float32)
    return stereo(second) * sides * np.float32(gain)


def _echo(audio: Audio, session: Session) -> Audio:
    """One repetition in time with the song; every second time it swaps the sides."""
    rng = session.rng
    delay = int(session.clip.beat * rng.choice([0.5, 0.75, 1]) * SAMPLE_RATE)
    echo = np.zeros_like(audio)
    echo[delay:] = audio[:-delay]
    gain = np.float32(rng.uniform(0.15, 0.4))
    return gain * (echo if rng.random() < 0.5 else echo[:, ::-1])
