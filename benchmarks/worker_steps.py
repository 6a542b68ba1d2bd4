"""Processor seconds of each of the worker's steps for a minute of music, on the CPU.

Processor time and not the clock's, so that a busy machine gives the same figures. htdemucs is a network
of its class and size (41 million parameters) with random weights: the time does not depend on them, and the
true ones can't be had everywhere.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.demand import SONG_SECONDS, write_song
from benchmarks.rows import Row, row

STRIDE = 0.75
"""Of a segment: the worker's segments overlap by a quarter, as Demucs' own."""
FLOP = "htdemucs"
"""Where the run puts its count of operations."""


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        song = Path(scratch) / "song.flac"
        write_song(song)
        command = [sys.executable, "-m", "benchmarks.worker_steps", str(song)]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    operations = seconds.pop(FLOP)
    note = f"{SONG_SECONDS} s of music, all threads together; baseline: the music's own seconds"
    rows = [
        row(f"{step}, CPU seconds a minute", value * 60 / SONG_SECONDS, 60, note=note)
        for step, value in seconds.items()
    ]
    counted = "counted by PyTorch over a segment; overlap included"
    return [*rows, row("htdemucs, GFLOP for a second of music", operations, None, note=counted)]


def main() -> None:
    parser = argparse.ArgumentParser(description="One measured run, as the benchmark starts it.")
    parser.add_argument("song", type=Path)
    song: Path = parser.parse_args().song

    import torch
    from demucs.htdemucs import HTDemucs
    from torch.utils.flop_counter import FlopCounterMode

    from gpu_worker.analysis.song import analyse_song
    from gpu_worker.decoding import decode_here
    from gpu_worker.separation.engine import separate
    from gpu_worker.separation.models import LoadedModel, load_model
    from shared.models import StemType

    seconds: dict[str, float] = {}
    begun = time.process_time()

    def finish(step: str) -> None:
        nonlocal begun
        if step:
            seconds[step] = round(time.process_time() - begun, 3)
        begun = time.process_time()

    preview = load_model("preview", device="cpu")
    network = HTDemucs(["drums", "bass", "other", "vocals"], bottom_channels=512, segment=7.8).eval()
    htdemucs = LoadedModel(network=network, name="htdemucs", digest="random", device="cpu")
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 2, int(network.segment * network.samplerate)))
    seconds[FLOP] = counter.get_total_flops() / float(network.segment) / STRIDE / 1e9
    mix = song.with_name("mix.wav")
    finish("")
    decode_here(song, mix, max_minutes=60)
    finish("decode")
    paths = separate(preview, mix, song.with_name("stems"))
    finish("separate by the preview model")
    stems = {StemType(name.title()): path for name, path in paths.items()}
    finish("")
    analyse_song(stems)
    finish("analyse, the first song of a process")
    analyse_song(stems)
    finish("analyse")
    with torch.inference_mode():
        separate(htdemucs, mix, song.with_name("random"))
    finish("separate by htdemucs")
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
