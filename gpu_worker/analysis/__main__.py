"""Analyses a song's stems: `python -m gpu_worker.analysis --stems DIR --out result.json`."""

import argparse
import json
import sys
from pathlib import Path

import soundfile as sf

from gpu_worker.analysis.song import analyse_song
from gpu_worker.analysis.tracked_beats import BeatTracker
from gpu_worker.errors import ModelUnavailableError
from shared.models import StemType


def main() -> int:
    """Write {song: {...}, stems: {Drums: {...}, ...}} with the wire names of the records."""
    parser = argparse.ArgumentParser(prog="python -m gpu_worker.analysis", description=main.__doc__)
    parser.add_argument("--mix", type=Path, help="the song; this version analyses its stems alone")
    parser.add_argument("--stems", type=Path, required=True, help="folder of drums.wav, bass.wav, ...")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jams", type=Path, help="write the result as JAMS, too")
    parser.add_argument("--beat-model", help="find beats by weights of Beat This, such as final0")
    arguments = parser.parse_args()
    paths = {stem: arguments.stems / f"{stem.lower()}.wav" for stem in StemType}
    missing = [str(path) for path in paths.values() if not path.is_file()]
    if missing:
        print(f"No such file: {', '.join(missing)}", file=sys.stderr)
        return 1
    try:
        result = analyse_song(paths, beat_tracker=_beat_tracker(arguments.beat_model))
    except (ModelUnavailableError, ValueError, OSError, RuntimeError) as error:
        print(f"The stems can't be analysed: {error}", file=sys.stderr)
        return 1
    text = json.dumps({"song": result.song, "stems": result.stems}, indent=2, ensure_ascii=False)
    arguments.out.write_text(text + "\n", encoding="utf-8")
    if arguments.jams:
        # Here, since it takes seconds to import pandas.
        from gpu_worker.analysis.jams_export import to_jams

        title = arguments.mix.stem if arguments.mix else ""
        duration = sf.info(paths[StemType.DRUMS]).duration
        file = to_jams(result=result, duration=duration, title=title)
        arguments.jams.write_text(file.dumps(indent=1) + "\n", encoding="utf-8")
    return 0


def _beat_tracker(name: str | None) -> BeatTracker | None:
    if not name:
        return None
    # Here, since it imports torch.
    from gpu_worker.analysis.beat_model import load_beat_model

    model = load_beat_model(name)
    if model is None:
        raise ModelUnavailableError(f"no weights {name} of Beat This in PyTorch's cache")
    return model


if __name__ == "__main__":
    sys.exit(main())
