"""The product's analysis on three short songs of known truth; the benchmark has the bars that count."""

import pytest

from benchmarks.analysis.measures import MEASURES
from benchmarks.analysis.outline import SHORT_SONGS
from benchmarks.analysis.scoring import SongScores, score
from gpu_worker.separation.preview.render.packages import missing_packages

# For the mean over the songs; looser than the benchmark's.
BARS = {
    "true": {"tempo": 0.66, "key": 0.9, "tuning": 1.0, "chords": 0.85},
    "separated": {"tempo": 0.66, "key": 0.8, "tuning": 0.66, "chords": 0.75},
}


@pytest.fixture(scope="module")
def scored() -> list[SongScores]:
    if problem := missing_packages():
        pytest.skip(problem)
    return list(score(SHORT_SONGS, list(BARS), list(MEASURES), jobs=1))


@pytest.mark.parametrize(("way", "name"), [(way, name) for way, bars in BARS.items() for name in bars])
def test_the_analysis_holds_its_bars(way: str, name: str, scored: list[SongScores]) -> None:
    scores = [song.scores[name] for song in scored if song.way == way]
    assert "missing" not in scores
    assert sum(scores) / len(scores) >= BARS[way][name]
