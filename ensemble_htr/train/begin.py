"""Where a run begins: fresh weights, or what other weights already know."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ensemble_htr.assets import resolve
from ensemble_htr.errors import AssetError
from ensemble_htr.recognizers.weights import load_weights

__all__ = ["begin_from", "decayed", "weights_named"]

_OF_THE_ALPHABET = ("head.", "next.", "embed.", "shortcut.")


def weights_named(name: str) -> Path:
    """The weights that a recipe's ``init`` means: a file, or a recognizer on the models shelf.

    Raises `UsageError` or `AssetError` where there is neither.
    """
    path = Path(name)
    return path if path.is_file() else resolve("models", name) / "model.safetensors"


def begin_from(path: Path, net: nn.Module, alphabet: Sequence[str]) -> str:
    """Take over the tensors of other weights that have the name and shape of one of ``net``'s
    (those that depend on the alphabet only where it is the same); says how many.

    Raises `AssetError` for weights that cannot be read or have nothing in common with ``net``.
    """
    given, own = load_weights(path), net.state_dict()
    apart = () if tuple(given.alphabet) == tuple(alphabet) else _OF_THE_ALPHABET
    taken = {
        name: value.to(own[name].dtype)
        for name, value in given.tensors.items()
        if name in own
        and own[name].shape == value.shape
        and value.ndim  # a count says nothing
        and not name.startswith(apart)
    }
    if not taken:
        raise AssetError(
            f"{path}: a {given.architecture} of other sizes: none of its tensors fits this network"
        )
    net.load_state_dict(taken, strict=False)
    return f"{path}: {len(taken)} of {len(own)} tensors taken over"


def decayed(net: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Parameter groups: weight decay for matrices and kernels, none for norms and biases."""
    flat = [p for p in net.parameters() if p.ndim < 2]
    deep = [p for p in net.parameters() if p.ndim >= 2]
    return [{"params": deep, "weight_decay": decay}, {"params": flat, "weight_decay": 0.0}]
