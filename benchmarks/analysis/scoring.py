"""Scores songs: each song, each way of analysing it, each measure."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import fmean

from benchmarks.analysis import baseline, findings
from benchmarks.analysis.findings import Analysed
from benchmarks.analysis.measures import MEASURES, MISSING, Score
from benchmarks.analysis.songs import read_truth, song_folder

WAYS = ("true", "separated", "librosa")
"""By the product from true stems, from separated ones, and by librosa alone from true stems."""


@dataclass(frozen=True)
class SongScores:
    """The scores of one song by one way."""

    number: int
    half: str
    way: str
    scores: dict[str, Score]
    share: float
    """Seconds that the analysis took, for each second of the song."""


def score(
    numbers: Sequence[int], ways: Sequence[str], names: Sequence[str], *, jobs: int
) -> Iterator[SongScores]:
    """Score songs, as many at a time as there are jobs, in order."""
    tasks = [(number, way, names) for number in numbers for way in ways]
    if jobs == 1:
        yield from map(_score, tasks)
        return
    # Spawned, since torch's threads do not survive a fork.
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        yield from pool.map(_score, tasks)


def _score(task: tuple[int, str, Sequence[str]]) -> SongScores:
    number, way, names = task
    truth = read_truth(song_folder(number))
    analyse: Callable[..., Analysed] = baseline.analyse if way == "librosa" else findings.analyse
    analysed = analyse(number, separated=way == "separated")
    scores = {name: MEASURES[name](truth, analysed.found) for name in names}
    return SongScores(number, truth["half"], way, scores, analysed.seconds / truth["durationSeconds"])


@dataclass(frozen=True)
class Mean:
    """A measure over songs: what is missing counts 0, what does not apply not at all."""

    value: float | None
    songs: int
    missing: int


def mean(scored: Sequence[SongScores], name: str, *, half: str, way: str) -> Mean:
    """The mean of a measure over the songs of a half."""
    values = [song.scores[name] for song in scored if song.half == half and song.way == way]
    values = [value for value in values if value is not None]
    missing = values.count(MISSING)
    numbers = [0.0 if value == MISSING else float(value) for value in values]
    return Mean(fmean(numbers) if numbers else None, len(numbers), missing)
