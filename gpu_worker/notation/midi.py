"""A part as MIDI: its notes as they were played, on a tempo map whose bars are the song's."""

import math
from pathlib import Path

import mido
import numpy as np
import pretty_midi

from gpu_worker.notation.score import Metre, Music, Part
from shared.models import StemType

TICKS_PER_QUARTER = 480

PROGRAMS = {StemType.DRUMS: 0, StemType.BASS: 33, StemType.VOCALS: 52, StemType.OTHER: 26}
"""General MIDI: electric bass (finger), choir aahs, electric guitar (jazz); drums have their own channel."""

MIDI_SECONDS_PER_BEAT = 0.5
"""MIDI's own tempo, where none is given."""

A_TICK = 0.0005
"""Seconds that are nothing in a file of TICKS_PER_QUARTER."""

BEND_RANGE_CENTS = 200.0
BEND_STEPS = 8192


def write_midi(*, part: Part, path: Path) -> None:
    """Write a part as a MIDI file.

    Times are those of the recording, to a tick; tempo changes at every beat keep bars and beats aligned with
    it. A pitch bend at the start carries a tuning other than 440 Hz. Without beats the file has MIDI's own
    tempo of 120, which says nothing of the song.
    """
    # pretty_midi has no way to set a tempo map but to read one.
    file = pretty_midi.PrettyMIDI(mido_object=_conductor(part.music))
    drums = part.stem is StemType.DRUMS
    instrument = pretty_midi.Instrument(PROGRAMS[part.stem], is_drum=drums, name=part.stem)
    bend = round(part.music.tuning_cents / BEND_RANGE_CENTS * BEND_STEPS)
    if bend and not drums:
        limited = max(-BEND_STEPS, min(BEND_STEPS - 1, bend))
        instrument.pitch_bends.append(pretty_midi.PitchBend(limited, 0.0))
    for note in part.notes:
        instrument.notes.append(pretty_midi.Note(note.velocity, note.pitch, note.onset, note.offset))
    file.instruments.append(instrument)
    file.write(str(path))


def _conductor(music: Music) -> mido.MidiFile:
    """Return a file of tempo, metre and key alone."""
    track = mido.MidiTrack()
    if music.metre and music.has_bars:
        numerator, denominator = music.metre.signature
        track.append(mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator))
    if music.key:
        name = _KEY_NAMES[music.key.mode][music.key.tonic]
        track.append(mido.MetaMessage("key_signature", key=name))
    metre = music.metre if music.metre and music.has_bars else Metre.parse("1/4")
    ticks = int(TICKS_PER_QUARTER * metre.beat_quarters)
    wait = 0
    for seconds, beats in _spans(music, metre):
        tempo = round(1e6 * seconds / (beats * float(metre.beat_quarters)))
        track.append(mido.MetaMessage("set_tempo", tempo=max(1, min(0xFFFFFF, tempo)), time=wait))
        wait = beats * ticks
    return mido.MidiFile(ticks_per_beat=TICKS_PER_QUARTER, tracks=[track])


_KEY_NAMES = {
    "major": ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"),
    "minor": ("Cm", "C#m", "Dm", "D#m", "Em", "Fm", "F#m", "Gm", "G#m", "Am", "Bbm", "Bm"),
}


def _spans(music: Music, metre: Metre) -> list[tuple[float, int]]:
    """Return seconds and beats of each stretch of one tempo: before the first beat, then from beat to beat.

    The first beat comes after as many beats as bring it to its place in the bar at the tempo most like its
    own.
    """
    if len(music.beats) < 2:
        return [(MIDI_SECONDS_PER_BEAT, 1)]
    gaps = np.diff(music.beats)
    spans = [(float(gap), 1) for gap in gaps]
    first = float(music.beats[0])
    if first < A_TICK:
        return spans
    bar, place = (metre.beats, (music.first_position or 1) - 1) if music.has_bars else (1, 0)
    most = math.ceil(first / float(gaps[0])) + bar
    leads = [lead for lead in range(place, most + bar, bar) if lead > 0]
    return [(first, min(leads, key=lambda lead: abs(math.log(first / lead / float(gaps[0]))))), *spans]
