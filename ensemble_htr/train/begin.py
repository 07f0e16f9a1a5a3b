"""Where a run begins: fresh weights, or what other weights already know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ensemble_htr.assets import resolve
from ensemble_htr.errors import AssetError
from ensemble_htr.recognizers.weights import load_weights

__all__ = ["begin_from", "decayed", "grown", "learning", "share_of_rate", "weights_named"]

_OF_THE_ALPHABET = (
    *("head.", "next.", "embed.", "shortcut."),
    *("language.next.", "language.embed."),
)
_SMALL = 0.1  # what a new character's row keeps of its first random values
_SELDOM = -2.0  # nats below the mean bias: a new character is not read before it is learned


def weights_named(name: str) -> Path:
    """The weights that a recipe's ``init`` means: a file, or a recognizer on the models shelf.

    Raises `UsageError` or `AssetError` where there is neither.
    """
    path = Path(name)
    return path if path.is_file() else resolve("models", name) / "model.safetensors"


def begin_from(path: Path, net: nn.Module, alphabet: Sequence[str]) -> str:
    """Take over the tensors of other weights that have the name and shape of one of ``net``'s; of
    those that depend on the alphabet the rows of the characters that both have (see `grown`). Says
    how many.

    Raises `AssetError` for weights that cannot be read or have nothing in common with ``net``.
    """
    given, own = load_weights(path), net.state_dict()
    taken = {}
    for name, value in given.tensors.items():
        if name not in own or not value.ndim:  # a count says nothing
            continue
        value = value.to(own[name].dtype)
        if tuple(given.alphabet) != tuple(alphabet) and name.startswith(_OF_THE_ALPHABET):
            if value.shape[1:] != own[name].shape[1:]:
                continue
            value = grown(name, value, own[name], given.alphabet, alphabet)
        if own[name].shape == value.shape:
            taken[name] = value
    if not taken:
        raise AssetError(
            f"{path}: a {given.architecture} of other sizes: none of its tensors fits this network"
        )
    net.load_state_dict(taken, strict=False)
    return f"{path}: {len(taken)} of {len(own)} tensors taken over"


def grown(
    name: str, old: Tensor, fresh: Tensor, before: Sequence[str], after: Sequence[str]
) -> Tensor:
    """``old`` with a row for every character of the alphabet ``after``: copied to the bit for those
    that ``before`` has, small for new ones.

    A tensor has rows for the blank (or the end) and each character, once or, where a head says
    several frames, several times; an embedding also for the beginning of the line, its last.
    """
    extra = 2 if "embed." in name else 1
    places = {token: i + 1 for i, token in enumerate(before)}
    wanted = [0, *(places.get(token, -1) for token in after)]
    if extra == 2:
        wanted.append(len(before) + 1)
    times = len(old) // (len(before) + extra)
    rows = old.view(times, len(before) + extra, *old.shape[1:])
    new = fresh.view(times, len(after) + extra, *fresh.shape[1:]).clone() * _SMALL
    if old.ndim == 1:
        new[:] = rows[:, 1:].mean(1, keepdim=True) + _SELDOM
    kept = torch.tensor([i for i, at in enumerate(wanted) if at >= 0])
    new[:, kept] = rows[:, [at for at in wanted if at >= 0]]
    return new.view(fresh.shape)


def learning(net: nn.Module, frozen_norms: bool) -> None:
    """Set ``net`` to learn; frozen batch norms keep the running statistics that they have."""
    net.train()
    for module in net.modules() if frozen_norms else ():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def share_of_rate(step: int, total: int, warmup: float, final: float) -> float:
    """The share of the peak rate at ``step`` of ``total``: up in a line over the share ``warmup``
    of all steps, then down a cosine to ``final`` (Loshchilov & Hutter, 2017)."""
    warm = max(1.0, warmup * total)
    if step < warm:
        return min(1.0, (step + 1) / warm)
    done = min(1.0, (step - warm) / max(1.0, total - warm))
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))


def decayed(net: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Parameter groups: weight decay for matrices and kernels, none for norms and biases."""
    flat = [p for p in net.parameters() if p.ndim < 2]
    deep = [p for p in net.parameters() if p.ndim >= 2]
    return [{"params": deep, "weight_decay": decay}, {"params": flat, "weight_decay": 0.0}]
