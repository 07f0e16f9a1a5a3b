"""Checkpoints of runs: written whole or not at all, read without running anything in them."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from ensemble_htr.errors import OutputError

__all__ = ["NAME", "UNLOADABLE", "read_checkpoint", "write_checkpoint"]

NAME = "last.pt"
UNLOADABLE = (  # what torch and a run raise for a file that is no checkpoint of it
    *(OSError, RuntimeError, EOFError, pickle.UnpicklingError),
    *(KeyError, TypeError, ValueError, AttributeError),
)


def write_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write ``state`` into ``folder`` under a temporary name and rename it; raises
    `OutputError`."""
    temporary = folder / f"{NAME}.part"
    try:
        torch.save(state, temporary)
        os.replace(temporary, folder / NAME)
    except (OSError, RuntimeError) as error:  # torch's own writer raises RuntimeError
        raise OutputError(f"{folder}: cannot write the checkpoint: {error}") from None


def read_checkpoint(folder: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `write_checkpoint` wrote, tensors on ``device``; raises one of `UNLOADABLE`."""
    return dict(torch.load(folder / NAME, map_location=device, weights_only=True))
