"""The renderer and the demo song. Skipped only where the packages that it plays with are not installed."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from gpu_worker.separation.preview.evaluate import score_song
from gpu_worker.separation.preview.network import SOURCES, WEIGHTS, load
from gpu_worker.separation.preview.render.clip import PITCH_CLASSES, Clip, Session
from gpu_worker.separation.preview.render.packages import missing_packages

DEMO = WEIGHTS.parents[3] / "demo"
MISSING = missing_packages()
needs_packages = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


def session(clip: Clip, seed: int) -> Session:
    return Session(clip, np.random.default_rng(seed))


def test_a_number_decides_the_outline() -> None:
    assert Clip.draw(7, 12.0) == Clip.draw(7, 12.0)
    assert Clip.draw(7, 12.0) != Clip.draw(8, 12.0)
    # A longer song is the same song.
    assert Clip.draw(7, 30.0).truth() == Clip.draw(7, 12.0).truth() | {"durationSeconds": 30.0}


@pytest.mark.parametrize("number", range(20))
def test_bars_and_beats_keep_the_tempo(number: int) -> None:
    clip = Clip.draw(number, 12.0)
    starts = [time for _, time, _ in clip.bars()]
    assert starts[0] == clip.truth()["firstDownbeat"]
    assert np.diff(starts) == pytest.approx(4 * 60 / clip.bpm)
    assert clip.next_beat(starts[1]) == pytest.approx(starts[1])
    assert clip.next_beat(starts[1] + 0.01) == pytest.approx(starts[1] + clip.beat)


@pytest.mark.parametrize("number", range(20))
def test_degrees_are_the_scale_of_the_key(number: int) -> None:
    clip = Clip.draw(number, 12.0)
    tonic, mode = clip.key.split()
    steps = [0, 2, 3, 5, 7, 8, 10] if mode == "minor" else [0, 2, 4, 5, 7, 9, 11]
    scale = {(PITCH_CLASSES.index(tonic) + step) % 12 for step in steps}
    for lowest in (24, 33, 60):
        pitches = [clip.pitch(degree, lowest) for degree in range(14)]
        assert {pitch % 12 for pitch in pitches} == scale
        assert lowest <= pitches[0] < lowest + 12
        assert all(a < b for a, b in itertools.pairwise(pitches))


@pytest.mark.parametrize("command", ["render", "demo"])
def test_missing_packages_are_named_in_one_line(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"gpu_worker.separation.preview.{command}", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "apt-get install fluidsynth espeak-ng flite" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@needs_packages
def test_what_is_played_lies_in_the_key_and_on_the_beat() -> None:
    from gpu_worker.separation.preview.render import bass, drums

    clip = Clip.draw(497, 12.0)
    scale = {clip.pitch(degree, 0) % 12 for degree in range(7)}
    notes = list(bass.line(session(clip, 1)))
    assert notes
    assert {note.pitch % 12 for note in notes} <= scale
    hits = list(drums.pattern(session(clip, 1)))
    sixteenths = np.array([(hit.time - clip.start) / (clip.beat / 4) for hit in hits])
    assert np.abs(sixteenths - sixteenths.round()).max() * clip.beat / 4 < 0.03


@needs_packages
def test_a_song_is_the_same_every_time(tmp_path: Path) -> None:
    from gpu_worker.separation.preview.render.__main__ import render_song

    for folder in ("first", "again"):
        render_song(8, 3.0, tmp_path / folder)
    written = sorted(path.relative_to(tmp_path / "first") for path in tmp_path.glob("first/*/*"))
    assert [str(path) for path in written] == [
        *(f"{source}/00008.npy" for source in sorted(SOURCES[:3])),
        "songs/00008.json",
        "vocals/00008.npy",
    ]
    for path in written:
        assert (tmp_path / "first" / path).read_bytes() == (tmp_path / "again" / path).read_bytes(), path
    for source in SOURCES:
        stem = np.load(tmp_path / "first" / source / "00008.npy")
        assert (stem.shape, stem.dtype) == ((3 * 44100, 2), np.int16)
        assert np.abs(stem).max() > 3000
    truth = json.loads((tmp_path / "first" / "songs" / "00008.json").read_text())
    assert truth["bpm"] == Clip.draw(8, 3.0).bpm
    assert all(truth["sounds"][source] for source in SOURCES)


@needs_packages
def test_the_demo_can_be_made_again_and_the_weights_separate_it() -> None:
    from gpu_worker.separation.preview.demo import render_demo

    stems, truth = render_demo()
    assert truth == json.loads((DEMO / "demo.json").read_text())
    song, _ = soundfile.read(DEMO / "demo.ogg")
    # Vorbis is lossy: the error stays 15 dB below the music.
    error = song - sum(stems.values())
    assert np.std(error) < 10 ** (-15 / 20) * np.std(song)

    opening = np.stack([stems[source][: 8 * 44100].T for source in SOURCES])
    scores = score_song(load(), torch.from_numpy(opening).float())
    assert scores["drums"]["improvement"] > 6
    assert scores["vocals"]["improvement"] > 6
    assert scores["bass"]["improvement"] > 3
    assert scores["other"]["improvement"] > 3


def test_the_demo_is_what_its_truth_says() -> None:
    truth = json.loads((DEMO / "demo.json").read_text())
    outline = Clip.draw(truth["song"], truth["durationSeconds"]).truth()
    assert {name: truth[name] for name in outline} == outline
    assert 90 <= truth["bpm"] <= 130
    song, rate = soundfile.read(DEMO / "demo.ogg")
    assert (rate, song.shape) == (44100, (int(44100 * truth["durationSeconds"]), 2))
    assert 0.5 < np.abs(song).max() < 1
    assert (DEMO / "demo.ogg").stat().st_size < 1_000_000
