"""The preview network: what it promises to whoever separates with it. No Debian package is needed."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from demucs.apply import apply_model
from safetensors.torch import load_file, save_file

from gpu_worker.separation.preview.network import SOURCES, WEIGHTS, MaskNet, WeightsError, load, save


@pytest.fixture(scope="module")
def network() -> MaskNet:
    return load()


def noise(seconds: float, level: float = 0.1) -> torch.Tensor:
    return level * torch.randn(1, 2, int(44100 * seconds), generator=torch.Generator().manual_seed(1))


def decibels(error: torch.Tensor, reference: torch.Tensor) -> float:
    return float(20 * torch.log10(error.norm() / reference.norm()))


def test_it_looks_like_htdemucs_to_demucs(network: MaskNet) -> None:
    assert network.sources == ["drums", "bass", "other", "vocals"]
    assert (network.samplerate, network.audio_channels) == (44100, 2)
    assert network.segment > 0
    assert not network.training
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_masks_sum_to_one(network: MaskNet) -> None:
    with torch.inference_mode():
        masks = network.masks(network.stft(noise(1.0, level=1.0)))
    assert masks.shape[1:4] == (len(SOURCES), 2, network.nfft // 2 + 1)
    assert float(masks.min()) >= 0
    assert torch.allclose(masks.sum(dim=1), torch.ones(()), atol=1e-5)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 2.3])
def test_stems_sum_to_the_mixture(network: MaskNet, seconds: float) -> None:
    mix = noise(seconds)
    with torch.inference_mode():
        stems = network(mix)
    assert stems.shape == (1, 4, *mix.shape[1:])
    assert decibels(stems.sum(dim=1) - mix, mix) < -100


def test_stems_follow_the_level_of_the_mixture(network: MaskNet) -> None:
    mix = noise(1.0)
    with torch.inference_mode():
        assert decibels(network(mix / 8) * 8 - network(mix), mix) < -40


def test_silence_stays_silence(network: MaskNet) -> None:
    with torch.inference_mode():
        assert float(network(torch.zeros(1, 2, 20000)).abs().max()) == 0


# A stride of 6 s leaves 200 samples, less than a window, for the last chunk.
def test_apply_model_takes_it_with_a_short_last_chunk(network: MaskNet) -> None:
    mix = noise(6.0 + 200 / 44100)
    stems = apply_model(network, mix, shifts=0, overlap=0.25)
    assert stems.shape == (1, 4, *mix.shape[1:])
    assert decibels(stems.sum(dim=1) - mix, mix) < -100


def test_the_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size <= 10_000_000


def test_saved_weights_load_again(network: MaskNet, tmp_path: Path) -> None:
    save(network, tmp_path / "copy.safetensors")
    copy = load(tmp_path / "copy.safetensors").state_dict()
    assert all(torch.equal(copy[name], value) for name, value in network.state_dict().items())


def test_a_network_of_other_arguments_loads(tmp_path: Path) -> None:
    small = MaskNet(nfft=1024, hop=256, channels=4, hidden=8, dilations=(1,), fine_bins=256)
    save(small, tmp_path / "small.safetensors")
    assert load(tmp_path / "small.safetensors").arguments == small.arguments


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "missing.safetensors")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    path.write_bytes(WEIGHTS.read_bytes()[: WEIGHTS.stat().st_size // 2])
    assert "cannot be read" in refusal(path)


def test_a_file_with_one_flipped_bit_is_refused(tmp_path: Path) -> None:
    content = bytearray(WEIGHTS.read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / "flipped.safetensors"
    path.write_bytes(content)
    assert "checksum" in refusal(path)


def test_other_models_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    assert "not those of a preview model" in refusal(path)
    save_file(load_file(WEIGHTS), path, metadata={"arguments": '{"channels": 8}'})
    assert "not those of a preview model" in refusal(path)


def test_importing_it_loads_nothing_heavy_but_torch() -> None:
    script = (
        "import sys, gpu_worker.separation.preview.network;"
        "print(sorted({'demucs', 'librosa', 'scipy', 'soundfile', 'pyworld'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
