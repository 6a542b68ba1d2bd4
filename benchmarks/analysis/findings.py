"""What an analysis says of a song, in the one form that the measures take.

`Findings` have the names bpm, key, timeSignature, tuning, swingRatio, keyRegions, beats, chordProgression and
sections as on the wire; drums, bass and other are the notes of those stems; melody is the vocals' pitch:
times and Hz. None is what was not found.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.analysis.songs import STEMS, keep_first, song_folder
from gpu_worker.analysis.song import SongAnalysis, analyse_song
from shared.models import StemType

TYPES = {"drums": StemType.DRUMS, "bass": StemType.BASS, "vocals": StemType.VOCALS, "other": StemType.OTHER}
HOP_SECONDS = 0.01
SEPARATION_MODEL = "preview"

Findings = dict[str, Any]


@dataclass(frozen=True)
class Analysed:
    """Findings, and the seconds they took."""

    found: Findings
    seconds: float


def analyse(number: int, *, separated: bool) -> Analysed:
    """Analyse a song by the product, from its true stems or from those that the preview model separates."""
    folder = song_folder(number)
    stems = separated_stems(folder) if separated else folder
    started = time.monotonic()
    result = analyse_song({TYPES[stem]: stems / f"{stem}.wav" for stem in STEMS})
    return Analysed(findings(result), time.monotonic() - started)


def separated_stems(folder: Path) -> Path:
    """The folder of a song's separated stems; they are made once for each state of the weights."""
    # Imported here, since true stems need no torch.
    from gpu_worker.separation.engine import separate
    from gpu_worker.separation.models import load_model

    model = load_model(SEPARATION_MODEL, device="cpu")
    made = folder / model.label
    if not made.is_dir():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            separate(model, folder / "mix.wav", Path(scratch) / "stems")
            keep_first(Path(scratch) / "stems", made)
    return made


def findings(result: SongAnalysis) -> Findings:
    """Read a result of the product off its wire form."""
    stems = {stem: result.stems[kind] for stem, kind in TYPES.items()}
    notation = {stem: values.get("notationData") for stem, values in stems.items()}
    shared = _anything(
        list(stems.values()), ("beats", "chordProgression", "sections", "keyRegions", "swingRatio")
    )
    song = {name: result.song.get(name) for name in ("bpm", "key", "timeSignature", "tuning")}
    for name in ("keyRegions", "swingRatio"):
        shared[name] = result.song.get(name) or shared[name]
    notes = {stem: notation[stem] and notation[stem].get("notes") for stem in ("drums", "bass", "other")}
    return song | shared | notes | {"melody": _melody(notation["vocals"], song["tuning"])}


def _anything(stems: list[dict[str, Any]], names: tuple[str, ...]) -> Findings:
    """What belongs to the song and stands in each of its sounding stems."""
    return {name: next((stem[name] for stem in stems if stem.get(name) is not None), None) for name in names}


def _melody(notation: "dict[str, Any] | None", a4: float | None) -> "tuple[np.ndarray, np.ndarray] | None":
    """The pitch of the vocals' notes: held through each note."""
    if notation is None:
        return None
    notes = notation["notes"]
    times = np.arange(0, max((note["offset"] for note in notes), default=0) + HOP_SECONDS, HOP_SECONDS)
    hertz = np.zeros(len(times))
    for note in notes:
        held = (times >= note["onset"]) & (times < note["offset"])
        hertz[held] = (a4 or 440) * 2 ** ((note["pitch"] - 69) / 12)
    return times, hertz
