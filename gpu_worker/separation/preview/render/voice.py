"""One singing voice: synthetic speech, taken apart by WORLD and put together again on a melody."""

import subprocess
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfilt

from gpu_worker.separation.preview.render.clip import SAMPLE_RATE, Audio, Session

with warnings.catch_warnings():
    # Its import of pkg_resources is outdated; requirements.txt pins a setuptools that has it.
    warnings.simplefilter("ignore", UserWarning)
    import pyworld

# WORLD's frames, in seconds.
FRAME = 0.005
LYRICS = """
love time night day light heart you me we run away again never always feel the rain sun fire down up home road
dream sky blue hold on let go baby tonight world change river moving slow dancing over under stars calling my
name stay with me falling shine believe remember summer winter silence golden
"""
ESPEAK_LANGUAGES = ["en", "en-us", "es", "fr", "de", "it", "pt", "sv", "en-gb-x-rp", "en-gb-scotland"]
ESPEAK_VARIANTS = ["f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7"]
FLITE_VOICES = ["awb", "rms", "slt"]
MELODY_DEGREES = 9

Signal = NDArray[np.float64]


def sing(session: Session, lowest: int) -> Audio:
    """Sing phrases, with rests between them, until the song ends.

    Parameters
    ----------
    session : Session
        The song and the random numbers.
    lowest : int
        MIDI number at the bottom of the voice's range; the melody spans a good octave above.

    Returns
    -------
    ndarray
        (samples,), each phrase's peak at 1.

    Notes
    -----
    Speech is analysed by WORLD (Morise et al. 2016, IEICE Trans. E99-D): the pitch is replaced by the melody
    with vibrato, vowels are stretched more than consonants, and the spectral envelope is shifted as if by a
    longer or shorter vocal tract. Speech synthesisers stop at 8 or 11 kHz: breath noise is added above.
    """
    clip, rng = session.clip, session.rng
    mono = np.zeros(clip.samples + SAMPLE_RATE, np.float32)
    time = clip.next_beat(rng.uniform(0, 2))
    speaker = draw_speaker(rng)
    session.use(f"{speaker[0]} {speaker[2]}")
    formant_shift = rng.uniform(0.9, 1.15)
    vibrato_hertz, vibrato_semitones = rng.uniform(4.5, 6.5), rng.uniform(0, 0.45)
    while time < clip.duration - 1:
        speech = speak(speaker, rng, int(rng.integers(3, 7)))
        frames = speech.stretched(rng)
        seconds = np.arange(len(frames)) * FRAME
        vibrato = vibrato_semitones * np.sin(2 * np.pi * vibrato_hertz * seconds)
        melody = _melody(len(frames), session, lowest) + vibrato + rng.normal(0, 0.04)
        phrase = speech.sing(frames, melody, formant_shift, rng)
        at = int(time * SAMPLE_RATE)
        heard = mono[at : at + len(phrase)]
        heard += phrase[: len(heard)].astype(np.float32)
        rest = rng.choice([0.1, 0.4, 1, 2]) * clip.beat
        time = clip.next_beat(time + len(phrase) / SAMPLE_RATE + rest)
    return mono[: clip.samples]


def draw_speaker(rng: Generator) -> list[str]:
    """Draw a voice: the command that speaks with it, without the text and the file to write."""
    if rng.random() < 0.75:
        voice = f"{rng.choice(ESPEAK_LANGUAGES)}+{rng.choice(ESPEAK_VARIANTS)}"
        return ["espeak-ng", "-v", voice, "-s", str(rng.integers(110, 170)), "-p", str(rng.integers(30, 70))]
    return ["flite", "-voice", str(rng.choice(FLITE_VOICES))]


def speak(speaker: list[str], rng: Generator, words: int) -> "Speech":
    """Speak random words."""
    text = " ".join(rng.choice(LYRICS.split(), words))
    with tempfile.TemporaryDirectory() as folder:
        wave = str(Path(folder, "speech.wav"))
        output = ["-w", wave, text] if speaker[0] == "espeak-ng" else ["-o", wave, "-t", text]
        subprocess.run([*speaker, *output], check=True, capture_output=True)
        return Speech.analyse(*soundfile.read(wave, dtype="float64"))


