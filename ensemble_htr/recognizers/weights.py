"""Weights on disk: fp16 safetensors whose metadata says all that is needed to use them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemble_htr.errors import AssetError, MissingDependencyError, OutputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Weights", "load_weights", "save_weights"]

FORMAT = "ensemble-htr-recognizer-1"
LARGEST = 64 << 20  # bytes
_KINDS = ("float16", "bfloat16", "float32", "int32", "int64")  # of numbers, as torch calls them


@dataclass(frozen=True, slots=True)
class Weights:
    """What a file of weights holds: all that is needed to build the network and to read with it."""

    architecture: str
    network: Mapping[str, Any]  # the sizes, as the network's config takes them
    alphabet: tuple[str, ...]  # column i + 1 of the posteriors is alphabet[i]
    profile: str  # normalisation of the text it was trained on
    tensors: Mapping[str, Tensor]  # fp16, without the auxiliary head
    facts: Mapping[str, Any]  # recipe, data hash, progress: where it comes from


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
    """Write under a temporary name and rename. Floating tensors are stored as fp16.

    Raises `OutputError` where ``path`` cannot be written.
    """
    try:
        import torch
        from safetensors.torch import save
    except ImportError as error:
        library = error.name or "safetensors"
        raise MissingDependencyError(library, "recognize", "writing weights") from None
    small = {}
    for name, value in tensors.items():
        value = value.detach().cpu()
        half = value.to(torch.float16) if value.dtype.is_floating_point else value
        small[name] = half.contiguous()
    words = {"architecture": architecture, "network": dict(network), "alphabet": list(alphabet)}
    words |= {"profile": profile, "facts": dict(facts)}
    meta = {"format": FORMAT, "model": json.dumps(words, ensure_ascii=False)}
    data = _in_order(save(small, meta))
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _in_order(data: bytes) -> bytes:
    """The file with sorted metadata (safetensors writes it in random order), else the same."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def load_weights(path: Path) -> Weights:
    """Read weights; raises `AssetError` for a file that is missing, damaged or not ours.

    Safetensors hold no code, so that a hostile file can be wrong but cannot act.
    """
    try:
        import torch  # noqa: F401 - safetensors hands out its tensors
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        library = error.name or "safetensors"
        raise MissingDependencyError(library, "recognize", "reading line images") from None
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise AssetError(f"{path}: {size >> 20} MB is too large for a recognizer")
        with safe_open(str(path), framework="pt") as file:
            meta = file.metadata() or {}
            if meta.get("format") != FORMAT:
                found = str(meta.get("format"))[:40]
                raise AssetError(
                    f"{path}: these weights are not of ensemble-htr "
                    f"(found format '{found}', wanted '{FORMAT}')"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        return _described(json.loads(meta["model"]), tensors)
    except OSError as error:
        raise AssetError(f"{path}: cannot read the weights: {error.strerror or error}") from None
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        reason = f"they lack {error}" if isinstance(error, KeyError) else str(error)
        reason = " ".join(reason.split())[:120]
        raise AssetError(f"{path}: the weights are damaged ({reason})") from None


def _described(words: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Weights:
    """Check what the metadata say; raises `ValueError`, `KeyError` or `TypeError`."""
    alphabet = words["alphabet"]
    if not isinstance(alphabet, list) or not all(isinstance(c, str) and c for c in alphabet):
        raise ValueError("their alphabet is no list of characters")
    if not alphabet or len(set(alphabet)) != len(alphabet):
        raise ValueError("their alphabet is empty or repeats a character")
    for name, tensor in tensors.items():
        kind = str(tensor.dtype).removeprefix("torch.")
        if kind not in _KINDS:
            raise ValueError(f"'{name}' holds {kind}, wanted one of {', '.join(_KINDS)}")
        if tensor.dtype.is_floating_point and not bool(tensor.isfinite().all()):
            raise ValueError(f"'{name}' holds values that are not finite")
    return Weights(
        str(words["architecture"]),
        dict(words["network"]),
        tuple(alphabet),
        str(words["profile"]),
        tensors,
        dict(words["facts"]),
    )
