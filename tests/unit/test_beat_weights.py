"""Weights of Beat This: found, fetched, named by their digest, and refused where they are no good."""

import hashlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gpu_worker.analysis import beat_model
from gpu_worker.analysis.beat_model import fetch, load_beat_model
from gpu_worker.channel import ModelNames
from gpu_worker.device import Device
from gpu_worker.engine import Engine
from gpu_worker.errors import ModelUnavailableError
from tests.unit.beat_networks import SMALL, build, save

NAMES = ModelNames(
    stem_model="preview", stem_model_repo=None, beat_model="clicks", beat_model_repo=None, device="cpu"
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PyTorch's cache, empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_weights_are_named_by_their_digest(tmp_path: Path, cache: Path):
    network = build()
    save(network, cache / "beat_this-own.ckpt")
    model = load_beat_model("own")
    assert model is not None
    assert model.label.startswith("beat_this-own@")
    assert len(model.label.split("@")[1]) == 8
    save(network, tmp_path / "same" / "beat_this-own.ckpt")
    same = load_beat_model("own", repo=tmp_path / "same")
    with torch.no_grad():
        network.task_heads.beat_downbeat_lin.bias += 1
    save(network, tmp_path / "other" / "beat_this-own.ckpt")
    other = load_beat_model("own", repo=tmp_path / "other")
    assert same is not None
    assert other is not None
    assert same.label == model.label != other.label


@pytest.mark.parametrize("name", ["", "final0"])
def test_without_weights_the_own_way_is_announced_once(
    name: str, cache: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    assert load_beat_model(name) is None
    assert [record.name for record in caplog.records] == ["gpu_worker.analysis.beat_model"]
    assert "pulse readings" in caplog.text
    assert str(cache) in caplog.text or not name


def test_a_folder_that_was_named_must_hold_them(tmp_path: Path):
    with pytest.raises(ModelUnavailableError, match=f"BEAT_MODEL_REPO.*{tmp_path}/beat_this-final0.ckpt"):
        load_beat_model("final0", repo=tmp_path)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def of_another_network(path: Path) -> None:
    torch.save({"state_dict": {}, "hyper_parameters": SMALL}, path)


def without_settings(path: Path) -> None:
    torch.save(build().state_dict(), path)


class Code:
    """What an attacker's checkpoint holds: runs when it is unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[Path], object], tuple[Path]]:
        return Path.touch, (self.trace,)


def not_a_number(path: Path) -> None:
    network = build()
    with torch.no_grad():
        network.frontend.linear.weight[0, 0] = torch.nan
    save(network, path)


DAMAGES: list[Callable[[Path], object]] = [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_text("<html>Not found</html>"),
    truncated,
    of_another_network,
    without_settings,
    not_a_number,
    lambda path: save(build(n_layers=2), path),
    lambda path: save(build(), path, fps=100),
    lambda path: save(build(spect_dim=64), path, spect_dim=64),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_that_are_no_good_are_refused(damage: Callable[[Path], object], cache: Path):
    path = save(build(), cache / "beat_this-final0.ckpt")
    damage(path)
    with pytest.raises(ModelUnavailableError, match=f"{path} holds no usable weights.*BEAT_MODEL="):
        load_beat_model("final0")


def test_code_in_weights_is_not_run(cache: Path, tmp_path: Path):
    cache.mkdir(parents=True)
    content = {"hyper_parameters": SMALL, "state_dict": build().state_dict(), "more": Code(tmp_path / "ran")}
    torch.save(content, cache / "beat_this-final0.ckpt")
    with pytest.raises(ModelUnavailableError, match="holds more than weights"):
        load_beat_model("final0")
    assert not (tmp_path / "ran").exists()


def test_the_model_process_does_not_start_on_damaged_ones(cache: Path):
    truncated(save(build(), cache / "beat_this-clicks.ckpt"))
    engine = Engine(models=NAMES, device=Device(), recycle_after=5)
    try:
        with pytest.raises(ModelUnavailableError, match="holds no usable weights"):
            engine.wait_ready(lambda: False)
    finally:
        engine.stop()


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The authors' host, here a folder."""
    path = save(build(), tmp_path / "host" / "final0.ckpt")
    monkeypatch.setattr(beat_model, "URL", f"file://{path.parent}/{{name}}.ckpt")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(beat_model, "PUBLISHED", {"final0": digest, "small0": digest})
    return path


def test_published_weights_are_fetched_and_verified(
    published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["beat_model", "final0"])
    assert beat_model.main() == 0
    model = load_beat_model("final0")
    assert model is not None
    assert capsys.readouterr().out.strip() == model.label
    published.unlink()
    assert fetch("final0") == cache / "beat_this-final0.ckpt"


@pytest.mark.parametrize(
    ("name", "reason"), [("final0", "invalid hash"), ("small0", "No such file"), ("final7", "can be fetched")]
)
def test_others_are_not_taken(
    name: str, reason: str, published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    published.write_bytes(published.read_bytes() + b"\0")
    monkeypatch.setattr(sys, "argv", ["beat_model", name])
    assert beat_model.main() == 1
    assert reason in capsys.readouterr().err
    assert not list(cache.glob("*"))
