"""Networks of Beat This's architecture, small, as checkpoints in the authors' own layout."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import torch
from beat_this.model.beat_tracker import BeatThis

from gpu_worker.analysis.beat_model import FRAMES_PER_SECOND, frame_count, log_mel
from gpu_worker.analysis.sound import ANALYSIS_RATE

SMALL: dict[str, Any] = {
    "spect_dim": 128,
    "fps": 50,
    "transformer_dim": 16,
    "ff_mult": 2,
    "n_layers": 1,
    "stem_dim": 4,
    "head_dim": 4,
    "dropout": {"frontend": 0.1, "transformer": 0.2},
    "sum_head": True,
    "partial_transformers": True,
    "lr": 0.0008,
    "use_dbn": False,
}
"""Hyper-parameters under the names that the authors' training saves."""

LESSON_SECONDS = 4


def build(**changes: Any) -> BeatThis:
    torch.manual_seed(0)
    settings = SMALL | changes
    return BeatThis(
        **{name: settings[name] for name in settings.keys() & inspect.signature(BeatThis).parameters}
    )


def save(network: BeatThis, path: Path, **changes: Any) -> Path:
    """Write a checkpoint as PyTorch Lightning does for the authors, without the optimiser."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    content = {
        "epoch": 99,
        "pytorch-lightning_version": "2.1.2",
        "state_dict": weights,
        "hyper_parameters": SMALL | changes,
        "datamodule_hyper_parameters": {"batch_size": 8},
    }
    torch.save(content, path)
    return path


def clicks(beats: np.ndarray, downbeats: np.ndarray, seconds: float) -> np.ndarray:
    """A low click on downbeats, a high one on other beats."""
    time = np.arange(ANALYSIS_RATE // 20) / ANALYSIS_RATE
    samples = np.zeros(int(seconds * ANALYSIS_RATE) + len(time))
    for beat in beats:
        at = round(beat * ANALYSIS_RATE)
        hertz = 200 if beat in downbeats else 3000
        samples[at : at + len(time)] += 0.5 * np.sin(2 * np.pi * hertz * time) * np.exp(-60 * time)
    return samples[: int(seconds * ANALYSIS_RATE)].astype(np.float32)


def teach_clicks() -> BeatThis:
    """A network that learned in seconds to hear the beats of `clicks`."""
    network = build(partial_transformers=False, dropout={"frontend": 0.0, "transformer": 0.0})
    generator = np.random.default_rng(0)
    lessons = [_lesson(generator) for _ in range(24)]
    spectrograms, targets = (torch.from_numpy(np.stack(part)) for part in zip(*lessons, strict=True))
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(8.0))
    for _ in range(240):
        chosen = torch.from_numpy(generator.choice(len(lessons), 4, replace=False))
        answer = network(spectrograms[chosen])
        loss = loss_of(answer["beat"], targets[chosen, 0]) + loss_of(answer["downbeat"], targets[chosen, 1])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def _lesson(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    period, bar = generator.uniform(0.3, 0.8), generator.integers(2, 5)
    beats = np.arange(generator.uniform(0, 0.5), LESSON_SECONDS - 0.1, period)
    downbeats = beats[generator.integers(bar) :: bar]
    samples = clicks(beats, downbeats, LESSON_SECONDS)
    spectrogram = log_mel(samples, 0, frame_count(samples))
    target = np.zeros((2, len(spectrogram)), np.float32)
    for row, times in enumerate((beats, downbeats)):
        target[row, (times * FRAMES_PER_SECOND).round().astype(int)] = 1
    return spectrogram, target
