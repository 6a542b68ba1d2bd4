"""Beat This: spectrogram against its definition, chunks against the package's own, beats in the record."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch

from gpu_worker.analysis.__main__ import main as analysis_command
from gpu_worker.analysis.beat_model import BeatModel, frame_count, load_beat_model, log_mel
from gpu_worker.analysis.song import analyse_song
from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound
from gpu_worker.channel import Analysed, AnalysisTask, ModelNames
from gpu_worker.device import Device
from gpu_worker.engine import Engine
from shared.models import SongMusic, StemType
from tests.unit.beat_networks import build, clicks, save, teach_clicks

NOISE = np.random.default_rng(3).standard_normal(70 * ANALYSIS_RATE).astype(np.float32)
BEATS = 0.4 + 0.5 * np.arange(40)
DOWNBEATS = BEATS[1::4]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Many threads wait for each other where networks are this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights that know clicks."""
    folder = tmp_path_factory.mktemp("taught")
    save(teach_clicks(), folder / "beat_this-clicks.ckpt", partial_transformers=False)
    return folder


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package's own inference; its spectrogram alone would use torchaudio."""
    monkeypatch.setitem(sys.modules, "torchaudio", ModuleType("torchaudio"))
    import beat_this.inference

    return beat_this.inference


@pytest.fixture
def stems(tmp_path: Path) -> dict[StemType, Path]:
    """Drums that click, and silence."""
    paths = {stem: tmp_path / f"{stem}.wav" for stem in StemType}
    samples = clicks(BEATS, DOWNBEATS, 21)
    for stem, path in paths.items():
        sf.write(path, samples if stem is StemType.DRUMS else 0 * samples, ANALYSIS_RATE)
    return paths


def by_definition(samples: np.ndarray, frame: int) -> np.ndarray:
    """One frame of the spectrogram, sum by sum."""
    mirrored = np.concatenate([samples[512:0:-1], samples, samples[-2:-514:-1]]).astype(np.float64)
    number = np.arange(1024)
    windowed = mirrored[frame * 441 : frame * 441 + 1024] * (0.5 - 0.5 * np.cos(2 * np.pi * number / 1024))
    bins = np.arange(513)
    magnitudes = np.abs(np.exp(-2j * np.pi * np.outer(bins, number) / 1024) @ windowed) / 32

    def mel(hertz: float) -> float:
        return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)

    def hertz(mels: np.ndarray) -> np.ndarray:
        return np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))

    edges = hertz(np.linspace(mel(30), mel(11_000), 130))
    frequencies = bins * 22_050 / 1024
    bands = []
    for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
        triangle = np.minimum((frequencies - low) / (centre - low), (high - frequencies) / (high - centre))
        bands.append(np.maximum(0, triangle) @ magnitudes)
    return np.log(1 + 1000 * np.array(bands))


