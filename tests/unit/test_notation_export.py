"""Files of notation, read back by other libraries (mido, musicxml) than wrote them."""

import itertools
import json
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import mido
import numpy as np
import pytest
import soundfile as sf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from musicxml.parser.parser import parse_musicxml

from gpu_worker.notation.export import export
from gpu_worker.notation.notes import Note
from gpu_worker.notation.score import DRUM_PITCHES, Metre, Music, Part
from shared.keys import MusicalKey
from shared.models import StemType

STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def music(
    signature: str = "4/4",
    *,
    beats: np.ndarray | None = None,
    first_position: int = 1,
    key: str = "E minor",
    a4: float = 440,
) -> Music:
    times = 0.5 + np.arange(33) / 2 if beats is None else beats
    return Music(
        beats=times.tolist(),
        first_position=first_position,
        metre=Metre.parse(signature),
        key=MusicalKey.parse(key),
        bpm=120,
        tuning=a4,
    )


def played(song: Music, line: list[tuple[float, float, int]], late: float = 0.0) -> list[Note]:
    """Notes of (beat, beats, pitch) in the song's tempo, all a little late."""
    grid = np.arange(len(song.beats))
    return [
        Note(
            onset=float(np.interp(beat, grid, song.beats)) + late,
            offset=float(np.interp(beat + beats, grid, song.beats)) + late,
            pitch=pitch,
            velocity=100,
            confidence=0.9,
        )
        for beat, beats, pitch in line
    ]


def midi_notes(path: Path) -> list[tuple[float, float, int]]:
    """Onset and offset in seconds, and pitch."""
    sounding: dict[int, float] = {}
    found, now = [], 0.0
    for message in mido.MidiFile(path):
        now += message.time
        if message.type == "note_on" and message.velocity:
            sounding[message.note] = now
        elif message.type in ("note_on", "note_off"):
            found.append((sounding.pop(message.note), now, message.note))
    assert not sounding
    return sorted(found)


def written(path: Path) -> tuple[ElementTree.Element, list[list[tuple[Fraction, Fraction, int | None]]]]:
    """The file, and of each bar the notes as start and length in quarters, and pitch (None: unpitched).

    `musicxml` checks it against the standard's schema as it reads.
    """
    parse_musicxml(path)
    root = ElementTree.parse(path).getroot()
    divisions = int(root.findtext(".//divisions"))
    bars = []
    for measure in root.iter("measure"):
        now, notes = Fraction(0), []
        for note in measure.iter("note"):
            length = Fraction(int(note.findtext("duration")), divisions)
            start = notes[-1][0] if note.find("chord") is not None else now
            if note.find("pitch") is not None:
                pitch = note.find("pitch")
                alter = int(pitch.findtext("alter") or 0)
                number = 12 * (int(pitch.findtext("octave")) + 1) + STEPS[pitch.findtext("step")] + alter
                notes.append((start, length, number))
            elif note.find("unpitched") is not None:
                notes.append((start, length, None))
            now = start + length
        assert now == Fraction(4 * int(root.findtext(".//beats")), int(root.findtext(".//beat-type")))
        bars.append(notes)
    return root, bars


TRIPLET = [(4 + k / 3, 1 / 3, 28 + k) for k in range(3)]
LINE = [(0, 1, 40), (1, 0.5, 43), (1.5, 0.5, 47), (2, 2, 40), *TRIPLET, (5.5, 3.5, 45), (9.25, 0.25, 63)]


def test_midi_keeps_the_times_as_played_on_the_songs_beats(tmp_path: Path):
    """A tempo that drifts from 120 to 150: notes lie 20 ms late of beats, bar lines on the first of four."""
    beats = 0.7 + np.cumsum(np.linspace(0.5, 0.4, 33))
    song = music(beats=beats, first_position=3)
    notes = played(song, LINE, late=0.02)
    export(part=Part.of(StemType.BASS, song, notes), folder=tmp_path)
    for found, note in zip(midi_notes(tmp_path / "bass.mid"), notes, strict=True):
        assert found == (
            pytest.approx(note.onset, abs=0.001),
            pytest.approx(note.offset, abs=0.001),
            note.pitch,
        )
    file = mido.MidiFile(tmp_path / "bass.mid")
    signature = next(message for message in file if message.type == "time_signature")
    assert (signature.numerator, signature.denominator) == (4, 4)
    assert next(message.key for message in file if message.type == "key_signature") == "Em"
    now, bar_times, tick = 0.0, [], 0
    tempi = {}
    for message in mido.merge_tracks(file.tracks):
        tick += message.time
        if message.type == "set_tempo":
            tempi[tick] = message.tempo
    ticks = sorted(tempi)
    for start, end in zip(ticks, [*ticks[1:], None], strict=True):
        if start % (4 * file.ticks_per_beat) == 0:
            bar_times.append(now)
        if end is not None:
            now += (end - start) / file.ticks_per_beat * tempi[start] / 1e6
    assert bar_times[1:] == pytest.approx(beats[2::4][: len(bar_times) - 1], abs=0.001)


