"""MaskNet: a small network that separates a mix into drums, bass, other and vocals by spectrogram masks.

It stands in for htdemucs where its weights cannot be had (see MODEL_CARD.md beside this module), and
``demucs.apply.apply_model`` takes it just like htdemucs. Only torch and safetensors are imported, because the
worker's start-up waits for this module.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

SOURCES = ["drums", "bass", "other", "vocals"]
WEIGHTS = Path(__file__).with_name("preview.safetensors")

# The network sees log(1 + GAIN * magnitude): quiet partials stay visible beside loud ones.
GAIN = 30
# Each of the three levels of the U-Net divides the frequency axis by four.
LEVELS = 3
STRIDE = 4


class WeightsError(Exception):
    """The file of weights is missing, damaged, or of another network; the message is one sentence."""


class FrameNorm(nn.Module):
    """Normalise each frame over channels and frequency, so that loud frames do not leak into quiet ones."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(channels))
        self.b = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, frames) or (batch, channels, bins, frames) to the same shape."""
        axes = (1, 2) if x.ndim == 4 else (1,)
        variance, mean = torch.var_mean(x, axes, keepdim=True, unbiased=False)
        per_channel = (1, -1) + (1,) * (x.ndim - 2)
        normal = (x - mean) * torch.rsqrt(variance + 1e-5)
        return normal * self.g.view(per_channel) + self.b.view(per_channel)


class DilatedBlock(nn.Module):
    """A residual, gated convolution over time; the dilation sets how far it looks."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.norm = FrameNorm(channels)
        self.conv = nn.Conv1d(channels, 2 * channels, 3, dilation=dilation, padding=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, frames) to the same shape."""
        return x + F.glu(self.conv(self.norm(x)), dim=1)


class MaskNet(nn.Module):
    """U-Net over frequency with dilated convolutions over time, and one softmax mask for each source.

    The masks of the four sources sum to one in every time-frequency cell, so the stems sum to the mixture.

    Parameters
    ----------
    nfft, hop : int
        Window (Hann) and hop of the spectrogram in samples.
    channels : int
        Channels after the first level of the U-Net; each further level has twice as many.
    hidden : int
        Channels of the convolutions over time.
    dilations : sequence of int
        Dilation in frames of each convolution over time.
    segment : float
        Seconds that ``apply_model`` passes at a time.
    fine_bins, coarse : int
        The lowest `fine_bins` bins (up to 5.5 kHz) are seen singly, those above in groups of `coarse`.
    samplerate, audio_channels : int
        What ``apply_model`` has to deliver: Hz and number of channels.
    """

    window: Tensor

    def __init__(
        self,
        nfft: int = 4096,
        hop: int = 1024,
        channels: int = 24,
        hidden: int = 256,
        dilations: Sequence[int] = (1, 2, 4, 1, 2, 4),
        segment: float = 8.0,
        fine_bins: int = 512,
        coarse: int = 4,
        samplerate: int = 44100,
        audio_channels: int = 2,
    ) -> None:
        super().__init__()
        self.arguments = {
            "nfft": nfft,
            "hop": hop,
            "channels": channels,
            "hidden": hidden,
            "dilations": list(dilations),
            "segment": segment,
            "fine_bins": fine_bins,
            "coarse": coarse,
            "samplerate": samplerate,
            "audio_channels": audio_channels,
        }
        self.sources = SOURCES
        self.samplerate = samplerate
        self.audio_channels = audio_channels
        self.segment = segment
        self.nfft = nfft
        self.hop = hop
        self.fine_bins = fine_bins
        self.coarse = coarse
        self.register_buffer("window", torch.hann_window(nfft), persistent=False)

        bins = fine_bins + (nfft // 2 - fine_bins) // coarse
        flat = 4 * channels * (bins // STRIDE**LEVELS)
        masks = len(SOURCES) * audio_channels
        widths = [audio_channels, channels, 2 * channels, 4 * channels]
        # Upwards the input of a level is its skip connection beside what comes from the level below.
        widths_up = [4 * channels, 2 * channels, channels, masks + 4]

        self.down = nn.ModuleList(
            nn.Conv2d(a, b, (STRIDE, 3), (STRIDE, 1), (0, 1)) for a, b in pairwise(widths)
        )
        self.dnorm = nn.ModuleList(FrameNorm(width) for width in widths[1:])
        self.inp = nn.Conv1d(flat, hidden, 1)
        self.time = nn.ModuleList(DilatedBlock(hidden, dilation) for dilation in dilations)
        self.tnorm = FrameNorm(hidden)
        self.outp = nn.Conv1d(hidden, flat, 1)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * a, b, (STRIDE, 3), (STRIDE, 1), (0, 1)) for a, b in pairwise(widths_up)
        )
        self.unorm = nn.ModuleList(FrameNorm(width) for width in widths_up[1:])
        self.fine = nn.Conv2d(widths_up[-1] + audio_channels, masks, 3, 1, 1)

    def valid_length(self, length: int) -> int:
        """Samples that ``apply_model`` passes for a chunk of `length`: at least a window."""
        return max(length, self.nfft)

    def stft(self, audio: Tensor) -> Tensor:
        """Spectrogram of (..., samples), at least nfft of them: complex (..., nfft // 2 + 1, frames)."""
        spectrum = torch.stft(
            audio.flatten(0, -2),
            self.nfft,
            self.hop,
            window=self.window,
            return_complex=True,
            normalized=True,
        )
        return spectrum.reshape(*audio.shape[:-1], *spectrum.shape[-2:])

    def istft(self, spectrum: Tensor, length: int) -> Tensor:
        """Inverse of `stft`: `length` samples."""
        audio = torch.istft(
            spectrum.flatten(0, -3), self.nfft, self.hop, window=self.window, length=length, normalized=True
        )
        return audio.reshape(*spectrum.shape[:-2], length)

    def masks(self, spectrum: Tensor) -> Tensor:
        """Estimate how much of each time-frequency cell belongs to each source.

        Parameters
        ----------
        spectrum : Tensor
            Complex (batch, audio channels, nfft // 2 + 1, frames), of a mix of standard deviation 1.

        Returns
        -------
        Tensor
            (batch, sources, audio channels, nfft // 2 + 1, frames) in [0, 1], summing to 1 over the sources.
        """
        features = self._features(spectrum)
        x = features
        skips = []
        for conv, norm in zip(self.down, self.dnorm, strict=True):
            x = F.gelu(norm(conv(x)))
            skips.append(x)

        shape = x.shape
        z = self.inp(x.flatten(1, 2))
        for block in self.time:
            z = block(z)
        x = F.gelu(self.outp(F.gelu(self.tnorm(z)))).reshape(shape)

        for conv, norm, skip in zip(self.up, self.unorm, reversed(skips), strict=True):
            x = F.gelu(norm(conv(torch.cat([x, skip], dim=1))))
        logits = self.fine(torch.cat([x, features], dim=1))
        masks = logits.reshape(len(logits), len(SOURCES), self.audio_channels, *logits.shape[2:]).softmax(
            dim=1
        )

        low, high = masks[..., : self.fine_bins, :], masks[..., self.fine_bins :, :]
        masks = torch.cat([low, high.repeat_interleave(self.coarse, dim=3)], dim=3)
        # The Nyquist bin, which the features leave out, is shared equally.
        return F.pad(masks, (0, 0, 0, 1), value=1 / len(SOURCES))

    def _features(self, spectrum: Tensor) -> Tensor:
        """Log-magnitudes without the Nyquist bin: fine at the bottom, averaged in groups above."""
        magnitude = spectrum[:, :, :-1].abs()
        low, high = magnitude[:, :, : self.fine_bins], magnitude[:, :, self.fine_bins :]
        grouped = high.reshape(*high.shape[:2], -1, self.coarse, high.shape[-1]).mean(dim=3)
        return torch.log1p(torch.cat([low, grouped], dim=2) * GAIN)

    def forward(self, mix: Tensor) -> Tensor:
        """Separate a mix.

        Parameters
        ----------
        mix : Tensor
            (batch, audio channels, samples) at `samplerate`, of any length and level.

        Returns
        -------
        Tensor
            (batch, sources, audio channels, samples), in the order of `sources`; they sum to the mix.
        """
        length = mix.shape[-1]
        level = mix.std((1, 2), keepdim=True) + 1e-5
        spectrum = self.stft(F.pad(mix / level, (0, max(0, self.nfft - length))))
        stems = self.masks(spectrum) * spectrum[:, None]
        return self.istft(stems, length) * level[:, None]


def load(path: Path = WEIGHTS) -> MaskNet:
    """Load a network from a file that `save` wrote, in float32 and ready to separate.

    Parameters
    ----------
    path : Path
        A safetensors file with the network's arguments in its header; the one beside this module by default.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, or holds another network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"The preview model's weights at {path} cannot be read: {error}.") from error
    digest = _digest(tensors)
    if header.get("sha256", digest) != digest:
        raise WeightsError(
            f"The preview model's weights at {path} are damaged: their checksum does not match."
        )
    try:
        network = MaskNet(**json.loads(header["arguments"]))
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(f"The weights at {path} are not those of a preview model: {error!r}.") from error
    return network.eval()


def save(network: MaskNet, path: Path) -> None:
    """Write a network's weights in half precision, with its arguments and a checksum in the header."""
    tensors = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    save_file(
        tensors, path, metadata={"arguments": json.dumps(network.arguments), "sha256": _digest(tensors)}
    )


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()
