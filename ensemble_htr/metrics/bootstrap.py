"""Confidence intervals for rates by a bootstrap over clusters (documents), and for differences.

Lines of one document share a hand, a form and a vocabulary: resampling lines as if they were
independent gives intervals that are far too narrow. Here whole clusters are drawn with
replacement (cluster bootstrap, percentile interval: Efron and Tibshirani 1993, chapters 8 and 13;
for error rates: Bisani and Ney, ICASSP 2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["DRAWS", "LEVEL", "Estimate", "bootstrap_difference", "bootstrap_rate"]

DRAWS = 2_000
LEVEL = 0.95
_CELLS = 2_000_000  # drawn indices in one block (bounds memory to about 50 MB)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval, all fractions. With one cluster the interval is that one point:
    nothing is known of its spread."""

    value: float
    low: float
    high: float


def bootstrap_rate(
    edits: ArrayLike,
    totals: ArrayLike,
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> Estimate:
    """Interval of ``sum(edits) / sum(totals)`` when clusters are drawn anew.

    ``edits`` and ``totals`` are ``(clusters,)``: errors and reference tokens of each cluster. The
    same arguments give the same interval. A total of 0 counts as 1, as in ``Counts.rate``.
    """
    table = _table((edits, totals))
    sums = _drawn_sums(table, draws, seed)
    value = float(_rates(table.sum(axis=0), 0, 1))
    return _estimate(value, _rates(sums, 0, 1), level)


def bootstrap_difference(
    edits: ArrayLike,
    other_edits: ArrayLike,
    totals: ArrayLike,
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> Estimate:
    """Interval of the paired difference ``rate(edits) - rate(other_edits)``, both ``(clusters,)``.

    Each draw takes the same clusters for both systems, so that what makes a document hard for
    both cancels out. Below 0 = the first system makes fewer errors.
    """
    table = _table((edits, other_edits, totals))
    sums = _drawn_sums(table, draws, seed)
    drawn = _rates(sums, 0, 2) - _rates(sums, 1, 2)
    whole = table.sum(axis=0)
    value = float(_rates(whole, 0, 2) - _rates(whole, 1, 2))
    return _estimate(value, drawn, level)


def _table(columns: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Stack columns to ``(clusters, columns)``; raises ValueError if their lengths differ."""
    arrays = [np.asarray(column, dtype=np.float64).reshape(-1) for column in columns]
    if len({len(array) for array in arrays}) != 1:
        raise ValueError("a bootstrap needs columns of equal length")
    return np.stack(arrays, axis=1)


def _drawn_sums(table: NDArray[np.float64], draws: int, seed: int) -> NDArray[np.float64]:
    """Column sums ``(draws, columns)`` over clusters drawn with replacement."""
    clusters = len(table)
    if clusters == 0:
        return np.zeros((1, table.shape[1]))
    rng = np.random.default_rng(seed)
    block = max(1, min(draws, _CELLS // clusters))
    sums = []
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        chosen = rng.integers(0, clusters, (rows, clusters), dtype=np.int32)
        chosen += np.arange(rows, dtype=np.int32)[:, None] * clusters
        times = np.bincount(chosen.reshape(-1), minlength=rows * clusters)
        sums.append(times.reshape(rows, clusters).astype(np.float64) @ table)
    return np.concatenate(sums)


def _rates(sums: NDArray[np.float64], edits: int, totals: int) -> NDArray[np.float64]:
    return np.asarray(sums[..., edits] / np.maximum(sums[..., totals], 1.0))


def _estimate(value: float, drawn: NDArray[np.float64], level: float) -> Estimate:
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return Estimate(value, float(low), float(high))