def test_a_detuned_songs_midi_is_bent(tmp_path: Path):
    song = music(a4=440 * 2 ** (30 / 1200))
    export(part=Part.of(StemType.BASS, song, played(song, LINE)), folder=tmp_path)
    bend = next(m.pitch for m in mido.MidiFile(tmp_path / "bass.mid") if m.type == "pitchwheel")
    assert bend / 8192 * 200 == pytest.approx(30, abs=0.1)


def test_musicxml_holds_the_quantised_notes_in_bars(tmp_path: Path):
    song = music(first_position=3)
    export(part=Part.of(StemType.BASS, song, played(song, LINE, late=0.02)), folder=tmp_path)
    root, bars = written(tmp_path / "bass.musicxml")
    assert root.findtext(".//fifths") == "1"
    assert root.findtext(".//per-minute") == "120"
    third = Fraction(1, 3)
    assert bars == [
        [(2, 1, 40), (3, Fraction(1, 2), 43), (Fraction(7, 2), Fraction(1, 2), 47)],
        [
            (0, 2, 40),
            *[(2 + k * third, third, 28 + k) for k in range(3)],
            (Fraction(7, 2), Fraction(1, 2), 45),
        ],
        [(0, 3, 45), (Fraction(13, 4), Fraction(1, 4), 63)],
    ]
    ties = [tie.get("type") for tie in root.iter("tie")]
    assert ties == ["start", "stop"]
    spelt = root.findall(".//pitch")[-1]
    assert (spelt.findtext("step"), spelt.findtext("alter")) == ("D", "1")  # E minor's leading tone


@pytest.mark.parametrize(("signature", "bar"), [("2/4", 2), ("3/4", 3), ("6/8", 3), ("12/8", 6), ("5/4", 5)])
def test_every_metre_fills_its_bars(tmp_path: Path, signature: str, bar: int):
    song = music(signature, key="G# major")
    sixth = 1 / 6 if Metre.parse(signature).is_compound else 1 / 4
    line = [(k * sixth * 3, sixth * (1 + k % 4), 50 + k) for k in range(20)]
    export(part=Part.of(StemType.VOCALS, song, played(song, line)), folder=tmp_path)
    root, bars = written(tmp_path / "vocals.musicxml")  # asserts that bars are full
    assert root.findtext(".//fifths") == "-4"
    beat = float(Metre.parse(signature).beat_quarters)
    heard = [
        (number * bar + float(start), pitch) for number, notes in enumerate(bars) for start, _, pitch in notes
    ]
    struck = [next(start for start, pitch in heard if pitch == wanted) for _, _, wanted in line]
    assert struck == pytest.approx([start * beat for start, _, _ in line])


def test_notes_before_the_first_beat_get_a_bar_of_their_own(tmp_path: Path):
    song = music()
    notes = [Note(onset=0.25, offset=0.5, pitch=60, velocity=90, confidence=1)]
    export(part=Part.of(StemType.VOCALS, song, notes), folder=tmp_path)
    _, bars = written(tmp_path / "vocals.musicxml")
    assert bars == [[(Fraction(7, 2), Fraction(1, 2), 60)]]


