"""Write a checkpoint's averaged weights as the file that the worker loads."""

import argparse
import sys
from pathlib import Path
from typing import cast

from gpu_worker.separation.preview.network import MaskNet, save
from gpu_worker.separation.preview.train import Training


def main() -> int:
    """Export as the command line asks."""
    parser = argparse.ArgumentParser(
        prog="python -m gpu_worker.separation.preview.export", description=__doc__
    )
    parser.add_argument("checkpoint", type=Path, help="what the trainer wrote")
    parser.add_argument("out", type=Path, help="safetensors file to write")
    arguments = parser.parse_args()
    if not arguments.checkpoint.is_file():
        print(f"There is no checkpoint at {arguments.checkpoint}.", file=sys.stderr)
        return 1
    training = Training(MaskNet())
    training.restore(arguments.checkpoint)
    save(cast(MaskNet, training.average.module), arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
