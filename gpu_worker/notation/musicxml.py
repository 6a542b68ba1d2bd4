"""A part as MusicXML: bars, key, metre and tempo of the song; drums on a percussion staff; tablature."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

from music21 import (
    base,
    chord,
    clef,
    duration,
    instrument,
    key,
    metadata,
    meter,
    note,
    percussion,
    pitch,
    stream,
    tempo,
    tie,
)
from music21.musicxml.m21ToXml import GeneralObjectExporter

from gpu_worker.notation.score import DRUM_PITCHES, Chord, Metre, Part, write_voice
from gpu_worker.notation.tablature import Place
from shared.keys import MusicalKey
from shared.models import StemType

DRUM_STAFF = {
    "kick": ("F4", "normal"),
    "snare": ("C5", "normal"),
    "hihat_closed": ("G5", "x"),
    "hihat_open": ("G5", "circle-x"),
    "tom": ("D5", "normal"),
    "cymbal": ("A5", "x"),
    "percussion": ("E5", "triangle"),
}
"""Line and notehead of each drum (Weinberg 1998)."""

SHARPS = "FCGDAEB"
"""Letters in order of fifths."""

Written = note.GeneralNote


@dataclass(frozen=True)
class _Piece:
    """A stretch of one bar: a chord or part of one, or a rest."""

    start: Fraction
    length: Fraction
    chord: Chord | None
    is_first: bool
    is_last: bool


def write_musicxml(*, part: Part, path: Path) -> None:
    """Write a part as MusicXML 4.0.

    Parameters
    ----------
    part : Part
        Of a song with bars.
    path : Path
        Where to.

    Raises
    ------
    ValueError
        If the song has no bars.
    """
    metre = part.music.metre
    chords = write_voice(part)
    assert metre is not None, "a voice is written in bars"
    staff = stream.Part(id=part.stem.lower())
    staff.partName = part.stem
    for number, pieces in enumerate(_bars(chords, metre), start=1):
        bar = stream.Measure(number=number)
        if number == 1:
            for sign in _signs(part, metre):
                bar.insert(0, sign)
        for piece in pieces:
            bar.insert(float(piece.start), _written(part, piece))
        staff.append(bar)
    score = stream.Score()
    score.metadata = metadata.Metadata(title=part.stem)
    score.insert(0, staff)
    root = ElementTree.fromstring(GeneralObjectExporter(score).parse())  # noqa: S314 (music21's own)
    _add_tablature(root, [part.places[number] for each in chords for number in each.notes])
    path.write_bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _add_tablature(root: ElementTree.Element, places: Sequence[Place | None]) -> None:
    """Add string and fret to every note that is not the rest of a tied one.

    music21 itself writes those of a chord's first note alone.
    """
    struck = [
        written
        for written in root.iter("note")
        if written.find("rest") is None and written.find("tie[@type='stop']") is None
    ]
    for written, place in zip(struck, places, strict=True):
        if place is None:
            continue
        notations = written.find("notations")
        if notations is None:
            notations = ElementTree.SubElement(written, "notations")
        technical = ElementTree.SubElement(notations, "technical")
        ElementTree.SubElement(technical, "string").text = str(place.string)
        ElementTree.SubElement(technical, "fret").text = str(place.fret)


def _bars(chords: list[Chord], metre: Metre) -> Iterator[list[_Piece]]:
    """Fill bars with chords and rests, cut so that beats show; starts are within the bar."""
    size = metre.bar_quarters
    pieces: list[_Piece] = []
    end = Fraction(0)
    for each in chords:
        pieces += _cut(end, each.start, None, metre)
        pieces += _cut(each.start, each.start + each.length, each, metre)
        end = each.start + each.length
    pieces += _cut(end, size * max(1, math.ceil(end / size)), None, metre)
    for number, bar in itertools.groupby(pieces, key=lambda piece: piece.start // size):
        yield [
            _Piece(piece.start - number * size, piece.length, piece.chord, piece.is_first, piece.is_last)
            for piece in bar
        ]


def _cut(start: Fraction, end: Fraction, content: Chord | None, metre: Metre) -> list[_Piece]:
    """Cut a stretch at bar lines and, where it is off the beat, at the next beat."""
    pieces = []
    position = start
    while position < end:
        bar_line = (position // metre.bar_quarters + 1) * metre.bar_quarters
        whole_beats = (min(end, bar_line) - position) // metre.beat_quarters
        if position % metre.beat_quarters == 0 and whole_beats:
            stop = position + whole_beats * metre.beat_quarters
        else:
            stop = min(end, (position // metre.beat_quarters + 1) * metre.beat_quarters)
        pieces.append(_Piece(position, stop - position, content, position == start, stop == end))
        position = stop
    return pieces


def _signs(part: Part, metre: Metre) -> Iterator[base.Music21Object]:
    music = part.music
    match part.stem:
        case StemType.DRUMS:
            yield from (instrument.UnpitchedPercussion(), clef.PercussionClef())
        case StemType.BASS:
            yield from (instrument.ElectricBass(), clef.Bass8vbClef())
        case StemType.VOCALS:
            yield from (instrument.Vocalist(), clef.TrebleClef())
        case StemType.OTHER:
            yield from (instrument.ElectricGuitar(), clef.Treble8vbClef())
    if music.key and part.stem is not StemType.DRUMS:
        yield key.KeySignature(_fifths(music.key))
    yield meter.TimeSignature("/".join(str(number) for number in metre.signature))
    if music.bpm:
        beat = duration.Duration(metre.beat_quarters)
        yield tempo.MetronomeMark(number=round(music.bpm), referent=beat)


def _written(part: Part, piece: _Piece) -> Written:
    """Make music21's object of a piece, tied to the rest of its chord."""
    written: Written
    if piece.chord is None:
        written = note.Rest()
    elif part.stem is StemType.DRUMS:
        strokes = [_stroke(part.notes[each].pitch) for each in piece.chord.notes]
        written = strokes[0] if len(strokes) == 1 else percussion.PercussionChord(strokes)
    else:
        notes = [_note(part, each) for each in piece.chord.notes]
        for each in notes:
            each.tie = _tie(piece)
        written = notes[0] if len(notes) == 1 else chord.Chord(notes)
    written.quarterLength = piece.length
    return written


