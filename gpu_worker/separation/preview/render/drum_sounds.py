"""Sounds of single drums: recorded ones from Debian's hydrogen-drumkits, and plain synthesis."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.random import Generator
from scipy.signal import resample_poly

from gpu_worker.separation.preview.render.clip import SAMPLE_RATE, Audio, stereo
from gpu_worker.separation.preview.render.packages import DRUM_KITS

LONGEST_SECONDS = 2.5
AUDIO_SUFFIXES = {".wav", ".flac", ".aif", ".aiff"}

# How the kits name their files. The first pattern that matches decides.
FILE_NAMES = {
    "kick": "kick|bass ?drum|^bd|_bd",
    "snare": "snare|^sn|_sd|^sd",
    "hat": "clos|hh_?c|hihat|hh",
    "open": "open",
    "ride": "ride",
    "crash": "crash",
    "tom1": "tom.*(1|hi)|hi.*tom",
    "tom2": "tom.*(2|mid)|mid.*tom",
    "tom3": "tom.*(3|lo)|floor|lo.*tom",
    "clap": "clap",
    "rim": "rim|stick",
    "cow": "cow|bell",
    "conga": "conga|bongo",
    "tamb": "tamb|shak",
}
# What plays instead of a drum that a kit lacks.
SUBSTITUTES = {
    "open": "hat",
    "hat": "open",
    "ride": "hat",
    "crash": "open",
    "clap": "snare",
    "rim": "snare",
    "tamb": "hat",
    "tom1": "tom2",
    "tom2": "tom3",
    "tom3": "tom2",
    "cow": "rim",
    "conga": "tom1",
}
SYNTHETIC_HERTZ = {"tom1": 200, "tom2": 150, "tom3": 100, "conga": 260, "cow": 560}

# Files of each drum.
Kit = dict[str, list[Path]]


@functools.cache
def kits() -> dict[str, Kit]:
    """The kits that have at least a kick, a snare and a hi-hat, by name."""
    usable = {}
    for folder in sorted(DRUM_KITS.iterdir()):
        kit: Kit = {}
        for file in sorted(folder.iterdir()):
            drum = _drum_of(file)
            if drum:
                kit.setdefault(drum, []).append(file)
        if "kick" in kit and "snare" in kit and ("hat" in kit or "open" in kit):
            usable[folder.name] = kit
    return usable


def _drum_of(file: Path) -> str | None:
    """Which drum a file holds, by its name."""
    name = file.name.lower()
    if file.suffix.lower() not in AUDIO_SUFFIXES:
        return None
    return next((drum for drum, pattern in FILE_NAMES.items() if re.search(pattern, name)), None)


def in_kit(drum: str, kit: Kit) -> str:
    """The drum itself, or what stands in for it in a kit that lacks it."""
    if drum in kit:
        return drum
    substitute = SUBSTITUTES.get(drum, "snare")
    if substitute in kit:
        return substitute
    if "tom" in substitute:
        return "snare"
    return "hat" if "hat" in kit else "open"


@functools.lru_cache(maxsize=512)
def recorded(file: Path) -> Audio:
    """One recorded hit, its peak at 1."""
    audio, rate = soundfile.read(file, dtype="float32", always_2d=True)
    audio = audio[:, :2] if audio.shape[1] > 1 else np.repeat(audio, 2, axis=1)
    if rate != SAMPLE_RATE:
        audio = resample_poly(audio, SAMPLE_RATE, rate, axis=0).astype(np.float32)
    loudest = max(1e-3, float(np.abs(audio).max()))
    hit: Audio = audio[: int(LONGEST_SECONDS * SAMPLE_RATE)] / loudest
    return hit


@dataclass(frozen=True)
class DrumMachine:
    """A drum machine's tuning: frequencies in Hz, decays in 1/s."""

    kick_hertz: float
    kick_sweep: float
    kick_decay: float
    snare_hertz: float
    snare_decay: float
    hat_decay: float

    @classmethod
    def draw(cls, rng: Generator) -> "DrumMachine":
        """Draw a tuning."""
        return cls(
            kick_hertz=rng.uniform(40, 65),
            kick_sweep=rng.uniform(60, 250),
            kick_decay=rng.uniform(5, 14),
            snare_hertz=rng.uniform(150, 240),
            snare_decay=rng.uniform(12, 30),
            hat_decay=rng.uniform(25, 70),
        )

    def hit(self, drum: str, rng: Generator) -> Audio:
        """Synthesise one hit of half a second, its peak at 1."""
        samples = int(SAMPLE_RATE * 0.5)
        t = np.arange(samples) / SAMPLE_RATE
        if drum == "kick":
            cycles = self.kick_hertz * t + self.kick_sweep * (1 - np.exp(-t * 30)) / 30
            mono = np.sin(2 * np.pi * cycles) * np.exp(-t * self.kick_decay)
        elif drum in ("snare", "clap", "rim"):
            tone = 0.4 * np.sin(2 * np.pi * self.snare_hertz * t) * np.exp(-t * 25)
            mono = tone + rng.standard_normal(samples) * np.exp(-t * self.snare_decay)
        elif drum in SYNTHETIC_HERTZ:
            cycles = SYNTHETIC_HERTZ[drum] * t * (1 + 0.3 * np.exp(-t * 20))
            mono = np.sin(2 * np.pi * cycles) * np.exp(-t * 9)
        else:
            # Cymbals: noise, differentiated twice so that the treble prevails.
            decay = self.hat_decay if drum in ("hat", "tamb") else 5
            mono = np.diff(rng.standard_normal(samples + 2), 2) * np.exp(-t * decay)
        return stereo(mono / np.abs(mono).max())
