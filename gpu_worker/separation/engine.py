"""Applies a model to a song of any length in constant memory.

Demucs' `apply_model` holds the whole mix and all sources in memory, and fails on long files in the buffer of
its overlap-add. Here the same overlap-add (same segments, same triangular weights) runs over a file, and each
stretch is written as soon as no later segment touches it.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile as sf
import torch
from demucs.apply import TensorChunk, apply_model

from gpu_worker.separation.models import LoadedModel

OVERLAP = 0.25
BLOCK = 1 << 20
EPSILON = 1e-8


def separate(
    model: LoadedModel,
    mix_path: Path,
    folder: Path,
    *,
    on_progress: Callable[[float], None] = lambda share: None,
) -> dict[str, Path]:
    """Separate a WAV into one 16-bit WAV a source.

    Parameters
    ----------
    model : LoadedModel
        The network to apply.
    mix_path : Path
        Stereo WAV at the model's sample rate.
    folder : Path
        Gets `drums.wav`, `bass.wav`, `other.wav`, `vocals.wav`.
    on_progress : callable
        Called with the share that is done, 0 to 1.

    Returns
    -------
    dict
        Source name to file, of exactly the mix's length.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {source: folder / f"{source}.wav" for source in model.sources}
    with sf.SoundFile(mix_path) as mix:
        level, spread = _level_and_spread(mix)
        rate, channels, length = mix.samplerate, mix.channels, mix.frames
        outputs = [sf.SoundFile(path, "w", rate, channels, subtype="PCM_16") for path in paths.values()]
        try:
            segment = int(rate * model.segment_seconds)
            stride = int((1 - OVERLAP) * segment)
            weight = _triangle(segment)
            total = np.zeros((len(outputs), channels, segment), dtype=np.float32)
            total_weight = np.zeros(segment, dtype=np.float32)
            for offset in range(0, length, stride):
                sources = _apply(model, mix, offset, segment, level, spread)
                here = sources.shape[-1]
                total[..., :here] += weight[:here] * sources
                total_weight[:here] += weight[:here]
                is_last = offset + stride >= length
                settled = here if is_last else stride
                stems = total[..., :settled] / total_weight[:settled] * spread + level
                for output, stem in zip(outputs, stems, strict=True):
                    output.write(np.clip(stem.T, -1, 1))
                total = _shift(total, settled)
                total_weight = _shift(total_weight, settled)
                on_progress(min(1.0, (offset + stride) / length))
        finally:
            for output in outputs:
                output.close()
    return paths


def _apply(
    model: LoadedModel, mix: sf.SoundFile, offset: int, segment: int, level: float, spread: float
) -> np.ndarray:
    """Return the sources of the segment at `offset`, shape (sources, channels, samples).

    The last segment may be short; Demucs then fills it up with the music before it, hence the wider window.
    """
    start = max(0, offset - segment)
    mix.seek(start)
    window = mix.read(offset + segment - start, dtype="float32", always_2d=True).T
    tensor = torch.from_numpy(np.ascontiguousarray((window - level) / spread))[None]
    chunk = TensorChunk(tensor, offset - start, segment)  # type: ignore[no-untyped-call]
    with torch.inference_mode():
        result = apply_model(model.network, chunk, shifts=0, split=False, device=model.device)
    sources: np.ndarray = result[0].cpu().numpy()
    return sources


def _level_and_spread(mix: sf.SoundFile) -> tuple[float, float]:
    """Return mean and standard deviation of the mono mix, by which Demucs normalises its input."""
    count, total, squares = 0, 0.0, 0.0
    mix.seek(0)
    for block in mix.blocks(blocksize=BLOCK, dtype="float64", always_2d=True):
        mono = block.mean(axis=1)
        count += len(mono)
        total += float(mono.sum())
        squares += float(mono @ mono)
    mean = total / count
    return mean, max(0.0, squares / count - mean**2) ** 0.5 + EPSILON


def _triangle(length: int) -> np.ndarray:
    rising = np.arange(1, length // 2 + 1, dtype=np.float32)
    falling = np.arange(length - length // 2, 0, -1, dtype=np.float32)
    weight = np.concatenate([rising, falling])
    normalised: np.ndarray = weight / weight.max()
    return normalised


def _shift(buffer: np.ndarray, count: int) -> np.ndarray:
    """Drop the first `count` samples and fill up with zeros."""
    shifted = np.zeros_like(buffer)
    shifted[..., : buffer.shape[-1] - count] = buffer[..., count:]
    return shifted