@pytest.mark.parametrize("frame", [0, 1, 77, 100])
def test_the_spectrogram_is_what_it_is_defined_as(frame: int):
    samples = 0.1 * NOISE[: 2 * ANALYSIS_RATE]
    assert frame_count(samples) == 101
    wanted = by_definition(samples, frame)
    assert log_mel(samples, 0, 101)[frame] == pytest.approx(wanted, rel=1e-4, abs=1e-4)
    assert log_mel(samples, frame, frame + 1)[0] == pytest.approx(wanted, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("frames", [50, 1488, 1489, 3100])
def test_chunks_give_what_the_packages_own_give(package: Any, frames: int):
    samples = 0.1 * NOISE[: (frames - 1) * 441 + 17]
    model = BeatModel(build(partial_transformers=False).eval(), "small", "cpu")
    with torch.inference_mode():
        wanted = package.split_predict_aggregate(
            torch.from_numpy(log_mel(samples, 0, frames)), 1500, 6, "keep_first", model.network
        )
    beat, downbeat = model.logits(samples)
    assert beat == pytest.approx(wanted["beat"].numpy(), abs=1e-5)
    assert downbeat == pytest.approx(wanted["downbeat"].numpy(), abs=1e-5)
    assert beat.std() > 0.001


@pytest.mark.parametrize("changes", [{}, {"sum_head": False, "n_layers": 2}])
def test_a_checkpoint_is_read_as_the_package_reads_it(package: Any, tmp_path: Path, changes: dict[str, Any]):
    path = save(build(**changes), tmp_path / "beat_this-own.ckpt", **changes)
    model = load_beat_model("own", repo=tmp_path)
    assert model is not None
    spectrogram = torch.from_numpy(log_mel(NOISE[:9000], 0, 20))[None]
    with torch.inference_mode():
        theirs, ours = package.load_model(str(path))(spectrogram), model.network(spectrogram)
    assert torch.equal(theirs["downbeat"], ours["downbeat"])
    assert torch.equal(theirs["beat"], ours["beat"])


def test_beats_are_where_they_were_played(taught: Path):
    model = load_beat_model("clicks", repo=taught)
    assert model is not None
    beats = 0.41 + 0.47 * np.arange(120)  # over two chunks
    tracked = model.track(Sound(clicks(beats, beats[2::3], 58)))
    assert tracked.beats == pytest.approx(beats, abs=0.021)
    assert tracked.downbeats == pytest.approx(beats[2::3], abs=0.021)
    assert 0.9 < tracked.confidence <= 1


@pytest.mark.parametrize("samples", [0, 1, 300, ANALYSIS_RATE])
def test_silence_has_no_beats(samples: int):
    network = build().eval()
    with torch.no_grad():
        network.task_heads.beat_downbeat_lin.bias += 100  # hears beats everywhere
    tracked = BeatModel(network, "small", "cpu").track(Sound(np.zeros(samples, np.float32)))
    assert not len(tracked.beats)
    assert tracked.confidence == 0


def test_short_sounds_are_taken(taught: Path):
    model = load_beat_model("clicks", repo=taught)
    assert model is not None
    for samples in (1, 2, 400, 600, 7000):
        model.track(Sound(NOISE[:samples]))


def test_the_record_says_which_way_found_the_beats(taught: Path, stems: dict[StemType, Path]):
    model = load_beat_model("clicks", repo=taught)
    assert model is not None
    with_it, without = analyse_song(stems, beat_tracker=model), analyse_song(stems)
    for result, tracker in ((with_it, model.label), (without, "pulse readings")):
        assert result.song["beatTracker"] == result.stems[StemType.DRUMS]["beatTracker"] == tracker
        assert result.stems[StemType.BASS].get("beatTracker") is None
        assert result.stems[StemType.BASS]["unmeasured"]["beatTracker"] == "the stem is silent"
        assert result.song["bpm"] == pytest.approx(120, rel=0.01)
        SongMusic.model_validate(result.song)
    drums = with_it.stems[StemType.DRUMS]
    assert with_it.song["timeSignature"] == "4/4"
    assert [beat["time"] for beat in drums["beats"]] == pytest.approx(BEATS, abs=0.021)
    assert [beat["position"] for beat in drums["beats"]] == [(place - 1) % 4 + 1 for place in range(40)]
    assert with_it.song["alternativeBpm"] is None


def test_a_network_that_finds_nothing_is_named_by_the_reason(stems: dict[StemType, Path]):
    network = build().eval()
    with torch.no_grad():
        network.task_heads.beat_downbeat_lin.bias -= 100
    result = analyse_song(stems, beat_tracker=BeatModel(network, "beat_this-deaf@0", "cpu"))
    assert result.song["beatTracker"] is None
    reasons = result.stems[StemType.DRUMS]["unmeasured"]
    for name in ("bpm", "beats", "beatTracker"):
        assert reasons[name] == "beat_this-deaf@0 found no steady beats"


def test_the_command_takes_them_or_says_that_there_are_none(
    stems: dict[StemType, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for stem, path in stems.items():
        path.rename(tmp_path / f"{stem.lower()}.wav")
    out = tmp_path / "result.json"
    command = ["analysis", "--stems", str(tmp_path), "--out", str(out), "--beat-model", "own"]
    monkeypatch.setattr(sys, "argv", command)
    assert analysis_command() == 1
    assert "no weights own" in capsys.readouterr().err
    network = build()
    with torch.no_grad():
        network.task_heads.beat_downbeat_lin.bias -= 100
    save(network, tmp_path / "torch" / "hub" / "checkpoints" / "beat_this-own.ckpt")
    assert analysis_command() == 0
    assert "beat_this-own@" in json.loads(out.read_text())["stems"]["Drums"]["unmeasured"]["beats"]


NAMES = ModelNames(
    stem_model="preview", stem_model_repo=None, beat_model="clicks", beat_model_repo=None, device="cpu"
)


def test_the_model_process_takes_them_and_says_so(taught: Path, stems: dict[StemType, Path], tmp_path: Path):
    engine = Engine(models=replace(NAMES, beat_model_repo=taught), device=Device(), recycle_after=5)
    try:
        ready = engine.wait_ready(lambda: False)
        assert ready.beat_tracker.startswith("beat_this-clicks@")
        task = AnalysisTask(stems, tmp_path)
        answer = engine.process(task, on_answer=lambda answer: None, should_stop=lambda: False)
        assert isinstance(answer, Analysed)
        assert answer.song["beatTracker"] == ready.beat_tracker
    finally:
        engine.stop()
