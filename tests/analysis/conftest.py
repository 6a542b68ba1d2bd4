"""Songs of known truth. Skipped only where the packages that play them are not installed."""

import pytest

from benchmarks.analysis.outline import SHORT_SONGS
from benchmarks.analysis.songs import Truth, read_truth, song_folder
from gpu_worker.separation.preview.render.packages import missing_packages


@pytest.fixture(scope="session", params=SHORT_SONGS)
def short_song(request: pytest.FixtureRequest) -> int:
    """The number of a rendered song of two sections."""
    if problem := missing_packages():
        pytest.skip(problem)
    song_folder(request.param)
    return int(request.param)


@pytest.fixture(scope="session")
def truth(short_song: int) -> Truth:
    return read_truth(song_folder(short_song))
