"""Train the drum classifier on rendered drums: python -m gpu_worker.analysis.train_drums.

Needs the renderer's packages (gpu_worker/separation/preview/requirements.txt) and scikit-learn.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr
from numpy.random import Generator
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier

from gpu_worker.analysis.drums import DRUMS, STRUCK, find_onsets
from gpu_worker.analysis.onsets import FRAME_RATE
from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound
from gpu_worker.separation.preview.render import bass, drum_sounds, midi, other
from gpu_worker.separation.preview.render.clip import SAMPLE_RATE, Audio, Clip, Session
from gpu_worker.separation.preview.render.drums import (
    GENERAL_MIDI,
    GENERAL_MIDI_KITS,
    LEVELS,
    OTHER_LEVEL,
    Hit,
)
from gpu_worker.separation.preview.render.effects import produce

HIDDEN = (96, 32)
SECONDS = 12.0
NEAR_SECONDS = 0.035
SOUNDING = 0.03
NAMES = {
    "kick": "kick",
    "snare": "snare",
    "hat": "hihat_closed",
    "open": "hihat_open",
    "tom1": "tom",
    "tom2": "tom",
    "tom3": "tom",
    "crash": "cymbal",
    "ride": "cymbal",
    "clap": "percussion",
    "rim": "percussion",
    "tamb": "percussion",
    "cow": "percussion",
    "conga": "percussion",
}
# The scores of the analysis are measured on these kits.
HELD_OUT_KITS = ("ColomboAcousticDrumkit", "The Black Pearl 1.0")
MACHINE = ("kick", "snare", "hat", "open", "tom1", "tom2", "tom3")


class Example(NamedTuple):
    """The onsets of one clip."""

    patches: NDArray[np.float32]
    struck: NDArray[np.bool_]
    """Shape (onsets, drums)."""


def main() -> None:
    """Render, train, score on clips that were held out, write."""
    parser = argparse.ArgumentParser(prog="python -m gpu_worker.analysis.train_drums", description=__doc__)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("drums.npz"))
    arguments = parser.parse_args()
    examples = [render(number) for number in range(arguments.clips)]
    held_out = len(examples) // 10
    train(examples[held_out:], examples[:held_out], arguments.out)


def train(examples: list[Example], held_out: list[Example], out: Path) -> None:
    """Fit a perceptron with two hidden layers, write its weights, and print its scores."""
    patches = np.concatenate([example.patches for example in examples])
    struck = np.concatenate([example.struck for example in examples])
    mean, spread = patches.mean(axis=0), patches.std(axis=0) + 1e-3
    model = MLPClassifier(
        HIDDEN,
        alpha=0.01,
        batch_size=256,
        max_iter=60,
        early_stopping=True,
        n_iter_no_change=6,
        random_state=0,
    )
    model.fit((patches - mean) / spread, struck)
    weights, biases = list(model.coefs_), list(model.intercepts_)
    # The normalisation of the patches is folded into the first layer.
    biases[0] = biases[0] - (mean / spread) @ weights[0]
    weights[0] = weights[0] / spread[:, None]
    np.savez_compressed(
        out,
        **{f"weights{layer}": values.astype(np.float16) for layer, values in enumerate(weights)},
        **{f"bias{layer}": values.astype(np.float32) for layer, values in enumerate(biases)},
    )
    likelihoods = model.predict_proba((np.concatenate([e.patches for e in held_out]) - mean) / spread)
    truth = np.concatenate([example.struck for example in held_out])
    for column, drum in enumerate(DRUMS):
        found = likelihoods[:, column] > STRUCK
        f = 2 * (found & truth[:, column]).sum() / max(1, found.sum() + truth[:, column].sum())
        print(f"{drum:14} F {f:.3f}, {truth[:, column].sum()} onsets")


def render(number: int) -> Example:
    """Render a clip, and tell which of its onsets are strokes of which drums."""
    clip = Clip.draw(number, SECONDS)
    session = Session(clip, np.random.default_rng([number, 10]))
    rng = session.rng
    hits = list(_hits(clip, rng))
    audio, labels = _play(hits, session)
    audio = produce(audio, "drums", rng)
    if rng.random() < 0.5:
        audio = audio + _leakage(clip, number, rng) * np.abs(audio).max() * np.float32(
            10 ** (-rng.uniform(1, 2.2))
        )
    onsets = find_onsets(Sound(soxr.resample(audio.mean(axis=1), SAMPLE_RATE, ANALYSIS_RATE)))
    times = onsets.frames / FRAME_RATE
    struck = np.zeros((len(times), len(DRUMS)), bool)
    for hit, label in zip(hits, labels, strict=True):
        distance = np.abs(times - hit.time)
        if len(distance) and distance.min() < NEAR_SECONDS:
            struck[distance.argmin(), DRUMS.index(label)] = True
    return Example(onsets.patches, struck)


def _hits(clip: Clip, rng: Generator) -> Iterator[Hit]:
    """Any drums on a grid of sixteenths: a core of kick, snare and hi-hat, and some of the others."""
    likelihood = dict.fromkeys(NAMES, 0.0)
    likelihood |= {
        "kick": rng.uniform(0.1, 0.35),
        "snare": rng.uniform(0.1, 0.3),
        "hat": rng.uniform(0.1, 0.7),
    }
    for drum in rng.choice(list(NAMES), 6):
        likelihood[str(drum)] += rng.uniform(0.03, 0.2)
    softest = rng.uniform(0.25, 0.7)
    step = clip.beat / 4 if clip.bpm < 140 else clip.beat / 2
    for time in np.arange(clip.start + 0.05, SECONDS - 0.3, step):
        for drum, chance in likelihood.items():
            if rng.random() < chance:
                yield Hit(drum, time + rng.normal(0, 0.004), float(rng.uniform(softest, 1)))


def _play(hits: list[Hit], session: Session) -> tuple[Audio, list[str]]:
    """The sound of the hits, and what each sounds like: a kit without a drum plays another."""
    rng = session.rng
    player = rng.choice(["midi", "recorded", "machine"], p=[0.4, 0.45, 0.15])
    if player == "midi":
        notes = [midi.Note(GENERAL_MIDI[h.drum], h.time, h.time + 0.1, 30 + 97 * h.velocity) for h in hits]
        part = midi.Part(int(rng.choice(GENERAL_MIDI_KITS)), notes, drums=True)
        return midi.play([part], session), [NAMES[hit.drum] for hit in hits]
    kits = drum_sounds.kits()
    kit = kits[str(rng.choice([name for name in kits if name not in HELD_OUT_KITS]))]
    machine = drum_sounds.DrumMachine.draw(rng)
    chosen: dict[str, Audio] = {}
    audio = np.zeros((session.clip.samples, 2), np.float32)
    labels = []
    for hit in hits:
        if player == "recorded":
            drum = drum_sounds.in_kit(hit.drum, kit)
            if drum not in chosen:
                chosen[drum] = _without_silence(drum_sounds.recorded(kit[drum][rng.integers(len(kit[drum]))]))
            sound = chosen[drum]
        else:
            drum = hit.drum if hit.drum in MACHINE else "hat"
            sound = machine.hit(drum, rng)
        labels.append(NAMES[drum])
        at = int(hit.time * SAMPLE_RATE)
        heard = audio[at : at + len(sound)]
        heard += sound[: len(heard)] * np.float32(hit.velocity**1.5 * LEVELS.get(drum, OTHER_LEVEL))
    return audio, labels


def _without_silence(sound: Audio) -> Audio:
    """A recorded hit without the silence before it."""
    first = int(np.argmax(np.abs(sound).max(axis=1) > SOUNDING))
    kept: Audio = sound[first:]
    return kept


def _leakage(clip: Clip, number: int, rng: Generator) -> Audio:
    """What a separator may leave in a drum stem: another stem, its peak at 1."""
    session = Session(clip, np.random.default_rng([number, 11]))
    audio: Audio = (bass if rng.random() < 0.5 else other).render(session)
    return audio / max(1e-3, float(np.abs(audio).max()))


if __name__ == "__main__":
    main()