def test_drums_are_written_on_a_percussion_staff(tmp_path: Path):
    song = music(beats=0.5 + np.arange(17) / 2)
    kit = [DRUM_PITCHES[name] for name in ("kick", "hihat_closed", "snare", "hihat_open")]
    line = [(beat, 0.05, kit[beat % 2 * 2]) for beat in range(16)]
    line += [(step / 2, 0.05, kit[3 if step % 8 == 7 else 1]) for step in range(32)]
    document = export(part=Part.of(StemType.DRUMS, song, played(song, line)), folder=tmp_path)
    root, bars = written(tmp_path / "drums.musicxml")
    assert root.findtext(".//clef/sign") == "percussion"
    assert [len(notes) for notes in bars] == [12] * 4
    lines = {
        note.findtext(".//display-step") + (note.findtext("notehead") or "") for note in root.iter("note")
    }
    assert lines == {"F", "C", "Gx", "Gcircle-x"}
    assert {note["drum"] for note in document["notes"]} == {"kick", "snare", "hihat_closed", "hihat_open"}
    messages = [m for m in mido.MidiFile(tmp_path / "drums.mid") if m.type == "note_on"]
    assert {message.channel for message in messages} == {9}
    assert {message.note for message in messages} == set(kit)


def test_guitar_chords_have_strings_and_frets(tmp_path: Path):
    """E minor and A minor open: the tablature sounds as the notes."""
    song = music()
    chords = [(40, 47, 52, 55, 59, 64), (45, 52, 57, 60, 64)]
    line = [(2 * number, 2, pitch) for number, pitches in enumerate(chords) for pitch in pitches]
    document = export(part=Part.of(StemType.OTHER, song, played(song, line)), folder=tmp_path)
    frets = [(note["string"], note["fret"]) for note in document["notes"]]
    assert frets == [
        *[(6, 0), (5, 2), (4, 2), (3, 0), (2, 0), (1, 0)],
        *[(5, 0), (4, 2), (3, 2), (2, 1), (1, 0)],
    ]
    root, bars = written(tmp_path / "other.musicxml")
    assert [pitch for _, _, pitch in bars[0]] == [*chords[0], *chords[1]]
    technical = [(int(t.findtext("string")), int(t.findtext("fret"))) for t in root.iter("technical")]
    assert technical == frets


@pytest.mark.parametrize(("stem", "string"), [(StemType.BASS, 3), (StemType.OTHER, 5)])
def test_a_note_struck_twice_within_a_step_is_no_chord_on_the_fretboard(stem: StemType, string: int):
    song = music()
    part = Part.of(stem, song, played(song, [(1, 0.1, 45), (1.1, 1, 45), (2, 1, 45)]))
    assert [note.beat for note in part.notes] == [1, 1, 2]
    fret = 45 - {StemType.BASS: 33, StemType.OTHER: 45}[stem]
    assert set(part.places) <= {(string, fret), (string - 1, fret - 5), (string - 2, fret - 10)}
    assert len(set(part.places)) == 1


def test_what_one_voice_plays_ends_where_the_next_note_begins():
    """A note of 1.6 beats that is read in triplets, and the next one in sixteenths."""
    song = music()
    line = [(1, 1 / 3, 40), (4 / 3, 1 / 3, 41), (5 / 3, 0.55, 43), (2.25, 0.25, 45)]
    notes = Part.of(StemType.VOCALS, song, played(song, line)).notes
    for note, following in itertools.pairwise(notes):
        assert note.beat + note.beats <= following.beat


def test_without_bars_there_is_no_musicxml_and_it_says_why(tmp_path: Path):
    song = Music(beats=[], first_position=None, metre=None, key=None, bpm=None, tuning=None)
    notes = [Note(onset=0.25, offset=0.5, pitch=40, velocity=90, confidence=1)]
    document = export(part=Part.of(StemType.BASS, song, notes), folder=tmp_path)
    assert document["musicXmlUri"] is None
    assert document["unmeasured"] == {"musicXmlUri": "nothing tells where bars begin"}
    assert document["notes"][0]["beat"] is None
    assert midi_notes(tmp_path / "bass.mid") == [(0.25, 0.5, 40)]
    assert json.loads((tmp_path / "bass.json").read_text()) == document


