"""Songs with known truth: `python -m benchmarks.analysis.songs 0 2` renders some and prints where they lie.

Songs 0 to 63 last some 40 s each. Those of even number (the dev half) may be looked at and tuned on, those of
odd number (the test half) are for the scores alone. Even numbers from 200 on are more of the dev half's kind,
to fit to. `SHORT_SONGS` are three of some 17 s for tests.

A song's folder, `/tmp/analysis-songs/{digest}`, is made once for each state of this generator. It holds
drums.wav, bass.wav, vocals.wav, other.wav and their sum mix.wav (44.1 kHz, stereo, 16 bit), and truth.json:

| name | what |
|---|---|
| number, half, durationSeconds | half is "dev" or "test" |
| traits | what is special: drift, drums, harmony, inversions, modulation, fade, form, sounds |
| bpm | median tempo; beats are tapped beats, in 6/8 dotted quarters |
| tempoCurve | [{time, bpm}] for each beat |
| beats, downbeats | seconds |
| timeSignature | "2/4", "3/4", "4/4" or "6/8" |
| swingRatio | first eighth of a beat to the second, 1 is straight |
| key, keyRegions | "C# major"; [{start, end, key}] |
| tuning | A4 in Hz |
| chords | [{start, end, chord}], Harte: "D:min7", "C:maj/3", "N"; before the first and after the last is N |
| sections | [{start, end, label, function}]; sections of one label are of the same material |
| drums | [{time, drum, velocity}]: kick, snare, hihat_closed, hihat_open, tom or cymbal; 0 to 1 |
| bass, other | [{onset, offset, pitch, velocity}]: MIDI numbers, counted from the song's tuning |
| vocals | {hop: 0.01, f0: [Hz every hop from 0, 0 where there is no pitch], notes: [as bass]} |

A stem that plays nothing is a file of silence, and its list is empty.
"""

import argparse
import functools
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from benchmarks.analysis import bass_part, drum_part, other_part, vocal_part
from benchmarks.analysis.arrangement import Score, compose, truth_of_score
from benchmarks.analysis.outline import SHORT_SONGS, SONGS, Outline, draw
from gpu_worker.separation.preview import render as renderer
from gpu_worker.separation.preview.render.clip import SAMPLE_RATE, Audio, Clip, Session
from gpu_worker.separation.preview.render.effects import produce
from gpu_worker.separation.preview.render.midi import Note
from gpu_worker.separation.preview.render.packages import missing_packages

__all__ = ["SHORT_SONGS", "SONGS", "STEMS", "numbers_of", "read_truth", "song_folder"]

CACHE = Path("/tmp/analysis-songs")
STEMS = ("drums", "bass", "vocals", "other")
TAIL_SECONDS = 1.5
FADE_SECONDS = 5.0
PEAK = 0.9


Truth = dict[str, Any]


def numbers_of(half: str) -> list[int]:
    """The songs of "dev" or "test", in order."""
    return [number for number in range(SONGS) if draw(number).half == half]


def song_folder(number: int) -> Path:
    """The folder of a song, rendered now if it has not been.

    Raises
    ------
    ValueError
        If there is no such song.
    RuntimeError
        If packages that the renderer stands on are missing.
    """
    outline = draw(number)
    folder = CACHE / hashlib.sha256(f"{_generator()} {number}".encode()).hexdigest()[:16]
    if (folder / "truth.json").is_file():
        return folder
    if problem := missing_packages():
        raise RuntimeError(problem)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=f"song-{number}-") as scratch:
        partial = Path(scratch, "song")
        partial.mkdir()
        _render(outline, partial)
        keep_first(partial, folder)
    return folder


def keep_first(made: Path, folder: Path) -> None:
    """Give a folder its final name, unless another process was faster: what it made is the same."""
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def read_truth(folder: Path) -> Truth:
    """The truth in a song's folder."""
    truth: Truth = json.loads((folder / "truth.json").read_text())
    return truth


