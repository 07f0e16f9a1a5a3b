"""Where two long sequences are surely the same: what stands once in each, in the same order.

Of stretches that occur once in either sequence the longest chain that rises in both (patience
sorting: Fredman 1975). It costs a sort, however long the sequences are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["anchors", "rising"]

Ints = NDArray[np.int64]
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def anchors(one: Ints, two: Ints, size: int) -> tuple[Ints, Ints]:
    """Where stretches of ``size`` codes begin in ``one (n,)`` and in ``two (m,)`` that occur once
    in each, rising in both, as many as possible; they may overlap."""
    if min(len(one), len(two)) < size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    mine, theirs = _once(one, size), _once(two, size)
    _, i, j = np.intersect1d(mine[0], theirs[0], assume_unique=True, return_indices=True)
    x, y = mine[1][i], theirs[1][j]
    step = np.arange(size)
    same = (one[x[:, None] + step] == two[y[:, None] + step]).all(axis=1)  # not a clash of hashes
    x, y = x[same], y[same]
    order = np.argsort(x)
    chain = rising(y[order].tolist())
    return x[order][chain], y[order][chain]


def rising(values: Sequence[int]) -> list[int]:
    """Indices of a longest strictly rising subsequence."""
    tails: list[int] = []  # the least last value of a subsequence of each length
    ends: list[int] = []  # where it stands
    before: list[int] = []
    for index, value in enumerate(values):
        place = bisect_left(tails, value)
        before.append(ends[place - 1] if place else -1)
        tails[place : place + 1], ends[place : place + 1] = [value], [index]
    chain: list[int] = []
    at = ends[-1] if ends else -1
    while at >= 0:
        chain.append(at)
        at = before[at]
    return chain[::-1]


def _once(codes: Ints, size: int) -> tuple[NDArray[np.uint64], Ints]:
    """Hashes of the stretches that occur once, and where they begin."""
    count = len(codes) - size + 1
    hashes = np.zeros(count, np.uint64)
    for k in range(size):
        hashes = hashes * _FACTOR + codes[k : k + count].astype(np.uint64)
        hashes ^= hashes >> np.uint64(29)
    values, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    return values[counts == 1], first[counts == 1].astype(np.int64)
