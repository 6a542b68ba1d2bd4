"""The vocals: a sung melody whose pitch is known frame by frame."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from benchmarks.analysis import instruments
from benchmarks.analysis.arrangement import Score
from benchmarks.analysis.melody import phrases
from gpu_worker.separation.preview.render import voice
from gpu_worker.separation.preview.render.clip import SAMPLE_RATE, Audio, Session, stereo
from gpu_worker.separation.preview.render.midi import Note, Part, play

HOP_SECONDS = 0.01
RANGES = [(45, 60), (48, 63), (52, 67), (57, 72), (60, 75)]
CHOIR_RANGE = (60, 76)
CHOIR_LIKELIHOOD = 0.1
# The only one whose choir is even in pitch.
CHOIR_SOUNDFONT = "fluid-soundfont-gm"
GLIDE_FRAMES = 15
FAINT = 0.02
NOTES_A_WORD = 1.6

Pitches = NDArray[np.float64]


@dataclass(frozen=True)
class Sung:
    """The stem with its truth."""

    audio: Audio
    """(samples, 2)."""
    f0: Pitches
    """Hz every HOP_SECONDS, 0 where nothing is sung with a pitch."""
    notes: list[Note]


def perform(score: Score, session: Session) -> Sung:
    """Sing the phrases of all sections that have vocals."""
    rng = session.rng
    is_choir = score.rng("singer").random() < CHOIR_LIKELIHOOD
    pitches = CHOIR_RANGE if is_choir else RANGES[int(score.rng("range").integers(len(RANGES)))]
    sung = [p for s in score.sections if "vocals" in s.layers for p in phrases(score, s, pitches) if p]
    f0 = np.zeros(int(session.clip.duration / HOP_SECONDS) + 1)
    cents = instruments.cents_of(score.outline.a4)
    notes = [note for phrase in sung for note in phrase]
    if is_choir and notes:
        return Sung(_choir(score.outline.a4, session, notes, f0), f0, notes)
    mono = np.zeros(session.clip.samples, np.float32)
    if not notes:
        return Sung(stereo(mono), f0, [])
    singer = _Singer.draw(session)
    for phrase in sung:
        singer.sing(phrase, cents, mono, f0, rng)
    return Sung(stereo(mono), f0, notes)


def _choir(a4: float, session: Session, notes: list[Note], f0: Pitches) -> Audio:
    """A soundfont's "oohs"."""
    program, offset = instruments.draw(CHOIR_SOUNDFONT, "voice", session.rng)
    cents = instruments.cents_of(a4)
    for note in notes:
        frames = slice(*(int(np.ceil(time / HOP_SECONDS)) for time in (note.start, note.end)))
        f0[frames] = _hertz(note.pitch + cents / 100)
    return play([Part(program, notes, cents=cents - offset)], session, CHOIR_SOUNDFONT)


@dataclass(frozen=True)
class _Singer:
    """A speaking voice, and how it sings."""

    speaker: list[str]
    formant_shift: float
    vibrato_hertz: float
    vibrato_semitones: float

    @classmethod
    def draw(cls, session: Session) -> "_Singer":
        rng = session.rng
        speaker = voice.draw_speaker(rng)
        session.use(f"{speaker[0]} {speaker[2]}")
        return cls(speaker, rng.uniform(0.9, 1.15), rng.uniform(4.5, 6.5), rng.uniform(0, 0.35))

    def sing(self, phrase: list[Note], cents: float, mono: Audio, f0: Pitches, rng: Generator) -> None:
        """Add a phrase to the stem, and its pitch to the truth."""
        start = phrase[0].start
        frames = int((phrase[-1].end - start) / voice.FRAME)
        speech = voice.speak(self.speaker, rng, max(2, round(len(phrase) / NOTES_A_WORD)))
        order = speech.stretched(rng)
        order = order[np.linspace(0, len(order) - 1, frames).round().astype(np.intp)]
        pitch = self._pitch(phrase, frames, cents)
        audio = speech.sing(order, pitch, self.formant_shift, rng).astype(np.float32)
        at = int(start * SAMPLE_RATE)
        heard = mono[at : at + len(audio)]
        heard += audio[: len(heard)]
        self._note_truth(audio, np.where(speech.voiced[order], _hertz(pitch), 0.0), start, f0)

    def _pitch(self, phrase: list[Note], frames: int, cents: float) -> Pitches:
        """MIDI pitch of each frame: the notes, with glides between them and vibrato."""
        seconds = np.arange(frames) * voice.FRAME
        starts = np.array([note.start - phrase[0].start for note in phrase])
        steps = np.array([note.pitch for note in phrase])[
            np.searchsorted(starts, seconds + 1e-9, "right") - 1
        ]
        glide = np.hanning(GLIDE_FRAMES + 2)[1:-1]
        smooth = np.convolve(np.pad(steps, GLIDE_FRAMES // 2, "edge"), glide / glide.sum(), "valid")
        vibrato = self.vibrato_semitones * np.sin(2 * np.pi * self.vibrato_hertz * seconds)
        pitch: Pitches = smooth + vibrato + cents / 100
        return pitch

    @staticmethod
    def _note_truth(audio: Audio, hertz: Pitches, start: float, f0: Pitches) -> None:
        """Enter the pitch where the voice is not too faint to be heard."""
        for i in range(int(np.ceil(start / HOP_SECONDS)), len(f0)):
            since = i * HOP_SECONDS - start
            frame = round(since / voice.FRAME)
            if frame >= len(hertz):
                return
            middle = int(since * SAMPLE_RATE)
            level = float(np.sqrt(np.mean(audio[max(0, middle - 500) : middle + 500] ** 2)))
            f0[i] = hertz[frame] if level > FAINT else 0.0


def _hertz(midi: "Pitches | float") -> Pitches:
    return np.asarray(440 * 2 ** ((np.asarray(midi) - 69) / 12))
