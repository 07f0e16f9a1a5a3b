"""What a network is asked to lessen: CTC on its frames, cross-entropy on what its decoder says."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["ctc", "dictation", "prefixes"]


def ctc(logits: Tensor, frames: Tensor, targets: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities ``(T, B, 1+V)`` of ``logits (B, T, 1+V)``, and the CTC loss (Graves et al.,
    2006) per character of each line ``(B,)``, nats. ``targets`` are all texts on end."""
    log_p = F.log_softmax(logits.float(), -1).transpose(0, 1)
    each = F.ctc_loss(log_p, targets, frames, lengths, reduction="none", zero_infinity=True)
    return log_p, each / lengths.clamp(min=1)


def prefixes(
    targets: Tensor, lengths: Tensor, symbols: int, wrong: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """What a decoder is shown (beginning, characters; a share ``wrong`` of them others, so that it
    learns to go on after its own errors) and what it shall say (characters, end; -1 = nothing):
    codes ``(B, longest + 1)``."""
    rows = torch.split(targets, lengths.tolist())
    size = int(lengths.max()) + 1
    shown = np.zeros((len(rows), size), np.int64)
    wanted = np.full((len(rows), size), -1, np.int64)
    for i, row in enumerate(rows):
        shown[i, 0], shown[i, 1 : len(row) + 1] = symbols + 1, row.numpy()
        wanted[i, : len(row)], wanted[i, len(row)] = row.numpy(), 0
    changed = rng.random(shown.shape) < wrong
    changed[:, 0] = False
    shown = np.where(changed & (shown > 0), rng.integers(1, symbols + 1, shown.shape), shown)
    return torch.from_numpy(shown), torch.from_numpy(wanted)


def dictation(said: Tensor, wanted: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of a decoder's logits ``(B, L, 1+V)``, nats a character, labels smoothed."""
    return F.cross_entropy(
        said.float().flatten(0, 1), wanted.flatten(), ignore_index=-1, label_smoothing=smoothing
    )
