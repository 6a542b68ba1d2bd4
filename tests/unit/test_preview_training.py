"""Scores, training and export of the preview model, on made-up audio. No Debian package is needed."""

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from gpu_worker.separation.preview.evaluate import constant_mask, score_song, sdr, si_sdr
from gpu_worker.separation.preview.network import SOURCES, WEIGHTS, MaskNet
from gpu_worker.separation.preview.rendered import CROP, Crops, read_song, song_numbers
from gpu_worker.separation.preview.train import Training, loss, train

SMALL = {"nfft": 1024, "hop": 512, "channels": 4, "hidden": 16, "dilations": (1, 2), "fine_bins": 256}


def tone(hertz: float, seconds: float = 1.0) -> torch.Tensor:
    t = torch.arange(int(44100 * seconds), dtype=torch.float64) / 44100
    return torch.sin(2 * math.pi * hertz * t).float().expand(2, -1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Steps this small only wait for further threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    """Two songs as the renderer writes them, with a tone for each stem."""
    for i, source in enumerate(SOURCES):
        (tmp_path / source).mkdir()
        for number in (3, 4):
            samples = tone(200 * (i + 1) + 10 * number, seconds=5).T.numpy() * 0.2
            np.save(tmp_path / source / f"{number:05d}.npy", (samples * 32767).astype(np.int16))
    return tmp_path


def test_si_sdr_of_known_errors() -> None:
    # Tones of whole periods are orthogonal, so the error's energy relative to the signal's is 0.1 ** 2.
    assert si_sdr(tone(400) + 0.1 * tone(800), tone(400)) == pytest.approx(20.0, abs=0.01)
    assert si_sdr(tone(400) + tone(800), tone(400)) == pytest.approx(0.0, abs=0.01)
    assert sdr(tone(400) + 0.1 * tone(800), tone(400)) == pytest.approx(20.0, abs=0.01)


def test_si_sdr_ignores_the_level_and_sdr_does_not() -> None:
    estimate = tone(400) + 0.1 * tone(800)
    assert si_sdr(0.25 * estimate, tone(400)) == pytest.approx(20.0, abs=0.01)
    assert sdr(0.25 * tone(400), tone(400)) == pytest.approx(20 * math.log10(1 / 0.75), abs=0.01)


def test_si_sdr_of_a_silent_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="silent"):
        si_sdr(tone(400), torch.zeros(2, 44100))


def test_a_constant_mask_improves_nothing_but_plain_sdr() -> None:
    stems = torch.stack([tone(hertz) for hertz in (200, 400, 800, 1600)])
    for scores in score_song(constant_mask, stems).values():
        assert scores["improvement"] == pytest.approx(0, abs=1e-3)
        assert scores["floorImprovement"] == pytest.approx(0, abs=1e-3)
        assert scores["sdr"] > sdr(stems.sum(dim=0), stems[0]) + 5


def test_a_perfect_separation_has_infinite_scores() -> None:
    stems = torch.stack([tone(hertz) for hertz in (200, 400, 800, 1600)])
    scores = score_song(lambda mix: stems[None], stems)
    assert all(each["sdr"] == math.inf and each["improvement"] > 60 for each in scores.values())


def test_songs_are_read_alike_every_time(rendered: Path) -> None:
    assert song_numbers(rendered) == ["00003.npy", "00004.npy"]
    assert read_song(rendered, "00003.npy").shape == (4, 2, 5 * 44100)
    assert torch.equal(read_song(rendered, "00003.npy"), read_song(rendered, "00003.npy"))


def test_crops_are_decided_by_the_seed(rendered: Path) -> None:
    crops = Crops(rendered)
    first, again, other = (crops.batch(2, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (2, 4, 2, CROP)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_folder_without_songs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no rendered songs"):
        Crops(tmp_path)


def test_training_learns_to_tell_tones_apart(rendered: Path) -> None:
    torch.manual_seed(1)
    training = Training(MaskNet(**SMALL))
    batch = Crops(rendered).batch(1, np.random.default_rng(1))[..., :44100]
    before = loss(training.network, batch)[0].item()
    for _ in range(8):
        training.learn(batch, rate=5e-3)
    assert loss(training.network, batch)[0].item() < 0.8 * before


def test_an_interrupted_training_continues_as_if_it_had_not_been(rendered: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = Training(MaskNet(**SMALL))
    crops = Crops(rendered)
    batches = [crops.batch(1, np.random.default_rng(step))[..., :44100] for step in range(2)]
    whole.learn(batches[0], rate=1e-3)
    whole.save(tmp_path / "checkpoint.pt")
    whole.learn(batches[1], rate=1e-3)

    continued = Training(MaskNet(**SMALL))
    continued.restore(tmp_path / "checkpoint.pt")
    continued.learn(batches[1], rate=1e-3)
    assert continued.step == whole.step == 2
    for name, value in whole.average.state_dict().items():
        assert torch.equal(continued.average.state_dict()[name], value), name


def test_training_ends_when_its_time_is_spent_and_leaves_a_checkpoint(rendered: Path, tmp_path: Path) -> None:
    training = Training(MaskNet(**SMALL))
    train(training, Crops(rendered), tmp_path / "checkpoint.pt", minutes=0.005, peak_rate=1e-3, seed=1)
    assert training.step >= 1
    restored = Training(MaskNet(**SMALL))
    restored.restore(tmp_path / "checkpoint.pt")
    assert restored.step == training.step
    assert restored.seconds >= 0.3


def test_a_command_refuses_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gpu_worker.separation.preview.train", "--data", "missing", "--out", "c.pt"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(WEIGHTS.parents[3])},
    )
    assert done.returncode == 1
    assert "no rendered songs" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
