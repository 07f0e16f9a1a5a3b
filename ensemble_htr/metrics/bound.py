"""How far two long texts are apart at most: a bound that makes the exact distance cheap.

Banded algorithms (Ukkonen 1985) take time by the distance, which they have to guess and double.
Stretches that occur once in each text are nearly always in the same place: the longest chain of
them that rises in both is one alignment, and what it costs is a bound. It is never too small.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

__all__ = ["distance_bound"]

_LENGTH = 12  # characters of an anchor
_WIDEST = 20_000  # characters between anchors that are compared; wider gaps count whole
_FACTOR = np.uint64(0x9E3779B97F4A7C15)

Places = NDArray[np.int64]


def distance_bound(one: str, two: str) -> int:
    """At least the Levenshtein distance of two strings, at most the length of the longer one."""
    anchors = _chain(*_anchors(one, two))
    total = i = j = 0
    for a, b in (*anchors, (len(one), len(two))):
        if a < i or b < j:
            continue  # overlaps the anchor before it
        if a > i or b > j:
            total += _between(one[i:a], two[j:b])
        i, j = a + _LENGTH, b + _LENGTH
    return min(total, max(len(one), len(two)))


def _between(one: str, two: str) -> int:
    longest = max(len(one), len(two))
    return longest if longest > _WIDEST else Levenshtein.distance(one, two)


def _anchors(one: str, two: str) -> tuple[Places, Places]:
    """Where stretches lie that occur once in each, in the order of the first text."""
    found = []
    for text in (one, two):
        if len(text) < _LENGTH:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        values, first, count = np.unique(_hashes(text), return_index=True, return_counts=True)
        once = count == 1
        found.append((values[once], first[once].astype(np.int64)))
    _, left, right = np.intersect1d(
        found[0][0], found[1][0], assume_unique=True, return_indices=True
    )
    a, b = found[0][1][left], found[1][1][right]
    order = np.argsort(a)
    return a[order], b[order]


def _hashes(text: str) -> NDArray[np.uint64]:
    """One number for each stretch of `_LENGTH` characters. Equal stretches have equal numbers; if
    different ones have too, a bound gets worse but stays one."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    total = np.zeros(len(codes) - _LENGTH + 1, np.uint64)
    for offset in range(_LENGTH):
        total = total * _FACTOR + codes[offset : offset + len(total)]
        total ^= total >> np.uint64(29)
    return total


def _chain(a: Places, b: Places) -> list[tuple[int, int]]:
    """The longest chain that rises in both (``a`` rises already): patience sorting."""
    tops: list[int] = []
    at: list[int] = []
    before: list[int] = []
    values = b.tolist()
    for number, value in enumerate(values):
        place = bisect_left(tops, value)
        before.append(at[place - 1] if place else -1)
        if place == len(tops):
            tops.append(value)
            at.append(number)
        else:
            tops[place], at[place] = value, number
    chain = []
    number = at[-1] if at else -1
    while number >= 0:
        chain.append((int(a[number]), values[number]))
        number = before[number]
    return chain[::-1]
