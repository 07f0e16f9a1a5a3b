"""Which lines of two files of one page are the same by where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.io.geometry import Box
from ensemble_htr.io.words import word_boxes
from ensemble_htr.types import Page, Point

__all__ = ["Strips", "by_place", "page_strips"]

Pairs = list[tuple[int, int]]

_CUTS = 8  # boxes that a line is cut into along its baseline
_COVERED = 0.5  # of the smaller line's area that the larger one must share
_SHARE = 0.2  # of the larger line's area that the smaller one must share
_FLAT = 1 / 60  # of the page's height: how high lines are where no outline says
_BELOW = 0.25  # of a line's height that lies below its baseline
_PLACES = 25_000_000  # pairs of lines whose places are compared: some seconds


@dataclass(frozen=True, slots=True)
class Strips:
    """A line as up to eight upright boxes along it, ``float64 (boxes, 4)``: left, top, right,
    bottom as fractions of the page."""

    boxes: NDArray[np.float64]

    @property
    def area(self) -> float:
        return _area(self.boxes)


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


def _greedy(found: list[tuple[float, int, int]]) -> Pairs:
    taken: tuple[set[int], set[int]] = set(), set()
    pairs = []
    for _, i, j in sorted(found, key=lambda f: (-f[0], f[1], f[2])):
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            pairs.append((i, j))
    return sorted(pairs)


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