def _note(part: Part, number: int) -> note.Note:
    written = note.Note(_spelt(part.notes[number].pitch, part.music.key))
    written.volume.velocity = part.notes[number].velocity
    return written


def _stroke(drum_pitch: int) -> note.Unpitched:
    line, head = DRUM_STAFF[_DRUMS[drum_pitch]]
    written = note.Unpitched(displayName=line)
    written.notehead = head
    return written


_DRUMS = {number: drum for drum, number in DRUM_PITCHES.items()}


def _tie(piece: _Piece) -> tie.Tie | None:
    if piece.is_first and piece.is_last:
        return None
    return tie.Tie("start" if piece.is_first else "stop" if piece.is_last else "continue")


def _fifths(of: MusicalKey) -> int:
    """Sharps of a key signature, -5 to 6."""
    major = of.tonic if of.mode == "major" else of.tonic + 3
    return (7 * major + 5) % 12 - 5


def _spelt(number: int, of: MusicalKey | None) -> pitch.Pitch:
    """Spell a MIDI number: by the twelve fifths around the key, with a minor key's raised leading tone."""
    lowest = (_fifths(of) if of else 0) - (3 if of and of.mode == "minor" else 4)
    fifth = (7 * number - lowest) % 12 + lowest
    octaves, letter = divmod(fifth + 1, 7)
    written = pitch.Pitch(SHARPS[letter])
    written.accidental = pitch.Accidental(octaves) if octaves else None
    written.octave = (number - octaves) // 12 - 1
    return written
