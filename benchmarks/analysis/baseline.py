"""What librosa says by itself, in the form of `findings`: the baseline beside the product's scores."""

import time
from typing import Any

import librosa
import numpy as np
import soundfile as sf
import soxr

from benchmarks.analysis.findings import Analysed, Findings, separated_stems
from benchmarks.analysis.songs import song_folder
from shared.keys import PITCH_CLASSES

RATE = 22_050
HOP = 512
# Krumhansl and Kessler (1982).
PROFILES = {
    "major": [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],
    "minor": [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],
}
TRIADS = {"maj": (0, 4, 7), "min": (0, 3, 7)}

Signal = Any


def analyse(number: int, *, separated: bool) -> Analysed:
    """Analyse a song by plain calls of librosa: beats from the mix, harmony from the mix without drums."""
    folder = song_folder(number)
    stems = separated_stems(folder) if separated else folder
    mix, drums, bass = (_load(path) for path in (folder / "mix.wav", stems / "drums.wav", stems / "bass.wav"))
    started = time.monotonic()
    pitched = mix - drums
    tempo, frames = librosa.beat.beat_track(y=mix, sr=RATE, hop_length=HOP)
    beats = librosa.frames_to_time(frames, sr=RATE, hop_length=HOP)
    chroma = librosa.feature.chroma_cqt(y=pitched, sr=RATE, hop_length=HOP)
    found: Findings = dict.fromkeys(
        ("timeSignature", "swingRatio", "keyRegions", "sections", "other", "melody")
    )
    found |= {
        "bpm": float(np.atleast_1d(tempo)[0]) or None,
        "beats": [{"time": float(beat)} for beat in beats],
        "key": _key(chroma.mean(axis=1)),
        "tuning": float(440 * 2 ** (librosa.estimate_tuning(y=pitched, sr=RATE) / 12)),
        "chordProgression": _chords(chroma, frames),
        "drums": [{"onset": float(at), "drum": None} for at in _onsets(drums)],
        "bass": [{"onset": float(at), "offset": float(at) + 0.1, "pitch": 0} for at in _onsets(bass)],
    }
    return Analysed(found, time.monotonic() - started)


def _load(path: Any) -> Signal:
    audio, rate = sf.read(path, dtype="float32")
    return soxr.resample(audio.mean(axis=1), rate, RATE)


def _onsets(sound: Signal) -> Signal:
    return librosa.onset.onset_detect(y=sound, sr=RATE, hop_length=HOP, units="time")


def _key(chroma: Signal) -> str:
    scores = {
        f"{PITCH_CLASSES[tonic]} {mode}": np.corrcoef(chroma, np.roll(profile, tonic))[0, 1]
        for mode, profile in PROFILES.items()
        for tonic in range(12)
    }
    return max(scores, key=lambda key: scores[key])


def _chords(chroma: Signal, frames: Signal) -> list[dict[str, Any]]:
    """The best triad of each beat."""
    names, templates = [], []
    for quality, tones in TRIADS.items():
        for root in range(12):
            names.append(f"{PITCH_CLASSES[root]}:{quality}")
            template = np.zeros(12)
            template[[(root + tone) % 12 for tone in tones]] = 1
            templates.append(template)
    edges = np.unique([0, *frames, chroma.shape[1]])
    times = librosa.frames_to_time(edges, sr=RATE, hop_length=HOP)
    spans = []
    for first, last, start, end in zip(edges, edges[1:], times, times[1:], strict=False):
        scores = np.array(templates) @ np.median(chroma[:, first:last], axis=1)
        spans.append({"start": float(start), "end": float(end), "chord": names[int(scores.argmax())]})
    return spans
