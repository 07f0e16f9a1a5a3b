"""How far two long texts are apart at most: a bound that makes the exact distance cheap.

Banded algorithms (Ukkonen 1985) take time by the distance, which they have to guess and double.
Stretches that occur once in each text are nearly always in the same place: the longest chain of
them that rises in both is one alignment, and what it costs is a bound. It is never too small.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from ensemble_htr.metrics.anchors import anchors

__all__ = ["distance_bound"]

_LENGTH = 12  # characters of an anchor
_WIDEST = 20_000  # characters between anchors that are compared; wider gaps count whole


def distance_bound(one: str, two: str) -> int:
    """At least the Levenshtein distance of two strings, at most the length of the longer one."""
    mine, theirs = anchors(_codes(one), _codes(two), _LENGTH)
    total = i = j = 0
    for a, b in (*zip(mine.tolist(), theirs.tolist(), strict=True), (len(one), len(two))):
        if a < i or b < j:
            continue  # overlaps the anchor before it
        if a > i or b > j:
            total += _between(one[i:a], two[j:b])
        i, j = a + _LENGTH, b + _LENGTH
    return min(total, max(len(one), len(two)))


def _between(one: str, two: str) -> int:
    longest = max(len(one), len(two))
    return longest if longest > _WIDEST else Levenshtein.distance(one, two)


def _codes(text: str) -> NDArray[np.int64]:
    raw = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return raw.astype(np.int64)
