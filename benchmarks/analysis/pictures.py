"""Pictures for a human's check: what the analysis found, drawn over the spectrogram, beside the truth."""

from pathlib import Path
from typing import Any

import librosa
import matplotlib as mpl
import numpy as np
import soundfile as sf
import soxr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.analysis.findings import Findings, analyse
from benchmarks.analysis.songs import read_truth, song_folder

RESULTS = Path(__file__).parents[1] / "results"
PICTURED = (2, 4, 10, 18, 38)
"""Of the dev half, one or more of each meter."""
RATE, HOP = 22_050, 512
LOWEST, OCTAVES = 24, 7
INCHES, DOTS = (24, 13), 80
DRUM_ROWS = ("kick", "snare", "tom", "hihat_closed", "hihat_open", "cymbal")
SECTION_COLOURS = mpl.colormaps["Pastel1"]
TRUE_COLOUR, FOUND_COLOUR = "black", "tab:red"


def draw_pictures() -> list[Path]:
    """Write benchmarks/results/analysis-song-N.png for five songs, analysed from their true stems."""
    RESULTS.mkdir(exist_ok=True)
    return [_draw(number, RESULTS / f"analysis-song-{number}.png") for number in PICTURED]


def _draw(number: int, path: Path) -> Path:
    folder = song_folder(number)
    truth, found = read_truth(folder), analyse(number, separated=False).found
    figure = Figure(INCHES, dpi=DOTS, layout="constrained")
    labels, spectrogram, drums = figure.subplots(3, 1, sharex=True, height_ratios=[1.6, 8, 2])
    labels.set_title(_title(truth, found), loc="left", family="monospace")
    _draw_labels(labels, truth, found)
    _draw_spectrogram(spectrogram, folder / "mix.wav")
    _draw_beats(spectrogram, truth, found)
    _draw_notes(spectrogram, truth, found)
    _draw_drums(drums, truth, found)
    drums.set_xlim(0, truth["durationSeconds"])
    drums.set_xlabel("seconds")
    figure.savefig(path)
    return path


def _title(truth: dict[str, Any], found: Findings) -> str:
    """Truth and findings of the song as a whole, in two lines."""
    lines = []
    for name, values in (("truth", truth), ("found", found)):
        bpm, tuning, swing = values["bpm"], values["tuning"], values["swingRatio"]
        parts = [bpm and f"{bpm:.1f} bpm", values["timeSignature"], values["key"]]
        parts += [tuning and f"A4 {tuning:.1f} Hz", swing and f"swing {swing:.2f}"]
        lines.append(f"song {truth['number']} {name}: " + ", ".join(str(part or "null") for part in parts))
    return "\n".join(lines)


def _draw_labels(axes: Axes, truth: dict[str, Any], found: Findings) -> None:
    """Sections and chords in four rows: truth above what was found."""
    rows = [
        ("sections", truth["sections"], "label"),
        ("found", found["sections"] or [], "label"),
        ("chords", truth["chords"], "chord"),
        ("found", found["chordProgression"] or [], "chord"),
    ]
    for row, (_, spans, key) in enumerate(rows):
        names = sorted({span[key] for span in spans})
        for span in spans:
            colour = SECTION_COLOURS(names.index(span[key]) % SECTION_COLOURS.N)
            width = span["end"] - span["start"]
            axes.barh(row, width, 0.9, span["start"], color=colour, edgecolor="grey", linewidth=0.5)
            axes.text(
                span["start"] + width / 2, row, span[key], ha="center", va="center", size=8, clip_on=True
            )
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)


def _draw_spectrogram(axes: Axes, mix: Path) -> None:
    audio, rate = sf.read(mix, dtype="float32")
    sound = soxr.resample(audio.mean(axis=1), rate, RATE)
    fmin = librosa.midi_to_hz(LOWEST)
    power = np.abs(librosa.cqt(sound, sr=RATE, hop_length=HOP, fmin=fmin, n_bins=12 * OCTAVES))
    extent = (0, len(sound) / RATE, LOWEST - 0.5, LOWEST + 12 * OCTAVES - 0.5)
    decibels = librosa.amplitude_to_db(power, ref=np.max)
    axes.imshow(decibels, origin="lower", aspect="auto", extent=extent, cmap="Greys", vmin=-60, vmax=0)
    octaves = range(LOWEST, LOWEST + 12 * OCTAVES, 12)
    axes.set_yticks(list(octaves), [f"C{midi // 12 - 1}" for midi in octaves])


def _draw_beats(axes: Axes, truth: dict[str, Any], found: Findings) -> None:
    """True beats as ticks at the bottom, found ones as lines, thick where a bar begins."""
    foot = LOWEST + 2
    axes.vlines(truth["beats"], LOWEST, foot, TRUE_COLOUR, linewidth=1)
    axes.vlines(truth["downbeats"], LOWEST, foot + 2, TRUE_COLOUR, linewidth=3)
    for beat in found["beats"] or []:
        is_first = beat.get("position") == 1
        axes.axvline(beat["time"], color=FOUND_COLOUR, linewidth=1.6 if is_first else 0.6, alpha=0.6)


def _draw_notes(axes: Axes, truth: dict[str, Any], found: Findings) -> None:
    """True notes as thick pale lines, found ones as thin ones over them."""
    layers = {"bass": "tab:blue", "other": "tab:green"}
    for name, colour in layers.items():
        for notes, width, alpha in ((truth[name], 5.0, 0.3), (found[name] or [], 1.6, 1.0)):
            ends = [[note[edge] for note in notes] for edge in ("pitch", "onset", "offset")]
            axes.hlines(*ends, colour, linewidth=width, alpha=alpha)
    hop, f0 = truth["vocals"]["hop"], np.array(truth["vocals"]["f0"])
    _draw_melody(axes, np.arange(len(f0)) * hop, f0, truth["tuning"], linewidth=5.0, alpha=0.3)
    if found["melody"] is not None:
        _draw_melody(axes, *found["melody"], found["tuning"] or 440.0, linewidth=1.6)


def _draw_melody(axes: Axes, times: Any, hertz: Any, a4: float, **style: float) -> None:
    with np.errstate(divide="ignore"):
        midi = np.where(hertz > 0, 69 + 12 * np.log2(hertz / a4), np.nan)
    axes.plot(times, midi, color="tab:orange", **style)


def _draw_drums(axes: Axes, truth: dict[str, Any], found: Findings) -> None:
    """True strokes as upper half lines, found ones as lower ones."""
    for row, drum in enumerate(DRUM_ROWS):
        played = [hit["time"] for hit in truth["drums"] if hit["drum"] == drum]
        heard = [hit["onset"] for hit in found["drums"] or [] if hit["drum"] == drum]
        axes.vlines(played, row, row + 0.4, TRUE_COLOUR, linewidth=1.5)
        axes.vlines(heard, row - 0.4, row, FOUND_COLOUR, linewidth=1.5)
    axes.set_yticks(range(len(DRUM_ROWS)), DRUM_ROWS)
    axes.set_ylim(-0.6, len(DRUM_ROWS) - 0.4)
