"""The drums: a random but steady pattern, played by a soundfont, a recorded kit or a drum machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from gpu_worker.separation.preview.render import drum_sounds, midi
from gpu_worker.separation.preview.render.clip import SAMPLE_RATE, Audio, Session

SIXTEENTHS = np.arange(16)
TIMING_SECONDS = 0.004
GENERAL_MIDI = {
    "kick": 36,
    "snare": 38,
    "hat": 42,
    "open": 46,
    "ride": 51,
    "crash": 49,
    "tom1": 50,
    "tom2": 47,
    "tom3": 43,
    "clap": 39,
    "rim": 37,
    "tamb": 54,
    "cow": 56,
    "conga": 63,
}
GENERAL_MIDI_KITS = [0, 0, 8, 16, 24, 25, 32, 40]
LEVELS = {"kick": 1, "snare": 0.8, "hat": 0.35, "open": 0.35, "ride": 0.35, "crash": 0.5}
OTHER_LEVEL = 0.5


class Hit(NamedTuple):
    """A stroke: which drum, when in seconds, how hard from 0 to 1."""

    drum: str
    time: float
    velocity: float


def render(session: Session) -> Audio:
    """Render the stem; (samples, 2)."""
    rng = session.rng
    hits = list(pattern(session))
    player = rng.random()
    if player < 0.35:
        notes = [
            midi.Note(GENERAL_MIDI[drum], max(0, time), time + 0.1, 30 + 97 * velocity)
            for drum, time, velocity in hits
        ]
        kit_program = int(rng.choice(GENERAL_MIDI_KITS))
        return midi.play([midi.Part(kit_program, notes, drums=True)], session)
    return _place(hits, session, synthetic=player > 0.8)


def pattern(session: Session) -> Iterator[Hit]:
    """One bar's pattern for the whole song, with fills every fourth bar."""
    clip, rng = session.clip, session.rng
    likelihood = np.where(SIXTEENTHS % 8 == 0, 0.95, np.where(SIXTEENTHS % 2 == 0, 0.25, 0.06))
    kick = rng.random(16) < likelihood
    if rng.random() < 0.25:
        kick = SIXTEENTHS % 4 == 0
    snare = np.isin(SIXTEENTHS, (4, 12) if rng.random() < 0.85 else (8,))
    ghost = rng.random(16) < (0.12 if rng.random() < 0.4 else 0)
    cymbal_step = int(rng.choice([1, 2, 2, 4]))
    cymbal = "ride" if rng.random() < 0.25 else "hat"
    percussion = rng.random() < 0.25
    for bar, start, _ in clip.bars():
        fill = bar % 4 == 3 and rng.random() < 0.6
        for i in range(16):
            in_eighth = (i % 2) * 2 * clip.swing
            time = start + (i // 2 * 2 + in_eighth) * clip.beat / 4 + rng.normal(0, TIMING_SECONDS)
            if kick[i]:
                yield Hit("kick", time, rng.uniform(0.75, 1))
            if fill and i >= 8:
                if rng.random() < 0.7:
                    yield Hit(str(rng.choice(["tom1", "tom2", "tom3", "snare"])), time, rng.uniform(0.6, 1))
                continue
            if snare[i]:
                yield Hit("snare", time, rng.uniform(0.75, 1))
            elif ghost[i]:
                yield Hit("snare", time, rng.uniform(0.15, 0.35))
            if i % cymbal_step == 0:
                opened = cymbal == "hat" and rng.random() < 0.06
                yield Hit("open" if opened else cymbal, time, rng.uniform(0.4, 0.9))
            if percussion and rng.random() < 0.15:
                drum = str(rng.choice(["clap", "rim", "tamb", "cow", "conga"]))
                yield Hit(drum, time, rng.uniform(0.4, 0.8))
        if bar % 4 == 0 and rng.random() < 0.6:
            yield Hit("crash", start, rng.uniform(0.6, 1))


def _place(hits: list[Hit], session: Session, synthetic: bool) -> Audio:
    """Add the hits of a recorded kit, or of a drum machine, where they belong."""
    rng = session.rng
    name = str(rng.choice(list(drum_sounds.kits())))
    machine = drum_sounds.DrumMachine.draw(rng)
    session.use("drum machine" if synthetic else f"hydrogen-drumkits: {name}")
    pans = {drum: 0.0 if drum in ("kick", "snare") else rng.uniform(-0.5, 0.5) for drum in GENERAL_MIDI}
    chosen: dict[str, Path] = {}
    audio = np.zeros((session.clip.samples, 2), np.float32)
    for drum, time, velocity in hits:
        if synthetic:
            sound = machine.hit(drum, rng)
        else:
            sound = drum_sounds.recorded(_file_of(drum, drum_sounds.kits()[name], chosen, rng))
        gain = velocity**1.5 * LEVELS.get(drum, OTHER_LEVEL)
        balance = np.array([1 - max(0, pans[drum]), 1 + min(0, pans[drum])], np.float32)
        at = int(max(0, time) * SAMPLE_RATE)
        heard = audio[at : at + len(sound)]
        heard += sound[: len(heard)] * np.float32(gain) * balance
    return audio


def _file_of(drum: str, kit: drum_sounds.Kit, chosen: dict[str, Path], rng: Generator) -> Path:
    """The recording of a drum: drawn at its first stroke, the same for the rest of the song."""
    available = drum_sounds.in_kit(drum, kit)
    if available not in chosen:
        files = kit[available]
        chosen[available] = files[rng.integers(len(files))]
    return chosen[available]