@pytest.mark.parametrize(
    ("positions", "reason"),
    [
        ([2, 3, 1, 2, 3, 1, 2, 3], None),
        ([1, 2, 3, 1, 2, 1, 2, 3], "not all bars have as many beats as the time signature says"),
        ([1, 2, 3, 4, 1, 2, 3, 4], "not all bars have as many beats as the time signature says"),
    ],
)
def test_bars_of_differing_length_are_not_written_as_if_they_were_alike(
    positions: list[int], reason: str | None, tmp_path: Path
):
    beats = [{"time": 0.5 * place, "position": position} for place, position in enumerate(positions)]
    song = Music.from_values({"beats": beats, "timeSignature": "3/4"})
    notes = [Note(onset=0.5, offset=1.0, pitch=40, velocity=90, confidence=1)]
    document = export(part=Part.of(StemType.BASS, song, notes), folder=tmp_path)
    assert document["unmeasured"].get("musicXmlUri") == reason
    assert document["notes"][0]["beat"] == 1


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpu_worker.notation", *arguments], capture_output=True, text=True
    )


def test_the_command_writes_a_stem_down(tmp_path: Path):
    """A bass that plays quarter notes at 120, beside beats that say so."""
    rate, pitches = 22_050, [40, 43, 45, 47, 40, 43, 45, 47]
    time = np.arange(int(0.45 * rate)) / rate
    samples = np.zeros(5 * rate)
    for number, pitch in enumerate(pitches):
        hertz = 440 * 2 ** ((pitch - 69) / 12)
        tone = sum(np.sin(2 * np.pi * k * hertz * time) / k for k in range(1, 7))
        start = int((0.5 + number / 2) * rate)
        samples[start : start + len(time)] = 0.2 * tone * np.minimum(1, time[::-1] / 0.02)
    sf.write(tmp_path / "bass.wav", samples, rate)
    beats = [{"time": 0.5 + k / 2, "position": k % 4 + 1} for k in range(9)]
    values = {"beats": beats, "timeSignature": "4/4", "key": "E minor", "bpm": 120}
    analysis = tmp_path / "result.json"
    analysis.write_text(json.dumps({"song": {}, "stems": {"Bass": values}}))
    place = [str(tmp_path / "bass.wav"), "--type", "Bass", "--out", str(tmp_path / "out"), "--analysis"]
    done = run(*place, str(analysis))
    assert done.returncode == 0, done.stderr
    _, bars = written(tmp_path / "out" / "bass.musicxml")
    assert [pitch for notes in bars for _, _, pitch in notes] == pitches
    assert [start for notes in bars for start, _, _ in notes] == [0, 1, 2, 3] * 2
    analysis.write_text(json.dumps({"song": {}, "stems": {"Bass": values | {"timeSignature": "4/0"}}}))
    refused = run(*place, str(analysis))
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "timeSignature" in refused.stderr


NOTES = st.lists(
    st.builds(
        lambda onset, length, pitch: Note(
            onset=onset, offset=onset + length, pitch=pitch, velocity=80, confidence=0.5
        ),
        st.floats(0, 20),
        st.floats(0.02, 6),
        st.integers(20, 110),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(
    notes=NOTES,
    signature=st.sampled_from(["2/4", "3/4", "4/4", "6/8", "7/8"]),
    stem=st.sampled_from([StemType.BASS, StemType.VOCALS, StemType.OTHER]),
    first=st.floats(0, 3),
)
@example(
    notes=[Note(onset=0, offset=1, pitch=30, velocity=80, confidence=0.5)],
    signature="2/4",
    stem=StemType.BASS,
    first=5e-324,
)
def test_any_notes_can_be_written(notes: list[Note], signature: str, stem: StemType, first: float):
    song = music(signature, beats=first + np.arange(30) * 0.43, first_position=2)
    with tempfile.TemporaryDirectory() as folder:
        document = export(part=Part.of(stem, song, notes), folder=Path(folder))
        _, bars = written(Path(folder) / document["musicXmlUri"])
        onsets = [m for m in mido.MidiFile(Path(folder) / document["midiUri"]) if m.type == "note_on"]
    assert {pitch for bar in bars for _, _, pitch in bar} <= {note.pitch for note in notes}
    assert len([message for message in onsets if message.velocity]) == len(notes)
    for note, found in zip(sorted(notes, key=lambda n: (n.onset, n.pitch)), document["notes"], strict=True):
        assert found["onset"] == pytest.approx(note.onset, abs=0.0006)
        if found.get("string"):
            open_strings = (64, 59, 55, 50, 45, 40) if stem is StemType.OTHER else (43, 38, 33, 28, 23)
            assert open_strings[found["string"] - 1] + found["fret"] == note.pitch
