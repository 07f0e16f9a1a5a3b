"""How honest confidences are: expected calibration error, reliability bins, Brier score, AUROC.

All functions take ``confidences (n,)`` in [0, 1] and ``correct (n,)`` (booleans), and depend on
the multiset of pairs only, not on their order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["BINS", "Bin", "auroc", "brier", "ece", "reliability_bins"]

BINS = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of a reliability diagram: claimed confidence against the share that was right."""

    count: int
    confidence: float  # mean
    accuracy: float
    low: float  # smallest and largest confidence in the bin
    high: float


def reliability_bins(confidences: ArrayLike, correct: ArrayLike, bins: int = BINS) -> list[Bin]:
    """Cut the pairs into at most ``bins`` bins of equal mass by confidence, lowest first.

    Equal mass keeps every bin's mean well estimated (Nguyen and O'Connor 2015). Equal confidences
    are never torn apart: a group of ties goes, whole, where its middle rank falls, so a bin may
    be larger than the others or missing.
    """
    claimed, right = _pairs(confidences, correct)
    if len(claimed) == 0:
        return []
    _, group, sizes = np.unique(claimed, return_inverse=True, return_counts=True)
    middle = np.cumsum(sizes) - sizes / 2.0
    of_value = np.minimum((middle * bins / len(claimed)).astype(int), bins - 1)
    index = of_value[group.reshape(-1)]
    found: list[Bin] = []
    for number in np.unique(index):
        inside = index == number
        part = claimed[inside]
        found.append(
            Bin(
                int(inside.sum()),
                float(part.mean()),
                float(right[inside].mean()),
                float(part.min()),
                float(part.max()),
            )
        )
    return found


def ece(confidences: ArrayLike, correct: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error: mean of |confidence - accuracy| over equal-mass bins.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, with the bins of
    `reliability_bins`. 0 for no pairs at all.
    """
    table = reliability_bins(confidences, correct, bins)
    total = sum(b.count for b in table)
    return sum(b.count * abs(b.confidence - b.accuracy) for b in table) / max(1, total)


def brier(confidences: ArrayLike, correct: ArrayLike) -> float:
    """Mean squared distance of confidence and outcome (Brier 1950); 0 for no pairs at all."""
    claimed, right = _pairs(confidences, correct)
    return float(np.mean((claimed - right) ** 2)) if len(claimed) else 0.0


def auroc(confidences: ArrayLike, correct: ArrayLike) -> float:
    """Probability that a right item has a higher confidence than a wrong one (ties count half).

    The Mann-Whitney statistic by mean ranks. NaN unless there are both right and wrong items.
    """
    claimed, right = _pairs(confidences, correct)
    positives = int(right.sum())
    negatives = len(right) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    _, group, sizes = np.unique(claimed, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2.0)[group.reshape(-1)]  # 1-based mean ranks
    rank_sum = float(ranks[right > 0].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)


def _pairs(
    confidences: ArrayLike, correct: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    claimed = np.asarray(confidences, dtype=np.float64).reshape(-1)
    right = np.asarray(correct, dtype=np.float64).reshape(-1)
    if len(claimed) != len(right):
        raise ValueError(f"{len(claimed)} confidences for {len(right)} outcomes")
    if not np.all((claimed >= 0.0) & (claimed <= 1.0)):
        raise ValueError("confidences must lie in [0, 1]")
    return claimed, right
