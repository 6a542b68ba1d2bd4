"""Beats and downbeats by the network Beat This (Foscarin, Schlüter & Widmer 2024), where its weights are.

The package's own `inference` needs torchaudio, which has no build beside the worker's PyTorch: network and
postprocessing are the package's, reading a checkpoint, the spectrogram and the cutting into chunks are here.

`python -m gpu_worker.analysis.beat_model NAME` fetches weights into PyTorch's cache.
"""

import inspect
import logging
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import torch
from beat_this.model.beat_tracker import BeatThis
from beat_this.model.postprocessor import Postprocessor
from numpy.typing import NDArray

from gpu_worker.analysis.sound import ANALYSIS_RATE, Samples, Sound
from gpu_worker.analysis.tracked_beats import TrackedBeats
from gpu_worker.errors import ModelUnavailableError
from gpu_worker.weights import digest

logger = logging.getLogger(__name__)

URL = "https://cloud.cp.jku.at/public.php/dav/files/7ik4RrBKTS273gp/{name}.ckpt"
"""Where the authors publish their weights, under the MIT licence."""

PUBLISHED = {
    "final0": "8c328b45f59d8dd3dff219253ff6a8d6482be57d0133a29140e2febbf8eb8331",
    "small0": "6074be2c4d490c5f6101fcc374a1ec72ae93456e23bb6019783b849f5dc7d47b",
}
"""SHA-256 of the files that are fetched: the paper's network (81 MB), and a smaller one (8 MB)."""

HOP, WINDOW, BANDS = 441, 1024, 128
LOW_HERTZ, HIGH_HERTZ = 30.0, 11_000.0
COMPRESSION = 1000.0
FRAMES_PER_SECOND = ANALYSIS_RATE // HOP
"""50."""

CHUNK, BORDER = 1500, 6
"""Frames that the network sees at once, as in its training, and those at either end that are discarded."""

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class BeatModel:
    """The network in memory, and how to name it in records."""

    network: torch.nn.Module
    label: str
    """Name and weights digest, as `beatTracker` holds them."""
    device: str

    def track(self, song: Sound) -> TrackedBeats:
        """Find beats and downbeats of a song; memory beside the song's is that of one chunk."""
        if song.is_silent:
            return TrackedBeats(np.empty(0), np.empty(0), confidence=0.0)
        beat, downbeat = self.logits(song.samples)
        beats, downbeats = Postprocessor(type="minimal", fps=FRAMES_PER_SECOND)(
            torch.from_numpy(beat), torch.from_numpy(downbeat)
        )
        # Two peaks side by side are one between them; the higher one says how sure it is.
        frames = np.floor(np.asarray(beats) * FRAMES_PER_SECOND + 1e-6).astype(int)
        heights = np.maximum(beat[frames], beat[np.minimum(frames + 1, len(beat) - 1)])
        return TrackedBeats(
            beats=np.asarray(beats, np.float64),
            downbeats=np.asarray(downbeats, np.float64),
            confidence=float(np.mean(1 / (1 + np.exp(-heights)))) if len(frames) else 0.0,
        )

    def logits(self, samples: Samples) -> tuple[Frames, Frames]:
        """Return the logits of beat and downbeat, each (frames,) at FRAMES_PER_SECOND."""
        count = frame_count(samples)
        logits = np.empty((2, count), np.float32)
        done = 0
        for start in _chunk_starts(count):
            end = min(start + CHUNK - 2 * BORDER, count)
            heard = self._apply(_padded(samples, start - BORDER, end + BORDER))[:, BORDER:-BORDER]
            logits[:, done:end] = heard[:, done - start :]
            done = end
        return logits[0], logits[1]

    def _apply(self, spectrogram: Frames) -> Frames:
        with torch.inference_mode():
            output = self.network(torch.from_numpy(spectrogram)[None].to(self.device))
        heard: Frames = torch.cat([output["beat"], output["downbeat"]]).float().cpu().numpy()
        return heard


def load_beat_model(name: str, *, repo: Path | None = None, device: str = "cpu") -> BeatModel | None:
    """Load the network; None, and said in the log, if no weights are at hand.

    Parameters
    ----------
    name : str
        The weights' name, such as `final0`; if empty, none are wanted.
    repo : Path, optional
        Folder that holds `beat_this-NAME.ckpt`; else PyTorch's cache is looked at, never the network.
    device : str
        That of the separation model.

    Raises
    ------
    ModelUnavailableError
        If the file is damaged or none of Beat This, or if `repo` lacks it.
    """
    if not name:
        logger.info("BEAT_MODEL is empty: beats by our own pulse readings")
        return None
    path = weights_file(name, repo or cache_folder())
    if not path.is_file():
        if repo:
            raise ModelUnavailableError(
                f"BEAT_MODEL_REPO has no weights of BEAT_MODEL {name}: no file {path}."
            )
        logger.info("No weights of Beat This at %s: beats by our own pulse readings", path)
        return None
    try:
        network = _read(path)
        _check(network)
    except Exception as error:
        raise ModelUnavailableError(
            f"{path} holds no usable weights of Beat This: {_reason(error)}. "
            "Fetch them again, or set BEAT_MODEL= to do without."
        ) from error
    return BeatModel(network.to(device), f"{path.stem}@{digest(network)}", device)


