"""The files of a part: MIDI, MusicXML and JSON."""

import json
from pathlib import Path
from typing import Any

from gpu_worker.notation.midi import write_midi
from gpu_worker.notation.score import DRUM_PITCHES, Part
from gpu_worker.notation.tablature import Place
from shared.ids import NOTATION_SUFFIXES
from shared.models import StemType

NO_NOTES = "no notes were found"
NO_BARS = "nothing tells where bars begin"
UNEVEN_BARS = "not all bars have as many beats as the time signature says"


def export(*, part: Part, folder: Path) -> dict[str, Any]:
    """Write a part's files, named after its stem, and return what the JSON file holds.

    Notes have their times in seconds as played beside `beat` and `beats`, the quantised onset (from the
    song's first beat) and length; bass and other have `string` and `fret` (null where it can't be played).
    Where a file can't be written its name is null, and `unmeasured` says why.
    """
    files = write_files(part=part, folder=folder)
    document = {
        **notation_of(part),
        **{field: path.name for field, path in files.items()},
        "unmeasured": missing_files(part),
    }
    text = json.dumps(document, indent=1, allow_nan=False)
    (folder / f"{part.stem.lower()}.json").write_text(text + "\n", encoding="utf-8")
    return document


def write_files(*, part: Part, folder: Path) -> dict[str, Path]:
    """Write a part's MIDI and MusicXML, named after its stem, and return them by their wire names.

    Those that `missing_files` tells of are not written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = missing_files(part)
    files = {
        field: folder / f"{part.stem.lower()}.{suffix}"
        for field, suffix in NOTATION_SUFFIXES.items()
        if field not in missing
    }
    if midi := files.get("midiUri"):
        write_midi(part=part, path=midi)
    if musicxml := files.get("musicXmlUri"):
        # Here, since music21 takes a second to import.
        from gpu_worker.notation.musicxml import write_musicxml

        write_musicxml(part=part, path=musicxml)
    return files


def missing_files(part: Part) -> dict[str, str]:
    """Return why a part has no MIDI or no MusicXML, under their wire names."""
    if not part.notes:
        return dict.fromkeys(NOTATION_SUFFIXES, NO_NOTES)
    if part.music.has_bars:
        return {}
    return {"musicXmlUri": UNEVEN_BARS if part.music.metre else NO_BARS}


def notation_of(part: Part) -> dict[str, Any]:
    """Return a part as the record holds it, of no files yet."""
    notes = [_note(part, number, place) for number, place in enumerate(part.places)]
    return {"notes": notes, "midiUri": None, "musicXmlUri": None}


def _note(part: Part, number: int, place: Place | None) -> dict[str, Any]:
    note = part.notes[number]
    values: dict[str, Any] = {"onset": round(note.onset, 3), "offset": round(note.offset, 3)}
    values |= {"drum": _DRUMS[note.pitch]} if part.stem is StemType.DRUMS else {"pitch": note.pitch}
    values |= {"velocity": note.velocity, "confidence": round(note.confidence, 3)}
    values |= {
        "beat": None if note.beat is None else round(note.beat, 4),
        "beats": None if note.beats is None else round(note.beats, 4),
    }
    if part.stem in (StemType.BASS, StemType.OTHER):
        values |= {"string": place and place.string, "fret": None if place is None else place.fret}
    return values


_DRUMS = {number: drum for drum, number in DRUM_PITCHES.items()}
