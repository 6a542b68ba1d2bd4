"""Our overlap-add over a file against Demucs' `apply_model` over tensors: time and peak memory.

Each run is a process of its own, since a process' peak memory never falls.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile as sf

from benchmarks.rows import Row, row

SECONDS = 300
RATE = 44_100
MODEL = "preview"
OURS, STOCK = "ours", "stock"


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        mix = Path(scratch) / "mix.wav"
        noise = np.random.default_rng(1).standard_normal((SECONDS * RATE, 2))
        sf.write(mix, 0.1 * noise, RATE, subtype="FLOAT")
        ours, stock = (_measure(which, mix) for which in (OURS, STOCK))
    note = f"{SECONDS} s of noise, {MODEL} model, CPU"
    return [
        row("separation, seconds", ours["seconds"], stock["seconds"], at_most=1.1, bar_on="ratio", note=note),
        row(
            "separation, peak MiB",
            ours["mebibytes"],
            stock["mebibytes"],
            at_most=0.6,
            bar_on="ratio",
            note=note,
        ),
    ]


def _measure(which: str, mix: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.separation", which, str(mix)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(answer.stdout)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description="One measured run, as the benchmark starts it.")
    parser.add_argument("which", choices=[OURS, STOCK])
    parser.add_argument("mix", type=Path)
    arguments = parser.parse_args()

    import torch
    from demucs.apply import apply_model

    from gpu_worker.separation.engine import separate
    from gpu_worker.separation.models import load_model

    model = load_model(MODEL, device="cpu")
    folder = arguments.mix.parent / arguments.which
    started = time.monotonic()
    if arguments.which == OURS:
        separate(model, arguments.mix, folder)
    else:
        folder.mkdir()
        tensor = torch.from_numpy(sf.read(arguments.mix, dtype="float32")[0].T)
        with torch.inference_mode():
            sources = apply_model(model.network, tensor[None], shifts=0)[0]
        for name, source in zip(model.sources, sources, strict=True):
            sf.write(folder / f"{name}.wav", source.T.numpy(), RATE)
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "mebibytes": peak}))


if __name__ == "__main__":
    main()