@dataclass(frozen=True)
class Speech:
    """Speech as WORLD takes it apart, in frames of FRAME seconds."""

    rate: int
    voiced: NDArray[np.bool_]
    envelope: Signal
    aperiodicity: Signal

    @classmethod
    def analyse(cls, speech: Signal, rate: int) -> "Speech":
        """Take speech apart."""
        f0, times = pyworld.dio(speech, rate, frame_period=1000 * FRAME)
        f0 = pyworld.stonemask(speech, f0, times, rate)
        envelope = pyworld.cheaptrick(speech, f0, times, rate)
        return cls(rate, f0 > 0, envelope, pyworld.d4c(speech, f0, times, rate))

    def stretched(self, rng: Generator) -> NDArray[np.intp]:
        """Frames in the order in which they are sung: slowly where voiced, else hardly changed."""
        speed = np.where(self.voiced, rng.uniform(0.35, 0.8), rng.uniform(0.9, 1.2))
        speed = np.convolve(speed, np.ones(5) / 5, "same")
        positions = []
        position = 0.0
        while position < len(self.voiced) - 1:
            positions.append(position)
            position += max(0.2, speed[int(position)])
        return np.array(positions).round().astype(np.intp)

    def sing(self, frames: NDArray[np.intp], melody: Signal, formant_shift: float, rng: Generator) -> Signal:
        """Put frames together again, on a melody of one MIDI pitch a frame; (samples,), its peak at 1."""
        sung = pyworld.synthesize(
            np.where(self.voiced[frames], 440 * 2 ** ((melody - 69) / 12), 0.0),
            _shift_formants(self.envelope[frames], formant_shift),
            np.ascontiguousarray(self.aperiodicity[frames]),
            self.rate,
            1000 * FRAME,
        )
        return _with_breath(resample_poly(sung, SAMPLE_RATE, self.rate), self.rate, rng)


def _melody(frames: int, session: Session, lowest: int) -> Signal:
    """MIDI pitch of each frame: notes of half a beat to two, mostly in steps, with short glides between."""
    clip, rng = session.clip, session.rng
    melody = np.zeros(frames)
    degree = int(rng.integers(0, MELODY_DEGREES))
    at = 0
    while at < frames:
        length = int(clip.beat * rng.choice([0.5, 1, 1, 2]) / FRAME)
        melody[at : at + length] = clip.pitch(degree, lowest)
        at += length
        degree = int(np.clip(degree + rng.choice([-4, -2, -1, -1, 0, 1, 1, 2, 4]), 0, MELODY_DEGREES - 1))
    glide = np.hanning(15) / np.hanning(15).sum()
    return np.convolve(np.pad(melody, 12, "edge"), glide, "same")[12:-12]


def _shift_formants(envelope: Signal, shift: float) -> Signal:
    """Stretch each frame's spectral envelope along the frequency axis."""
    bins = np.arange(envelope.shape[1])
    return np.stack([np.interp(bins / shift, bins, frame) for frame in envelope])


def _with_breath(sung: Signal, speech_rate: int, rng: Generator) -> Signal:
    """Add noise above the band of the speech, as loud as what lies just below; the peak is set to 1."""
    noise = rng.standard_normal(len(sung))
    high = sosfilt(butter(4, speech_rate * 0.42, "high", fs=SAMPLE_RATE, output="sos"), noise)
    edges = [speech_rate * 0.25, speech_rate * 0.45]
    below = np.abs(sosfilt(butter(2, edges, "band", fs=SAMPLE_RATE, output="sos"), sung))
    loudness = sosfilt(butter(1, 40, fs=SAMPLE_RATE, output="sos"), below)
    voice: Signal = sung + high * loudness * rng.uniform(0.4, 1.2)
    return voice / max(1e-3, float(np.abs(voice).max()))
