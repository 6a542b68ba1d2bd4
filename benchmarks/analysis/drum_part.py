"""The drums of a song: patterns with fills, played by a soundfont, a recorded kit or a drum machine."""

from pathlib import Path

import numpy as np
from numpy.random import Generator

from benchmarks.analysis.arrangement import Score, Section
from benchmarks.analysis.meters import PATTERNS, Pattern
from gpu_worker.separation.preview.render import drum_sounds, midi
from gpu_worker.separation.preview.render.clip import SAMPLE_RATE, Audio, Session
from gpu_worker.separation.preview.render.drums import (
    GENERAL_MIDI,
    GENERAL_MIDI_KITS,
    LEVELS,
    OTHER_LEVEL,
    Hit,
)
from gpu_worker.separation.preview.render.packages import DRUM_KITS

TRUTH_NAMES = {
    "kick": "kick",
    "snare": "snare",
    "hat": "hihat_closed",
    "open": "hihat_open",
    "ride": "cymbal",
    "crash": "cymbal",
    "tom1": "tom",
    "tom2": "tom",
    "tom3": "tom",
}
# Kits whose files say what they are, one recording a drum.
KITS = {
    "ForzeeStereo": {
        "kick": "Kick-3.wav",
        "snare": "Snare-3.wav",
        "hat": "HiHatClosed-3.wav",
        "open": "HiHatOpen-2.wav",
        "ride": "Ride-2.wav",
        "crash": "Crash18-3.wav",
        "tom1": "TomHigh-3.wav",
        "tom2": "TomMid-3.wav",
        "tom3": "TomLow-3.wav",
    },
    "Millo_MultiLayered2": {
        "kick": "bd_04.flac",
        "snare": "jsnare_04.flac",
        "hat": "hhclosed_04.flac",
        "open": "hhopen_02.flac",
        "ride": "ride_04.flac",
        "crash": "crash_04.flac",
        "tom1": "tom_03.flac",
        "tom3": "floortom_03.flac",
    },
    "ColomboAcousticDrumkit": {
        "kick": "bassdrum-4mics-br-stereo-normal3.flac",
        "snare": "snare-opaque-2mics_normal-shot1.flac",
        "hat": "hihat-closed-4.flac",
        "open": "hihat-open-4.flac",
        "ride": "crash20i__ride4.flac",
        "crash": "crash16i__crash1.flac",
        "tom1": "tom-hi-1.flac",
        "tom2": "tom-mid-1.flac",
        "tom3": "tom-low-1.flac",
    },
    "The Black Pearl 1.0": {
        "kick": "PearlKick-Hard.wav",
        "snare": "PearlSnare-Hard.wav",
        "hat": "SabianHatClosed-Hard.wav",
        "open": "SabianHatOpen-Hard.wav",
        "ride": "PaisteRide-Hard.wav",
        "crash": "SabianCrash-Hard.wav",
        "tom1": "PearlTom1-Hard.wav",
        "tom2": "PearlTom2-Hard.wav",
        "tom3": "PearlTomFloor-Hard.wav",
    },
    "VariBreaks": {
        "kick": "VP Kick 1.flac",
        "snare": "VP Snare 1.flac",
        "hat": "VP Hat 1 Cl.flac",
        "open": "VP Hat 1 Op.flac",
        "tom1": "VP Tom Hi.flac",
        "tom2": "VP Tom Mid.flac",
        "tom3": "VP Tom Low.flac",
    },
}
# Kept for the test half: whoever trains on recorded drums leaves these out.
KITS_OF_TEST_HALF = ("ColomboAcousticDrumkit", "The Black Pearl 1.0")
DRUM_MACHINE = ("kick", "snare", "hat", "open", "tom1", "tom2", "tom3")
STAND_INS = {"ride": "hat", "crash": "open", "tom2": "tom1"}
TIMING_SECONDS = 0.004
FAST_EIGHTH, SLOW_EIGHTH = 0.17, 0.42
ONSET_LEVEL = 0.03


def perform(score: Score, session: Session) -> tuple[Audio, list[Hit]]:
    """Play the drums; audio (samples, 2), and the hits as they sound."""
    rng = session.rng
    hits = [
        hit for section in score.sections if "drums" in section.layers for hit in _hits(score, section, rng)
    ]
    if not hits:
        return np.zeros((session.clip.samples, 2), np.float32), []
    hits.sort(key=lambda hit: hit.time)
    player = score.rng("drummer").choice(["midi", "recorded", "recorded", "machine"])
    if player == "midi":
        notes = [
            midi.Note(GENERAL_MIDI[drum], max(0, time), time + 0.1, 30 + 97 * velocity)
            for drum, time, velocity in hits
        ]
        kit = int(rng.choice(GENERAL_MIDI_KITS))
        return midi.play([midi.Part(kit, notes, drums=True)], session), hits
    if player == "machine":
        machine = drum_sounds.DrumMachine.draw(rng)
        session.use("drum machine")
        hits = [hit._replace(drum=_or_stand_in(hit.drum, DRUM_MACHINE)) for hit in hits]
        return _place([(hit, machine.hit(hit.drum, rng)) for hit in hits], session), hits
    for_test = score.outline.half == "test"
    name = str(rng.choice([kit for kit in KITS if (kit in KITS_OF_TEST_HALF) == for_test]))
    session.use(f"hydrogen-drumkits: {name}")
    hits = [hit._replace(drum=_or_stand_in(hit.drum, KITS[name])) for hit in hits]
    return _place([(hit, _recorded(DRUM_KITS / name / KITS[name][hit.drum])) for hit in hits], session), hits


