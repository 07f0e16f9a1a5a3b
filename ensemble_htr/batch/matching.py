"""Which lines of a page are the same where their ids do not say so: by place, number or text.

All results are pairs (index of a line, index of a row), each index at most once, ascending.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from ensemble_htr.io.geometry import Box
from ensemble_htr.io.words import word_boxes
from ensemble_htr.types import Page, Point

__all__ = ["Strips", "alike", "by_place", "by_text", "page_strips", "similar"]

Pairs = list[tuple[int, int]]

_CUTS = 8  # boxes that a line is cut into along its baseline
_COVERED = 0.5  # of the smaller line's area that the larger one must share
_SHARE = 0.2  # of the larger line's area that the smaller one must share
_FLAT = 1 / 60  # of the page's height: how high lines are where no outline says
_BELOW = 0.25  # of a line's height that lies below its baseline
_PLACES = 25_000_000  # pairs of lines whose places are compared: some seconds
_ALIKE = 0.3  # similarity above that of texts that have nothing in common (0.2 in French)
_SAME = 0.5  # similarity from which two texts may be readings of one line
_SAME_SHORT, _SHORT = 0.75, 8  # the same for texts below so many characters
_LOOK = 200  # characters of a text that are looked at
_CELLS = 1_000_000  # pairs of texts compared at once: a second


@dataclass(frozen=True, slots=True)
class Strips:
    """A line as up to eight upright boxes along it, ``float64 (boxes, 4)``: left, top, right,
    bottom as fractions of the page."""

    boxes: NDArray[np.float64]

    @property
    def area(self) -> float:
        return _area(self.boxes)


def similar(one: str, other: str) -> float:
    """1 - Levenshtein distance / length of the longer, case folded; of the first 200 characters."""
    return Levenshtein.normalized_similarity(_looked(one), _looked(other))


def alike(one: str, other: str) -> bool:
    """Whether two texts may be of one line at all, however badly read."""
    return similar(one, other) > _ALIKE


def page_strips(page: Page) -> dict[str, Strips]:
    """The lines of a page that have a place, by id; {} for a page of unknown size.

    A line of which only the baseline is known is as high as the page's lines are at their median.
    """
    if page.width <= 0 or page.height <= 0:
        return {}
    cuts = [(i / _CUTS, (i + 1) / _CUTS) for i in range(_CUTS)]
    found = {
        line.id: [b for b in word_boxes(line.baseline, line.polygon, cuts) if b is not None]
        for line in page.lines
        if line.polygon
    }
    heights = [median(b[3] - b[1] for b in boxes) for boxes in found.values() if boxes]
    height = median(heights) if heights else _FLAT * page.height
    for line in page.lines:
        if not line.polygon and line.baseline:
            found[line.id] = _around(line.baseline, height)
    scale = np.array([page.width, page.height] * 2, dtype=np.float64)
    return {name: Strips(np.array(boxes) / scale) for name, boxes in found.items() if boxes}


def by_place(lines: Sequence[Strips | None], rows: Sequence[Strips | None]) -> Pairs:
    """Pairs that cover one another: of the smaller one at least half, of the larger one at least
    a fifth; the pairs that overlap most first (shared area over the geometric mean of both). None
    for more than 25 million pairs."""
    theirs = [(j, row) for j, row in enumerate(rows) if row is not None]
    if not theirs or len(lines) * len(theirs) > _PLACES:
        return []
    bounds = np.array([_bounds(row.boxes) for _, row in theirs])  # (rows, 4)
    found = []
    for i, line in enumerate(lines):
        if line is None:
            continue
        left, top, right, bottom = _bounds(line.boxes)
        near = (bounds[:, 0] < right) & (bounds[:, 2] > left)
        near &= (bounds[:, 1] < bottom) & (bounds[:, 3] > top)
        for j, row in (theirs[k] for k in np.flatnonzero(near)):
            shared = _shared(line, row)
            small, large = sorted((line.area, row.area))
            if shared > 0 and shared >= _COVERED * small and shared >= _SHARE * large:
                found.append((shared / math.sqrt(small * large), i, j))
    return _greedy(found)


def by_text(lines: Sequence[str], rows: Sequence[str]) -> Pairs:
    """The monotone alignment with the largest sum of similarities above what is needed: 0.5, and
    0.75 for texts shorter than 8 characters; nothing if it pairs less than half of the shorter
    side. Long lists are first cut at texts that both have exactly once; stretches between such of
    more than a million pairs are left alone.
    """
    ours, theirs = [_looked(t) for t in lines], [_looked(t) for t in rows]
    found: Pairs = []
    begun = (0, 0)
    for i, j in [*_anchors(ours, theirs), (len(ours), len(theirs))]:
        (a, b) = begun
        found += [(a + x, b + y) for x, y in _aligned(ours[a:i], theirs[b:j])]
        if i < len(ours):
            found.append((i, j))
        begun = i + 1, j + 1
    return found if 2 * len(found) >= min(len(ours), len(theirs)) else []


def _anchors(ours: Sequence[str], theirs: Sequence[str]) -> Pairs:
    """Texts that stand on either side once, in an order that both share (the longest such row:
    patience sorting); none if all pairs can be compared anyway."""
    if len(ours) * len(theirs) <= _CELLS:
        return []
    left, right = Counter(ours), Counter(theirs)
    places = {text: j for j, text in enumerate(theirs) if right[text] == 1}
    both = [(i, places[t]) for i, t in enumerate(ours) if left[t] == 1 and t in places]
    tops: list[int] = []  # the least last place of a row of each length
    ends: list[int] = []
    before: list[int] = []
    for at, (_, j) in enumerate(both):
        length = bisect_left(tops, j)
        before.append(ends[length - 1] if length else -1)
        tops[length : length + 1], ends[length : length + 1] = [j], [at]
    found, at = [], ends[-1] if ends else -1
    while at >= 0:
        found.append(both[at])
        at = before[at]
    return found[::-1]


def _aligned(ours: Sequence[str], theirs: Sequence[str]) -> Pairs:
    if not ours or not theirs or len(ours) * len(theirs) > _CELLS:
        return []
    gain = process.cdist(ours, theirs, scorer=Levenshtein.normalized_similarity, score_cutoff=_SAME)
    gain = np.asarray(gain, dtype=np.float64)
    short = np.maximum.outer([len(t) for t in ours], [len(t) for t in theirs]) < _SHORT
    gain = np.where(short, gain - _SAME_SHORT, gain - _SAME) + 1e-6
    best = np.zeros((len(ours) + 1, len(theirs) + 1))
    for i, row in enumerate(gain):
        best[i + 1, 1:] = np.maximum.accumulate(np.maximum(best[i, 1:], best[i, :-1] + row))
    found: Pairs = []
    i, j = len(ours), len(theirs)
    while i and j:
        if best[i, j] == best[i - 1, j]:
            i -= 1
        elif best[i, j] == best[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            found.append((i, j))
    return found[::-1]


def _greedy(found: list[tuple[float, int, int]]) -> Pairs:
    taken: tuple[set[int], set[int]] = set(), set()
    pairs = []
    for _, i, j in sorted(found, key=lambda f: (-f[0], f[1], f[2])):
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            pairs.append((i, j))
    return sorted(pairs)


def _looked(text: str) -> str:
    return " ".join(text[:_LOOK].casefold().split())


def _around(baseline: Sequence[Point], height: float) -> list[Box]:
    """The boxes of a line that stands on ``baseline``."""
    above, below = (1 - _BELOW) * height, _BELOW * height
    (x0, y0), (x1, y1) = baseline[0], baseline[-1]
    if abs(y1 - y0) > abs(x1 - x0):  # upright: the letters' tops are to the side
        corners = [(x - height / 2, y, x + height / 2, y) for x, y in baseline]
    else:
        corners = [(x, y - above, x, y + below) for x, y in baseline]
    pairs = zip(corners, corners[1:], strict=False)
    return [(min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])) for a, b in pairs]


def _bounds(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def _area(boxes: NDArray[np.float64]) -> float:
    return float(np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0), axis=1).sum())


def _shared(one: Strips, other: Strips) -> float:
    """The area that both lines cover (boxes of one line hardly overlap each other)."""
    a, b = one.boxes[:, None], other.boxes[None]  # (boxes, 1, 4), (1, boxes, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return float(np.prod(np.maximum(sides, 0.0), axis=2).sum())
