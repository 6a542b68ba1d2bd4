"""Play notes with FluidSynth and one of Debian's General MIDI soundfonts."""

import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pretty_midi
import soundfile

from gpu_worker.separation.preview.render.clip import SAMPLE_RATE, Audio, Session
from gpu_worker.separation.preview.render.packages import SOUNDFONTS

PAN_CONTROLLER = 10
# A pitch bend of General MIDI reaches two semitones.
BEND_A_CENT = 8192 / 200


class Note(NamedTuple):
    """A note: MIDI number, onset and end in seconds, MIDI velocity (not yet limited to its range)."""

    pitch: float
    start: float
    end: float
    velocity: float


class Part(NamedTuple):
    """What one instrument plays: a General MIDI program, or a drum kit if `drums`; pan from 0 to 127.

    `cents` detunes the instrument.
    """

    program: int
    notes: Sequence[Note]
    drums: bool = False
    pan: int | None = None
    cents: float = 0.0


def play(
    parts: Iterable[Part], session: Session, package: str | None = None, *, effects: bool = True
) -> Audio:
    """Render parts with reverb and chorus drawn at random, unless `effects` is off; (samples, 2).

    The soundfont is that of the given Debian package, or drawn at random too.
    """
    rng = session.rng
    score = pretty_midi.PrettyMIDI()
    for part in parts:
        score.instruments.append(_instrument(part, session.clip.duration))
    reverb, chorus = int(effects and rng.random() < 0.5), int(effects and rng.random() < 0.4)
    package = package or str(rng.choice(list(SOUNDFONTS)))
    session.use(package)
    with tempfile.TemporaryDirectory() as folder:
        midi, wave = Path(folder, "score.mid"), Path(folder, "audio.wav")
        score.write(str(midi))
        command = ["fluidsynth", "-n", "-i", "-q", "-g", "0.6", "-R", str(reverb), "-C", str(chorus)]
        # Loading only the samples that are played makes short scores start four times sooner.
        command += ["-r", str(SAMPLE_RATE), "-o", "synth.dynamic-sample-loading=1"]
        command += ["-F", str(wave), str(SOUNDFONTS[package]), str(midi)]
        subprocess.run(command, check=True, capture_output=True)
        audio, _ = soundfile.read(wave, dtype="float32", always_2d=True)
    audio = audio[: session.clip.samples]
    return np.pad(audio, ((0, session.clip.samples - len(audio)), (0, 0)))


def _instrument(part: Part, duration: float) -> pretty_midi.Instrument:
    """Convert a part, leaving out what would sound after the clip's end."""
    instrument = pretty_midi.Instrument(part.program, is_drum=part.drums)
    for note in part.notes:
        if note.start < duration - 0.05 and note.end > note.start:
            pitch, velocity = int(np.clip(note.pitch, 0, 127)), int(np.clip(note.velocity, 25, 127))
            instrument.notes.append(pretty_midi.Note(velocity, pitch, float(note.start), float(note.end)))
    if part.pan is not None:
        instrument.control_changes.append(pretty_midi.ControlChange(PAN_CONTROLLER, part.pan, 0.0))
    if part.cents:
        instrument.pitch_bends.append(pretty_midi.PitchBend(round(part.cents * BEND_A_CENT), 0.0))
    return instrument
