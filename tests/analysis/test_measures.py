"""The measures: what is perfect scores 1, what is wrong loses points, what is null is neither."""

import copy
from typing import Any

import numpy as np
import pytest

from benchmarks.analysis.measures import MEASURES, MISSING
from benchmarks.analysis.scoring import Mean, SongScores, mean
from benchmarks.analysis.songs import Truth

NAMES = ("bpm", "key", "timeSignature", "tuning", "swingRatio", "keyRegions", "sections", "bass", "other")


@pytest.fixture(scope="module")
def perfect(truth: Truth) -> dict[str, Any]:
    """Findings that say just what the truth does."""
    f0 = np.array(truth["vocals"]["f0"])
    downbeats = set(truth["downbeats"])
    return {name: copy.deepcopy(truth[name]) for name in NAMES} | {
        "beats": [{"time": beat, "position": 1 if beat in downbeats else 2} for beat in truth["beats"]],
        "chordProgression": truth["chords"],
        "drums": [{"onset": max(0.0, hit["time"]), "drum": hit["drum"]} for hit in truth["drums"]],
        "melody": (np.arange(len(f0)) * truth["vocals"]["hop"], f0),
    }


@pytest.mark.parametrize("name", MEASURES)
def test_the_truth_scores_one(name: str, truth: Truth, perfect: dict[str, Any]) -> None:
    assert MEASURES[name](truth, perfect) == pytest.approx(1)


@pytest.mark.parametrize("name", MEASURES)
def test_what_is_null_is_missing(name: str, truth: Truth, perfect: dict[str, Any]) -> None:
    assert MEASURES[name](truth, dict.fromkeys(perfect)) == MISSING


def _later(spans: list[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
    names = ("start", "end", "onset", "offset", "time")
    return [{k: v + seconds if k in names else v for k, v in span.items()} for span in spans]


WRONG = {
    "beats": lambda found: {"beats": _later(found["beats"], 0.15)},
    "downbeats": lambda found: {
        "beats": [beat | {"position": 3 - beat["position"]} for beat in found["beats"]]
    },
    "tempo": lambda found: {"bpm": found["bpm"] * 2},
    "tempo-octave": lambda found: {"bpm": found["bpm"] * 1.4},
    "time-signature": lambda found: {"timeSignature": "5/4"},
    "swing": lambda found: {"swingRatio": found["swingRatio"] * 1.2},
    "key": lambda found: {"key": "F# minor"},
    "key-regions": lambda found: {"keyRegions": [{"start": 0, "end": 99, "key": "F# minor"}]},
    "tuning": lambda found: {"tuning": found["tuning"] * 2 ** (4 / 1200)},
    "chords": lambda found: {"chordProgression": _later(found["chordProgression"], 1.5)},
    "chord-sevenths": lambda found: {"chordProgression": _later(found["chordProgression"], 1.5)},
    "chord-inversions": lambda found: {"chordProgression": _later(found["chordProgression"], 1.5)},
    "boundaries": lambda found: {"sections": _later(found["sections"], 3.5)},
    "section-labels": lambda found: {"sections": [span | {"label": "A"} for span in found["sections"]]},
    "drum-onsets": lambda found: {"drums": found["drums"][:1]},
    "drum-classes": lambda found: {"drums": [hit | {"drum": "tom"} for hit in found["drums"]]},
    "bass-onsets": lambda found: {"bass": _later(found["bass"], 0.06)},
    "bass-notes": lambda found: {"bass": [note | {"pitch": note["pitch"] + 12} for note in found["bass"]]},
    "other-notes": lambda found: {"other": [note | {"pitch": note["pitch"] + 1} for note in found["other"]]},
    "melody": lambda found: {"melody": (found["melody"][0], found["melody"][1] * 1.04)},
}


@pytest.mark.parametrize("name", MEASURES)
def test_what_is_wrong_loses_points(name: str, truth: Truth, perfect: dict[str, Any]) -> None:
    score = MEASURES[name](truth, perfect | WRONG[name](perfect))
    assert isinstance(score, float)
    assert score < 0.75


@pytest.mark.parametrize("name", ["tempo-octave", "melody", "tuning", "swing"])
def test_what_is_nearly_right_loses_none(name: str, truth: Truth, perfect: dict[str, Any]) -> None:
    near = {
        "bpm": perfect["bpm"] / 2 * 1.03,
        "melody": (perfect["melody"][0], perfect["melody"][1] * 1.02),
        "tuning": perfect["tuning"] * 2 ** (2.5 / 1200),
        "swingRatio": perfect["swingRatio"] * 1.1,
    }
    assert MEASURES[name](truth, perfect | near) == pytest.approx(1)


def test_a_song_without_drums_has_no_score_of_drums(truth: Truth, perfect: dict[str, Any]) -> None:
    silent = truth | {"drums": [], "bass": [], "vocals": {"hop": 0.01, "f0": [0.0] * 100, "notes": []}}
    for name in ("drum-onsets", "drum-classes", "bass-onsets", "bass-notes", "melody"):
        assert MEASURES[name](silent, perfect) is None


def test_a_mean_counts_what_is_missing_as_nothing_and_leaves_out_what_does_not_apply() -> None:
    scores = [1.0, MISSING, None]
    songs = [SongScores(number, "dev", "true", {"beats": score}, 0.1) for number, score in enumerate(scores)]
    assert mean(songs, "beats", half="dev", way="true") == Mean(0.5, 2, 1)
    assert mean(songs, "beats", half="test", way="true") == Mean(None, 0, 0)