@functools.cache
def _generator() -> str:
    """A digest of all code that decides how a song sounds."""
    here, there = Path(__file__).parent, Path(renderer.__file__).parent
    files = [here / "intonation.json", *sorted(here.glob("*_part.py")), *sorted(there.glob("*.py"))]
    files += [here / f"{name}.py" for name in ("arrangement", "harmony", "instruments", "melody", "meters")]
    files += [here / f"{name}.py" for name in ("outline", "songs", "timeline")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _render(outline: Outline, folder: Path) -> None:
    score = compose(outline)
    duration = score.timeline.end + TAIL_SECONDS
    clip = Clip(
        duration, score.timeline.bpm, outline.tonic, outline.mode == "minor", (0,), 0.5, outline.lead_in
    )
    sessions = {stem: Session(clip, score.rng("stem", stem)) for stem in STEMS}
    drums, hits = drum_part.perform(score, sessions["drums"])
    bass, bass_notes = bass_part.perform(score, sessions["bass"])
    other, other_notes = other_part.perform(score, sessions["other"])
    sung = vocal_part.perform(score, sessions["vocals"])
    played = {"drums": drums, "bass": bass, "vocals": sung.audio, "other": other}
    truth = {
        "number": outline.number,
        "half": outline.half,
        "durationSeconds": clip.samples / SAMPLE_RATE,
        "traits": _traits(outline, sessions),
        **truth_of_score(score),
        "drums": [
            {"time": hit.time, "drum": drum_part.TRUTH_NAMES[hit.drum], "velocity": hit.velocity}
            for hit in hits
        ],
        "bass": _noted(bass_notes),
        "other": _noted(other_notes),
        "vocals": {
            "hop": vocal_part.HOP_SECONDS,
            "f0": sung.f0.round(3).tolist(),
            "notes": _noted(sung.notes),
        },
    }
    for name, audio in _produce(played, score, sessions).items():
        sf.write(folder / f"{name}.wav", audio, SAMPLE_RATE, subtype="PCM_16")
    (folder / "truth.json").write_text(json.dumps(truth) + "\n")


def _traits(outline: Outline, sessions: dict[str, Session]) -> Truth:
    names = ("drift", "drums", "harmony", "inversions", "modulation", "fade", "form")
    return {name: getattr(outline, name) for name in names} | {
        "sounds": {stem: session.sounds for stem, session in sessions.items()}
    }


def _noted(notes: Iterable[Note]) -> list[dict[str, float]]:
    return [
        {
            "onset": float(note.start),
            "offset": float(note.end),
            "pitch": int(note.pitch),
            "velocity": float(note.velocity),
        }
        for note in notes
    ]


def _produce(played: dict[str, Audio], score: Score, sessions: dict[str, Session]) -> dict[str, Audio]:
    """Effects, levels and fades; the stems and their sum."""
    fade = _fade(score, len(played["drums"]))
    levels = score.rng("levels")
    produced = {}
    for stem, audio in played.items():
        gain = np.float32(10 ** (levels.uniform(-3, 3) / 20))
        produced[stem] = produce(audio, stem, sessions[stem].rng) * gain * fade if audio.any() else audio
    mix = np.sum(list(produced.values()), axis=0)
    factor = np.float32(PEAK / np.abs(mix).max())
    return {stem: audio * factor for stem, audio in produced.items()} | {"mix": mix * factor}


def _fade(score: Score, samples: int) -> Audio:
    """Gain over time, (samples, 1)."""
    seconds = np.arange(samples) / SAMPLE_RATE
    gain = np.ones(samples)
    if score.outline.fade in ("in", "both"):
        gain *= np.clip((seconds - score.outline.lead_in) / FADE_SECONDS + 0.05, 0, 1)
    if score.outline.fade in ("out", "both"):
        gain *= np.clip((score.timeline.end + TAIL_SECONDS - seconds) / (FADE_SECONDS + TAIL_SECONDS), 0, 1)
    return gain[:, None].astype(np.float32)


def main() -> int:
    """Render songs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analysis.songs", description=main.__doc__)
    parser.add_argument(
        "numbers", type=int, nargs="*", help=f"0 to {SONGS - 1} and {SHORT_SONGS}; all without it"
    )
    try:
        for number in parser.parse_args().numbers or [*SHORT_SONGS, *range(SONGS)]:
            print(number, song_folder(number), flush=True)
    except (ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
