"""Writes a stem's notes.

`python -m gpu_worker.notation STEM.wav --type Bass --analysis result.json --out DIR`
"""

import argparse
import json
import sys
from pathlib import Path

from gpu_worker.analysis.features import Features
from gpu_worker.analysis.sound import load_sound
from gpu_worker.notation.export import export
from gpu_worker.notation.score import Music, Part
from gpu_worker.notation.transcription import transcribe
from shared.models import StemType


def main() -> int:
    """Write MIDI, MusicXML and JSON of one stem, in the tempo, metre, key and tuning of its song."""
    parser = argparse.ArgumentParser(prog="python -m gpu_worker.notation", description=main.__doc__)
    parser.add_argument("stem", type=Path, metavar="STEM.wav")
    parser.add_argument("--type", type=StemType, required=True, choices=list(StemType))
    parser.add_argument("--analysis", type=Path, required=True, help="what gpu_worker.analysis wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    arguments = parser.parse_args()
    try:
        music = _read_music(arguments.analysis, arguments.type)
        features = Features(load_sound(arguments.stem))
        notes = transcribe(stem=arguments.type, features=features, tuning_cents=music.tuning_cents)
        document = export(part=Part.of(arguments.type, music, notes), folder=arguments.out)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"The stem can't be written down: {error}", file=sys.stderr)
        return 1
    print(f"{len(document['notes'])} notes; " + ", ".join(sorted(p.name for p in arguments.out.iterdir())))
    return 0


def _read_music(path: Path, stem: StemType) -> Music:
    result = json.loads(path.read_text(encoding="utf-8"))
    try:
        values = result["stems"][stem]
    except (TypeError, KeyError):
        raise ValueError(f"{path.name} holds no stems.{stem}") from None
    return Music.from_values(values)


if __name__ == "__main__":
    sys.exit(main())
