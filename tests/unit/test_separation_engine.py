from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from demucs.apply import BagOfModels, apply_model
from demucs.htdemucs import HTDemucs

from gpu_worker.errors import ModelUnavailableError
from gpu_worker.separation.engine import separate
from gpu_worker.separation.models import LoadedModel, load_model

RATE = 44_100
SIXTEEN_BITS = 2**-15


@pytest.fixture(scope="module")
def preview() -> LoadedModel:
    return load_model("preview", device="cpu")


@pytest.fixture(scope="module")
def small_htdemucs() -> LoadedModel:
    """The architecture of htdemucs, small and untrained, in a bag as it is published."""
    torch.manual_seed(1)
    sources = ["drums", "bass", "other", "vocals"]
    network = HTDemucs(sources, channels=8, t_layers=1, t_heads=1, segment=1, samplerate=RATE)
    return LoadedModel(network=BagOfModels([network]).eval(), name="small", digest="0", device="cpu")


def mix_file(path: Path, seconds: float) -> Path:
    rng = np.random.default_rng(int(seconds * 10))
    time = np.arange(int(seconds * RATE)) / RATE
    samples = 0.2 * np.sin(2 * np.pi * 220 * time)[:, None] + 0.05 * rng.standard_normal((len(time), 2))
    # Demucs adds the mix's mean to every source: without one, the sources can sum to the mix.
    sf.write(path, samples - samples.mean(), RATE, subtype="FLOAT")
    return path


def by_demucs(model: LoadedModel, path: Path) -> np.ndarray:
    """What Demucs' own Separator does with the whole song in memory."""
    mix = torch.from_numpy(sf.read(path, dtype="float32")[0].T)
    reference = mix.mean(0)
    level, spread = reference.mean(), reference.std(correction=0) + 1e-8
    with torch.inference_mode():
        sources = apply_model(model.network, ((mix - level) / spread)[None], shifts=0, overlap=0.25)[0]
    return (sources * spread + level).numpy()


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("preview", 0.15), ("preview", 8), ("preview", 15.3), ("small_htdemucs", 0.15), ("small_htdemucs", 2.9)],
)
def test_a_file_is_separated_as_demucs_does_it_in_memory(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, seconds: float
):
    model: LoadedModel = request.getfixturevalue(name)
    path = mix_file(tmp_path / "mix.wav", seconds)
    files = separate(model, path, tmp_path / "stems")
    expected = by_demucs(model, path)
    for source, file in files.items():
        samples, rate = sf.read(file, dtype="float32")
        assert rate == RATE
        wanted = expected[model.sources.index(source)].T
        assert samples.shape == wanted.shape
        assert np.abs(samples - np.clip(wanted, -1, 1)).max() <= 1.5 * SIXTEEN_BITS


def test_the_preview_stems_sum_to_the_mix(preview: LoadedModel, tmp_path: Path):
    path = mix_file(tmp_path / "mix.wav", 9)
    files = separate(preview, path, tmp_path / "stems")
    total = sum(sf.read(file)[0] for file in files.values())
    assert np.abs(total - sf.read(path)[0]).max() <= 4 * SIXTEEN_BITS


def test_silence_stays_silence(preview: LoadedModel, tmp_path: Path):
    sf.write(tmp_path / "mix.wav", np.zeros((RATE, 2)), RATE, subtype="FLOAT")
    for file in separate(preview, tmp_path / "mix.wav", tmp_path / "stems").values():
        assert not sf.read(file)[0].any()


def test_progress_rises_to_one(preview: LoadedModel, tmp_path: Path):
    shares: list[float] = []
    separate(preview, mix_file(tmp_path / "mix.wav", 20), tmp_path / "stems", on_progress=shares.append)
    assert shares == sorted(shares)
    assert len(shares) > 2
    assert shares[-1] == 1


def test_a_folder_without_the_weights_is_named(tmp_path: Path):
    with pytest.raises(ModelUnavailableError, match=f"{tmp_path}.*STEM_MODEL_REPO"):
        load_model("htdemucs", repo=tmp_path)


def test_weights_from_a_folder_load_and_are_named_by_their_digest(
    tmp_path: Path, small_htdemucs: LoadedModel
):
    network = small_htdemucs.network.models[0]
    arguments, keywords = network._init_args_kwargs
    package = {"klass": HTDemucs, "args": arguments, "kwargs": keywords, "state": network.state_dict()}
    torch.save(package, tmp_path / "abcd.th")
    (tmp_path / "htdemucs.yaml").write_text("models: [abcd]\n")
    model = load_model("htdemucs", repo=tmp_path, device="cpu")
    assert model.label.startswith("htdemucs@")
    assert len(model.digest) == 8
    assert model.note is None
    again = load_model("auto", repo=tmp_path, device="cpu")
    assert again.label == model.label


def test_auto_falls_back_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    model = load_model("auto", repo=tmp_path, device="cpu")
    assert model.name == "preview"
    assert model.note
    assert "PREVIEW" in model.note
    assert model.note in caplog.text
