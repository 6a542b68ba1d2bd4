"""Render the demo song and write down its truth: OUT/demo.ogg and OUT/demo.json."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from gpu_worker.separation.preview.render.packages import missing_packages

# The song's outline (C# major at 116 bpm, the chords I V vi IV) and each stem's take, chosen from
# some dozens for a steady beat, clear chords, and sounds whose licence lets us give the result away.
SONG = 497
TAKES = {"drums": 29, "bass": 19, "other": 18, "vocals": 0}
DURATION = 20.0
LEVELS_DB = {"drums": -2.0, "bass": -1.0, "other": 1.0, "vocals": 0.0}
PEAK_DB = -1.0
FADE_SECONDS = 1.0
COMMAND = "python -m gpu_worker.separation.preview.demo --out demo/"


def render_demo() -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Render the demo's stems at the levels of the mix, and its truth.

    Returns
    -------
    stems : dict of ndarray
        (samples, 2) at 44.1 kHz by source; their sum is the song, which peaks at `PEAK_DB`.
    truth : dict
        Tempo, key, time signature, first downbeat, and what the song was made of.
    """
    # Imported here, because these need the packages that main() has looked for.
    from gpu_worker.separation.preview.render.clip import SAMPLE_RATE, Clip
    from gpu_worker.separation.preview.render.stems import render_stem

    clip = Clip.draw(SONG, DURATION)
    rendered = {source: render_stem(clip, source, take) for source, take in TAKES.items()}
    fade = np.ones((clip.samples, 1), np.float32)
    ending = int(FADE_SECONDS * SAMPLE_RATE)
    fade[-ending:, 0] = np.linspace(1, 0, ending)
    stems = {source: fade * _gain(LEVELS_DB[source]) * stem.audio for source, stem in rendered.items()}
    loudest = float(np.abs(sum(stems.values())).max())
    stems = {source: audio * (_gain(PEAK_DB) / loudest) for source, audio in stems.items()}
    truth = clip.truth() | {
        "song": SONG,
        "takes": TAKES,
        "levelsDb": LEVELS_DB,
        "sounds": {source: stem.sounds for source, stem in rendered.items()},
        "command": COMMAND,
        "licence": "MIT",
    }
    return stems, truth


def _gain(level: float) -> float:
    """The factor of a level in dB."""
    return float(10 ** (level / 20))


def main() -> int:
    """Write the demo where the command line says."""
    parser = argparse.ArgumentParser(prog="python -m gpu_worker.separation.preview.demo", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    arguments = parser.parse_args()
    problem = missing_packages()
    if problem:
        print(problem, file=sys.stderr)
        return 1
    import soundfile

    stems, truth = render_demo()
    arguments.out.mkdir(parents=True, exist_ok=True)
    song = arguments.out / "demo.ogg"
    soundfile.write(song, sum(stems.values()), 44100, format="OGG", subtype="VORBIS")
    (arguments.out / "demo.json").write_text(json.dumps(truth, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
