"""Checkpoints: what an attempt leaves for the next one."""

from typing import Any

import pytest

from gpu_worker import checkpoints
from gpu_worker.checkpoints import StemBlob
from gpu_worker.decoding import SourceFormat
from shared.models import StemType
from stem_library_client import ApiError

SOURCE = SourceFormat(duration_seconds=2.5, sample_rate=44_100, channels=2)


def blob(stem: str = "Drums") -> StemBlob:
    return StemBlob(f"song/stems/job/1/{stem.lower()}.wav", f"http://x/{stem}", "0" * 64)


TAGS = {"title": "Größe", "artist": None, "album": None, "artworkUri": "http://x/artwork.jpg"}


def test_a_separation_is_resumed_only_when_tags_were_read_and_every_stem_was_uploaded():
    noted = checkpoints.of_separation("1" * 64, SOURCE, "preview@0")
    assert checkpoints.separation_of(noted | dict.fromkeys(StemType, "")) is None
    noted |= checkpoints.of_tags(TAGS)
    for stem in StemType:
        assert checkpoints.separation_of(noted) is None
        noted |= checkpoints.of_stem(stem, blob(stem))
    resumed = checkpoints.separation_of(noted)
    assert resumed is not None
    assert (resumed.content_hash, resumed.source, resumed.model_label) == ("1" * 64, SOURCE, "preview@0")
    assert resumed.tags == TAGS
    assert resumed.stems == {stem: blob(stem) for stem in StemType}


def test_a_result_is_kept_whole():
    result = {"contentHash": "1" * 64, "song": {"bpm": 120}}
    assert checkpoints.result_of({}) is None
    assert checkpoints.result_of(checkpoints.of_result(result)) == result


@pytest.mark.parametrize(
    ("status", "problem", "is_unknown"),
    [
        (409, {"jobStatus": "Running", "checkpoints": {}}, True),
        (
            409,
            {"jobStatus": "Running", "checkpoints": checkpoints.of_stem(StemType.BASS, blob("Bass"))},
            True,
        ),
        (409, {"jobStatus": "Running", "checkpoints": checkpoints.of_stem(StemType.DRUMS, blob())}, False),
        (409, {"jobStatus": "Completed", "checkpoints": checkpoints.of_stem(StemType.DRUMS, blob())}, False),
        (409, {"jobStatus": "Running", "checkpoints": checkpoints.of_notation([blob()])}, False),
        (409, {"jobStatus": "Cancelled"}, True),
        (404, {"outcome": "Cancelled"}, True),
        (404, {"outcome": "Completed"}, False),
        (503, {"detail": "not now"}, False),
    ],
)
def test_a_stem_that_is_refused_is_taken_back_unless_somebody_may_know_it(
    status: int, problem: dict[str, Any], is_unknown: bool
):
    assert checkpoints.is_unknown(blob(), ApiError(status, problem)) is is_unknown
