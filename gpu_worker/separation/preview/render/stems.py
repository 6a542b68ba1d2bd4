"""Render one stem of a song that is known by its number."""

from dataclasses import dataclass

import numpy as np

from gpu_worker.separation.preview.render import bass, drums, other, vocals
from gpu_worker.separation.preview.render.clip import Audio, Clip, Session
from gpu_worker.separation.preview.render.effects import produce

RENDERERS = {"drums": drums.render, "bass": bass.render, "other": other.render, "vocals": vocals.render}


@dataclass(frozen=True)
class Stem:
    """Audio (samples, 2) at 44.1 kHz, and the soundfonts, kits and voices that are heard in it."""

    audio: Audio
    sounds: list[str]


def render_stem(clip: Clip, source: str, number: int) -> Stem:
    """Render one source of a song; the number decides every random choice, so that it can be repeated."""
    seed = [number, 1 + list(RENDERERS).index(source)]
    session = Session(clip, np.random.default_rng(seed))
    audio = produce(RENDERERS[source](session), source, session.rng)
    return Stem(audio, session.sounds)
