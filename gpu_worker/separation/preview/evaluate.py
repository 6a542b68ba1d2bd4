"""Score weights on rendered songs: gain in SI-SDR over the mixture, beside the floor of a constant mask."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median
from typing import TypedDict

import torch
from torch import Tensor

from gpu_worker.separation.preview.network import SOURCES, WEIGHTS, MaskNet, WeightsError, load
from gpu_worker.separation.preview.rendered import read_song, song_numbers

# One source in one song, in dB.
Scores = dict[str, float]
Separator = Callable[[Tensor], Tensor]


def si_sdr(estimate: Tensor, reference: Tensor) -> float:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al., ICASSP 2019).

    Parameters
    ----------
    estimate, reference : Tensor
        Audio of the same shape.

    Returns
    -------
    float
        In dB; infinite for a perfect estimate. Unlike plain SDR, it does not depend on the estimate's level.

    Raises
    ------
    ValueError
        If the reference is silent: then there is nothing to compare with.
    """
    estimate, reference = estimate - estimate.mean(), reference - reference.mean()
    energy = reference.square().sum()
    if energy == 0:
        raise ValueError("The reference is silent.")
    target = (estimate * reference).sum() / energy * reference
    return _ratio(target, estimate - target)


def sdr(estimate: Tensor, reference: Tensor) -> float:
    """Plain signal-to-distortion ratio in dB: it counts a wrong level as distortion."""
    return _ratio(reference, estimate - reference)


def _ratio(signal: Tensor, distortion: Tensor) -> float:
    """Ratio of energies in dB."""
    return float(10 * torch.log10(signal.square().sum() / distortion.square().sum()))


def constant_mask(mix: Tensor) -> Tensor:
    """Give each source an equal share of a mix (batch, 2, samples): the floor, knowing nothing of sources."""
    return (mix / len(SOURCES))[:, None].expand(-1, len(SOURCES), -1, -1)


def score_song(separate: Separator, stems: Tensor) -> dict[str, Scores]:
    """Score each source of a song with known stems (sources, 2, samples)."""
    mix = stems.sum(dim=0)
    with torch.inference_mode():
        estimates = separate(mix[None])[0]
        floor = constant_mask(mix[None])[0]
    scores = {}
    for source, stem, estimate, share in zip(SOURCES, stems, estimates, floor, strict=True):
        of_mixture = si_sdr(mix, stem)
        scores[source] = {
            "siSdr": si_sdr(estimate, stem),
            "siSdrOfMixture": of_mixture,
            "improvement": si_sdr(estimate, stem) - of_mixture,
            "sdr": sdr(estimate, stem),
            "floorImprovement": si_sdr(share, stem) - of_mixture,
            "floorSdr": sdr(share, stem),
        }
    return scores


def summarise(songs: list[dict[str, Scores]]) -> dict[str, Scores]:
    """Medians over the songs, and the worst improvement, of each source."""
    summary = {}
    for source in SOURCES:
        rows = [song[source] for song in songs]
        summary[source] = {name: median(row[name] for row in rows) for name in rows[0]}
        summary[source]["worstImprovement"] = min(row["improvement"] for row in rows)
    return summary


class Evaluation(TypedDict):
    """The songs' numbers, their summary, and the mean of the sources' median improvements."""

    songs: list[int]
    sources: dict[str, Scores]
    meanImprovement: float


def evaluate(network: MaskNet, data: Path) -> Evaluation:
    """Score a network on all songs of a folder of the renderer."""
    names = song_numbers(data)
    if not names:
        raise ValueError(f"There are no rendered songs in {data}.")
    summary = summarise([score_song(network, read_song(data, name)) for name in names])
    return {
        "songs": [int(Path(name).stem) for name in names],
        "sources": summary,
        "meanImprovement": fmean(summary[source]["improvement"] for source in SOURCES),
    }


def print_table(summary: dict[str, Scores]) -> None:
    """Print the medians as a table."""
    columns = {
        "SI-SDR": "siSdr",
        "of mixture": "siSdrOfMixture",
        "improvement": "improvement",
        "(worst)": "worstImprovement",
        "of 1/4 mask": "floorImprovement",
        "SDR": "sdr",
        "SDR of 1/4 mask": "floorSdr",
    }
    print(f"{'medians, dB':12}" + "".join(f"{title:>17}" for title in columns))
    for source, scores in summary.items():
        print(f"{source:12}" + "".join(f"{scores[name]:17.1f}" for name in columns.values()))


def main() -> int:
    """Score what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m gpu_worker.separation.preview.evaluate", description=__doc__
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that the renderer wrote")
    parser.add_argument(
        "--weights", type=Path, default=WEIGHTS, help="safetensors file (default: the preview's)"
    )
    parser.add_argument("--out", type=Path, help="JSON file to write the scores to")
    parser.add_argument("--threads", type=int, default=1, help="threads to compute with (default 1)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        scores = evaluate(load(arguments.weights), arguments.data)
    except (WeightsError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print_table(scores["sources"])
    print(f"mean improvement of SI-SDR over {len(scores['songs'])} songs: {scores['meanImprovement']:.2f} dB")
    if arguments.out:
        arguments.out.write_text(json.dumps(scores, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
