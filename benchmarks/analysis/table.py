"""The table of `make bench NAME=analysis`: scores on the test half beside the bars and librosa's own."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.analysis.measures import MEASURES
from benchmarks.analysis.pictures import PICTURED, draw_pictures
from benchmarks.analysis.scoring import WAYS, SongScores, mean, score
from benchmarks.analysis.songs import SONGS
from benchmarks.rows import Row, row

SPEED_BAR = 0.15


@dataclass(frozen=True)
class Line:
    """A measure's title, its bar on true stems, and whether librosa has an answer of its own."""

    measure: str
    title: str
    bar: float | None = None
    has_baseline: bool = False


LINES = [
    Line("beats", "beat F", 0.97, has_baseline=True),
    Line("downbeats", "downbeat F", 0.85),
    Line("tempo", "tempo within 4 %", 0.96, has_baseline=True),
    Line("tempo-octave", "tempo within 4 %, octave tolerant", None, has_baseline=True),
    Line("time-signature", "time signature", 0.90),
    Line("swing", "swing ratio within 15 %"),
    Line("key", "key, MIREX weighted", 0.90, has_baseline=True),
    Line("key-regions", "key over time, MIREX weighted"),
    Line("chords", "chords maj/min", 0.88, has_baseline=True),
    Line("chord-sevenths", "chords with sevenths"),
    Line("chord-inversions", "chords maj/min with inversions"),
    Line("tuning", "tuning within 3 cents", 0.95, has_baseline=True),
    Line("boundaries", "section boundaries F at 3 s", 0.65),
    Line("section-labels", "section labels, pairwise F"),
    Line("drum-onsets", "drum onset F", 0.97, has_baseline=True),
    Line("drum-classes", "drums, mean F of kick, snare, hi-hat", 0.85),
    Line("bass-onsets", "bass onset F", None, has_baseline=True),
    Line("bass-notes", "bass notes F (onset 50 ms and pitch)", 0.88),
    Line("other-notes", "other notes F (onset 50 ms and pitch)"),
    Line("melody", "melody raw pitch accuracy", 0.85),
]


def rows() -> list[Row]:
    """Draw the pictures, and score all songs by all ways."""
    draw_pictures()
    # One after the other, and in a process that has drawn them already: no start-up is timed.
    shares = [song.share for song in score(PICTURED, ["true"], [], jobs=1)]
    scored = list(score(range(SONGS), WAYS, list(MEASURES), jobs=os.cpu_count() or 1))
    table = [made for way in ("true", "separated") for line in LINES for made in _row(scored, line, way)]
    note = f"mean over {len(shares)} songs, stems already separated"
    return [*table, row("seconds a second of audio", fmean(shares), None, at_most=SPEED_BAR, note=note)]


def _row(scored: Sequence[SongScores], line: Line, way: str) -> list[Row]:
    """The row of a measure; none where no song can be measured."""
    test, dev = (mean(scored, line.measure, half=half, way=way) for half in ("test", "dev"))
    if test.value is None:
        return []
    # Librosa was given the true stems.
    compared = line.has_baseline and way == "true"
    base = mean(scored, line.measure, half="test", way="librosa").value if compared else None
    notes = [f"{test.songs} test songs", f"dev half {dev.value:.3f}" if dev.value is not None else ""]
    if test.missing:
        notes.append(f"{test.missing} null")
    return [
        row(
            f"{line.title}, {way} stems",
            test.value,
            base,
            at_least=line.bar if way == "true" else None,
            note=", ".join(note for note in notes if note),
        )
    ]
