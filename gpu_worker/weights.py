"""How the weights of a network are named in records."""

import hashlib

import torch


def digest(network: torch.nn.Module) -> str:
    """Return eight hex digits of the SHA-256 of all weights."""
    hashed = hashlib.sha256()
    for key, tensor in sorted(network.state_dict().items()):
        hashed.update(key.encode())
        hashed.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()[:8]
