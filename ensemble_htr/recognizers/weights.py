"""Weights on disk: fp16 safetensors whose metadata says all that is needed to use them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemble_htr.errors import AssetError, MissingDependencyError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Weights", "load_weights", "save_weights"]

FORMAT = "ensemble-htr-recognizer-1"
LARGEST = 64 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Weights:
    architecture: str
    network: Mapping[str, Any]
    alphabet: tuple[str, ...]
    profile: str
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def save_weights(
    path: Path,
    tensors: Mapping[str, Tensor],
    *,
    architecture: str,
    network: Mapping[str, Any],
    alphabet: Sequence[str],
    profile: str,
    facts: Mapping[str, Any],
) -> None:
    """Write under a temporary name and rename. Floating tensors are stored as fp16."""
    import torch
    from safetensors.torch import save

    small = {
        k: (v.detach().cpu().to(torch.float16) if v.dtype.is_floating_point else v.cpu()).contiguous()
        for k, v in tensors.items()
    }
    words = {"architecture": architecture, "network": dict(network), "alphabet": list(alphabet)}
    words |= {"profile": profile, "facts": dict(facts)}
    data = save(small, {"format": FORMAT, "model": json.dumps(words, ensure_ascii=False)})
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(data)
    temporary.replace(path)


def load_weights(path: Path) -> Weights:
    """Read weights; raises `AssetError` for a file that is missing, damaged or not ours."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise MissingDependencyError("safetensors", "recognize", "reading line images") from None
    try:
        if path.stat().st_size > LARGEST:
            raise AssetError(f"{path}: {path.stat().st_size >> 20} MB is too large for a recognizer")
        with safe_open(str(path), framework="pt") as file:
            meta = file.metadata() or {}
            if meta.get("format") != FORMAT:
                raise AssetError(
                    f"{path}: these weights are not of ensemble-htr "
                    f"(found format '{meta.get('format')}', wanted '{FORMAT}')"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        words = json.loads(meta["model"])
        return Weights(
            str(words["architecture"]),
            dict(words["network"]),
            tuple(words["alphabet"]),
            str(words["profile"]),
            tensors,
            dict(words["facts"]),
        )
    except OSError as error:
        raise AssetError(f"{path}: cannot read the weights: {error.strerror or error}") from None
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise AssetError(f"{path}: the weights are damaged ({error})") from None
