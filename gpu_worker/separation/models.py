"""Models by name: htdemucs and its kin as Demucs loads them, the preview model, and `auto`."""

import logging
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import huggingface_hub.constants
import torch
from demucs.apply import BagOfModels
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from demucs.pretrained import get_model

from gpu_worker.errors import ModelUnavailableError
from gpu_worker.weights import digest

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "htdemucs"
PREVIEW = "preview"
AUTO = "auto"
CONNECT_SECONDS = 2.0

PREVIEW_NOTE = (
    "Separated with the PREVIEW model: it was trained on rendered music only, so expect leaks between the "
    "stems of real recordings. For htdemucs, connect to the network or set STEM_MODEL_REPO to its weights."
)


Network = BagOfModels | Demucs | HDemucs | HTDemucs
"""What `demucs.apply.apply_model` takes; the preview model has the same attributes."""


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, and how to name it in records."""

    network: "Network"
    name: str
    digest: str
    device: str
    note: str | None = None
    """What users must be told of this model."""

    @property
    def label(self) -> str:
        """Name and weights digest, as `separationModel` holds them."""
        return f"{self.name}@{self.digest}"

    @property
    def sources(self) -> list[str]:
        """Names of the stems, in the order of the network's output."""
        return list(self.network.sources)

    @property
    def segment_seconds(self) -> float:
        """Length of the pieces that the network works on."""
        network = self.network
        return float(network.max_allowed_segment if isinstance(network, BagOfModels) else network.segment)


def load_model(name: str, *, repo: Path | None = None, device: str = "auto") -> LoadedModel:
    """Load a model by name.

    Parameters
    ----------
    name : str
        A name that Demucs knows (`htdemucs`), `preview`, or `auto`: htdemucs where its weights can be had,
        else, loudly, the preview model.
    repo : Path, optional
        Folder of weights, instead of network and cache.
    device : str
        `cpu`, `cuda`, `mps`, or `auto` for the fastest that is there.

    Raises
    ------
    ModelUnavailableError
        If the weights can't be had.
    """
    device = _pick_device(device)
    if name == PREVIEW:
        return _load_preview(device)
    if name != AUTO:
        return _load_demucs(name, repo, device)
    if repo is None and not _weights_host_answers():
        # Without a network only a cache can have them: keep the library from long tries.
        huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        return _load_demucs(DEFAULT_MODEL, repo, device)
    except ModelUnavailableError as error:
        logger.warning("%s", error)
        logger.warning("%s", PREVIEW_NOTE)
        return _load_preview(device)


def _load_demucs(name: str, repo: Path | None, device: str) -> LoadedModel:
    try:
        network = get_model(name, repo=repo)
    except (Exception, SystemExit) as error:
        where = f"the folder {repo} (STEM_MODEL_REPO)" if repo else "the network, nor in Demucs' cache"
        raise ModelUnavailableError(
            f"The weights of {name} can't be had from {where}: {error}. Set STEM_MODEL_REPO to a folder that "
            f"holds {name}.yaml and its .th files, or STEM_MODEL=preview for a small model that needs none."
        ) from error
    return _loaded(network, name, device)


def _load_preview(device: str) -> LoadedModel:
    from gpu_worker.separation.preview.network import load

    return _loaded(cast(Network, load()), PREVIEW, device, note=PREVIEW_NOTE)


def _loaded(network: Network, name: str, device: str, note: str | None = None) -> LoadedModel:
    network = network.to(device).eval()
    return LoadedModel(network=network, name=name, digest=digest(network), device=device, note=note)


def _pick_device(device: str) -> str:
    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _weights_host_answers() -> bool:
    host = urlsplit(huggingface_hub.constants.ENDPOINT).hostname
    try:
        socket.create_connection((host, 443), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
