"""Train a MaskNet on rendered songs. An interrupted run continues from its checkpoint when started again."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gpu_worker.separation.preview.network import SOURCES, MaskNet, WeightsError, load
from gpu_worker.separation.preview.rendered import Crops

BATCH = 4
WARM_UP_STEPS = 60
LAST_RATE = 0.02
EMA_DECAY = 0.998
STEPS_PER_LINE = 50
STEPS_PER_CHECKPOINT = 200


class Training:
    """A network in training, with all that a checkpoint has to hold.

    The weights that are exported are the exponential moving average of those that are trained.
    """

    def __init__(self, network: MaskNet) -> None:
        self.network = network.train()
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY))  # type: ignore[no-untyped-call]
        self.optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
        self.step = 0
        self.seconds = 0.0

    def save(self, path: Path) -> None:
        """Write a checkpoint; an interruption leaves the one before."""
        partial = path.with_suffix(".part")
        checkpoint = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(checkpoint, partial)
        partial.rename(path)

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint."""
        checkpoint = torch.load(path, weights_only=True)
        self.network.load_state_dict(checkpoint["network"])
        self.average.load_state_dict(checkpoint["average"])
        self.optimiser.load_state_dict(checkpoint["optimiser"])
        self.step = checkpoint["step"]
        self.seconds = checkpoint["seconds"]

    def learn(self, stems: Tensor, rate: float) -> tuple[float, Tensor]:
        """Take one step on (batch, sources, 2, samples); the loss, and the gain in dB of each source."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        value, gain = loss(self.network, stems)
        self.optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.average.update_parameters(self.network)
        self.step += 1
        return value.item(), gain


def loss(network: MaskNet, stems: Tensor) -> tuple[Tensor, Tensor]:
    """Distance between the separated and the true spectrograms.

    Returns
    -------
    loss : Tensor
        Mean absolute difference of the complex values, and of the roots of the magnitudes: the latter is what
        teaches the quiet parts.
    gain : Tensor
        By how many dB the error of each source is smaller than that of the mixture; NaN where it is silent or
        alone in the whole batch.
    """
    mix = stems.sum(dim=1)
    level = mix.std((1, 2), keepdim=True) + 1e-4
    truth = network.stft(stems / level[:, None])
    spectrum = network.stft(mix / level)
    error = network.masks(spectrum) * spectrum[:, None] - truth
    estimate = error + truth

    roots = [(values.abs() + 1e-6).sqrt() for values in (estimate, truth)]
    value = 2 * torch.view_as_real(error).abs().mean() + 0.5 * (roots[0] - roots[1]).abs().mean()

    with torch.no_grad():
        energies = [x.abs().square().mean((2, 3, 4)) for x in (spectrum[:, None] - truth, error, truth)]
        gains = 10 * torch.log10(energies[0] / (energies[1] + 1e-9))
        defined = (energies[0] > 1e-4) & (energies[2] > 1e-4)
        gain = torch.where(defined, gains, torch.nan).nanmean(dim=0)
    return value, gain


def train(training: Training, crops: Crops, out: Path, minutes: float, peak_rate: float, seed: int) -> None:
    """Train until the given time is spent; the learning rate falls to nearly zero by then."""
    gains = []
    while training.seconds < 60 * minutes:
        started = time.monotonic()
        # Seeded by the step, so that a continued run sees what an uninterrupted one would have seen.
        batch = crops.batch(BATCH, np.random.default_rng([seed, training.step]))
        remaining = 1 - training.seconds / (60 * minutes)
        rate = peak_rate * min(1, (training.step + 1) / WARM_UP_STEPS) * max(LAST_RATE, remaining)
        value, gain = training.learn(batch, rate)
        training.seconds += time.monotonic() - started
        gains.append(gain)
        if training.step % STEPS_PER_LINE == 0:
            mean = torch.stack(gains).nanmean(dim=0)
            told = " ".join(f"{source} {x:.1f}" for source, x in zip(SOURCES, mean.tolist(), strict=True))
            minute = training.seconds / 60
            print(
                f"{minute:6.1f} min  step {training.step}  loss {value:.4f}  gain in dB: {told}", flush=True
            )
            gains.clear()
        if training.step % STEPS_PER_CHECKPOINT == 0:
            training.save(out)
    training.save(out)


def main() -> int:
    """Train as the command line asks."""
    parser = argparse.ArgumentParser(
        prog="python -m gpu_worker.separation.preview.train", description=__doc__
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that the renderer wrote")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write, and to continue from")
    parser.add_argument("--minutes", type=float, default=55, help="time to train in all (default 55)")
    parser.add_argument("--threads", type=int, default=2, help="threads to compute with (default 2)")
    parser.add_argument("--start", type=Path, help="weights to start from, instead of random ones")
    parser.add_argument("--rate", type=float, default=1.6e-3, help="highest learning rate (default 0.0016)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the weights and the mixes (default 1)")
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    try:
        training = Training(load(arguments.start) if arguments.start else MaskNet())
        crops = Crops(arguments.data)
    except (WeightsError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.out.exists():
        training.restore(arguments.out)
        print(f"continuing from step {training.step}", flush=True)
    train(training, crops, arguments.out, arguments.minutes, arguments.rate, arguments.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
