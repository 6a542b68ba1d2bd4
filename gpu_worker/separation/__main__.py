"""Separates one file: `python -m gpu_worker.separation IN OUTDIR`."""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from gpu_worker.decoding import decode
from gpu_worker.errors import ModelUnavailableError, UnsuitableAudioError
from gpu_worker.separation.engine import separate
from gpu_worker.separation.models import DEFAULT_MODEL, load_model


def main() -> int:
    """Write drums.wav, bass.wav, other.wav and vocals.wav."""
    parser = argparse.ArgumentParser(prog="python -m gpu_worker.separation", description=main.__doc__)
    parser.add_argument("song", type=Path, metavar="IN")
    parser.add_argument("folder", type=Path, metavar="OUTDIR")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="htdemucs (default), preview, auto, ...")
    parser.add_argument("--repo", type=Path, help="folder of weights")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or mps")
    parser.add_argument("--max-minutes", type=float, default=60.0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            mix = Path(scratch) / "mix.wav"
            decode(arguments.song, mix, max_minutes=arguments.max_minutes)
            model = load_model(arguments.model, repo=arguments.repo, device=arguments.device)
            separate(model, mix, arguments.folder)
    except (UnsuitableAudioError, ModelUnavailableError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