def fetch(name: str) -> Path:
    """Fetch published weights into PyTorch's cache, if they are not there.

    Raises
    ------
    ModelUnavailableError
        If they can't be had, or are not those of PUBLISHED.
    """
    if name not in PUBLISHED:
        raise ModelUnavailableError(
            f"{name} is not among the weights that can be fetched: {', '.join(PUBLISHED)}."
        )
    path = weights_file(name, cache_folder())
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(
                URL.format(name=name), str(path), hash_prefix=PUBLISHED[name], progress=False
            )
        except (OSError, RuntimeError) as error:
            raise ModelUnavailableError(f"The weights {name} of Beat This can't be had: {error}.") from error
    return path


def cache_folder() -> Path:
    """Where PyTorch keeps weights, below TORCH_HOME."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def weights_file(name: str, folder: Path) -> Path:
    """Where weights lie in a folder, by the authors' name of the file."""
    return folder / f"beat_this-{name}.ckpt"


def frame_count(samples: Samples) -> int:
    """Frames of a sound: one each HOP samples, the first at its beginning."""
    return 1 + len(samples) // HOP


def log_mel(samples: Samples, first: int, last: int) -> Frames:
    """Return the network's input, frames first to last of a sound's, of shape (frames, BANDS).

    What torchaudio's MelSpectrogram gives the package: frames of WINDOW samples centred on multiples of HOP
    (mirrored at the sound's ends), periodic Hann window, magnitudes over the square root of WINDOW, triangles
    of height 1 equally spaced on Slaney's mel scale from 30 to 11,000 Hz; then log(1 + 1000 x).
    """
    start, end = first * HOP - WINDOW // 2, (last - 1) * HOP + WINDOW // 2
    within = samples[max(0, start) : end]
    mirrored = np.pad(within, (max(0, -start), max(0, end - len(samples))), mode="reflect")
    spectrum = librosa.stft(mirrored, n_fft=WINDOW, hop_length=HOP, center=False)
    bands = _mel_filters() @ (np.abs(spectrum) / np.sqrt(WINDOW))
    logarithmic: Frames = np.log1p(COMPRESSION * bands.T).astype(np.float32)
    return logarithmic


@cache
def _mel_filters() -> Frames:
    filters: Frames = librosa.filters.mel(
        sr=ANALYSIS_RATE, n_fft=WINDOW, n_mels=BANDS, fmin=LOW_HERTZ, fmax=HIGH_HERTZ, htk=False, norm=None
    )
    return filters


def _chunk_starts(count: int) -> Iterator[int]:
    """The first frame of each chunk; the last chunk is whole, too, and overlaps the one before."""
    heard = CHUNK - 2 * BORDER
    for start in range(0, count, heard):
        yield max(0, min(start, count - heard))


def _padded(samples: Samples, first: int, last: int) -> Frames:
    """Frames first to last, zero where there are none."""
    count = frame_count(samples)
    inside = log_mel(samples, max(first, 0), min(last, count))
    return np.pad(inside, ((max(0, -first), max(0, last - count)), (0, 0)))


def _read(path: Path) -> torch.nn.Module:
    """Build the network that a checkpoint of PyTorch Lightning describes, as the authors publish them."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    settings: dict[str, Any] = checkpoint["hyper_parameters"]
    if settings.get("fps", FRAMES_PER_SECOND) != FRAMES_PER_SECOND:
        raise ValueError(f"made for {settings['fps']} frames a second, not {FRAMES_PER_SECOND}")
    known = inspect.signature(BeatThis).parameters
    network: torch.nn.Module = BeatThis(**{name: settings[name] for name in settings.keys() & known.keys()})
    weights = {key.removeprefix("model."): tensor for key, tensor in checkpoint["state_dict"].items()}
    network.load_state_dict(weights)
    return network.eval()


def _check(network: torch.nn.Module) -> None:
    """See that the network takes the spectrogram and answers with numbers, before a song is there."""
    model = BeatModel(network, label="", device="cpu")
    if not np.isfinite(model.logits(np.zeros(ANALYSIS_RATE, np.float32))).all():
        raise ValueError("its answers are no numbers")


def _reason(error: Exception) -> str:
    """One line of an error; PyTorch's own of files that are no checkpoints advises to run what they hold."""
    if isinstance(error, pickle.UnpicklingError):
        return "it is no checkpoint, or holds more than weights"
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(": .")


def main() -> int:
    """Fetch and verify weights: `python -m gpu_worker.analysis.beat_model NAME`."""
    if len(sys.argv) != 2:
        print(main.__doc__, file=sys.stderr)
        return 2
    try:
        fetch(sys.argv[1])
        model = load_beat_model(sys.argv[1])
    except ModelUnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    assert model is not None, "it was fetched"
    print(model.label)
    return 0


if __name__ == "__main__":
    sys.exit(main())
