"""Render numbered songs: stems as OUT/SOURCE/NUMBER.npy (int16), their truth as OUT/songs/NUMBER.json."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from gpu_worker.separation.preview.render.packages import missing_packages


def main() -> int:
    """Render what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m gpu_worker.separation.preview.render", description=__doc__
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--start", type=int, default=0, help="number of the first song (default 0)")
    parser.add_argument("--count", type=int, default=1, help="how many songs (default 1)")
    parser.add_argument("--duration", type=float, default=12.0, help="seconds a song (default 12)")
    arguments = parser.parse_args()
    if arguments.start < 0 or arguments.count < 1 or arguments.duration < 2:
        parser.error("--start must be 0 or more, --count 1 or more, --duration 2 s or more")
    problem = missing_packages()
    if problem:
        print(problem, file=sys.stderr)
        return 1
    for number in range(arguments.start, arguments.start + arguments.count):
        render_song(number, arguments.duration, arguments.out)
    return 0


def render_song(number: int, duration: float, out: Path) -> None:
    """Render and write one song."""
    # Imported here, because these need the packages that main() has looked for.
    from gpu_worker.separation.preview.render.clip import Clip
    from gpu_worker.separation.preview.render.stems import RENDERERS, render_stem

    clip = Clip.draw(number, duration)
    sounds = {}
    for source in RENDERERS:
        stem = render_stem(clip, source, number)
        sounds[source] = stem.sounds
        _write(out / source / f"{number:05d}.npy", (stem.audio * 32767).astype(np.int16))
    song = out / "songs" / f"{number:05d}.json"
    song.parent.mkdir(parents=True, exist_ok=True)
    song.write_text(json.dumps(clip.truth() | {"sounds": sounds}, indent=2) + "\n")


def _write(path: Path, samples: np.ndarray) -> None:
    """Write so that an interrupted run leaves no half file under the final name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part.npy")
    np.save(partial, samples)
    partial.rename(path)


if __name__ == "__main__":
    sys.exit(main())