def _hits(score: Score, section: Section, rng: Generator) -> list[Hit]:
    """The section's bars: its pattern, a crash to begin with, and a fill on the last beat."""
    meter = score.outline.meter
    choices = PATTERNS[meter.name, score.outline.drums]
    pattern = choices[int(score.rng("pattern").integers(len(choices)))]
    if section.label == "I" and "chords" in section.layers:
        pattern = {drum: steps for drum, steps in pattern.items() if drum in ("hat", "ride", "kick")}
    if "full" in section.layers:
        pattern = _fuller(pattern, score)
    fills = score.rng("fills").random() < 0.75 and score.outline.drums != "sparse"
    hits = []
    for bar in range(section.start, section.end, score.bar):
        last = bar + score.bar >= section.end
        for drum, steps in pattern.items():
            for step, stroke in enumerate(_at_tempo(steps, drum, score)):
                position = bar + step / (2 * meter.eighths)
                filled = fills and last and position >= bar + score.bar - 1
                if stroke != "." and not (filled and drum != "kick"):
                    loudness = rng.uniform(0.75, 1) if stroke == "x" else rng.uniform(0.3, 0.45)
                    hits.append(_hit(drum, position, loudness, score, rng))
        if fills and last:
            for i, drum in enumerate(
                score.rng("fill", section.label).choice(["snare", "tom1", "tom2", "tom3"], 4)
            ):
                hits.append(_hit(str(drum), bar + score.bar - 1 + i / 4, rng.uniform(0.6, 1), score, rng))
    if score.outline.drums != "sparse":
        hits.append(_hit("crash", section.start, rng.uniform(0.7, 1), score, rng))
    return hits


def _hit(drum: str, position: float, loudness: float, score: Score, rng: Generator) -> Hit:
    return Hit(drum, score.timeline.second(position) + rng.normal(0, TIMING_SECONDS), float(loudness))


def _fuller(pattern: Pattern, score: Score) -> Pattern:
    """The chorus: the hi-hat becomes a ride or opens on the off-beats."""
    if "hat" not in pattern or score.outline.drums == "sparse":
        return pattern
    if score.rng("fuller").random() < 0.5:
        return {("ride" if drum == "hat" else drum): steps for drum, steps in pattern.items()}
    eighths = score.outline.meter.eighths
    opened = "".join(
        "x" if step % (2 * eighths) == 2 * (eighths - 1) else "." for step in range(len(pattern["hat"]))
    )
    closed = "".join("." if o == "x" else h for o, h in zip(opened, pattern["hat"], strict=True))
    return pattern | {"hat": closed, "open": opened}


def _at_tempo(steps: str, drum: str, score: Score) -> str:
    """What a cymbal plays at the song's tempo: only beats when fast, sixteenths when slow."""
    eighths = score.outline.meter.eighths
    eighth = 60 / score.outline.bpm / eighths
    running = drum in ("hat", "ride") and steps.count("x") > len(steps) // 3
    if running and eighth < FAST_EIGHTH:
        return "".join(s if i % (2 * eighths) == 0 else "." for i, s in enumerate(steps))
    if running and eighth > SLOW_EIGHTH and score.outline.drums == "plain":
        return "".join("o" if s == "." and i % 2 else s for i, s in enumerate(steps))
    return steps


def _or_stand_in(drum: str, kit: "dict[str, str] | tuple[str, ...]") -> str:
    """The drum, or what is struck instead in a kit that lacks it."""
    return drum if drum in kit else STAND_INS[drum]


def _recorded(file: Path) -> Audio:
    """A recorded hit without the silence before it."""
    sound = drum_sounds.recorded(file)
    first = int(np.argmax(np.abs(sound).max(axis=1) > ONSET_LEVEL))
    return sound[first:]


def _place(hits: list[tuple[Hit, Audio]], session: Session) -> Audio:
    """Add sounds where they belong."""
    audio = np.zeros((session.clip.samples, 2), np.float32)
    for hit, sound in hits:
        at = int(max(0, hit.time) * SAMPLE_RATE)
        heard = audio[at : at + len(sound)]
        heard += sound[: len(heard)] * np.float32(hit.velocity**1.5 * LEVELS.get(hit.drum, OTHER_LEVEL))
    return audio
