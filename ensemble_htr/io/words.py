"""Where the words of a line lie, roughly: its extent shared out by number of tokens."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.io.geometry import Box, bounding_box
from ensemble_htr.types import Point, Reading, Word

__all__ = ["axis", "letter_shares", "point_at", "shares", "token_shares", "word_boxes"]


def shares(reading: Reading, words: Sequence[Word]) -> list[tuple[float, float]]:
    """Start and end of each word as fractions of the line, by the places of its tokens."""
    total = max(len(reading.tokens), 1)
    return [(word.start / total, word.stop / total) for word in words]


def letter_shares(reading: Reading) -> list[tuple[float, float]]:
    """Start and end of each token of a reading as fractions of the line."""
    count = len(reading.tokens)
    return [(i / count, (i + 1) / count) for i in range(count)]


def token_shares(word: Word) -> list[tuple[float, float]]:
    """Start and end of each token of a word as fractions of the word."""
    count = word.stop - word.start
    return [(i / count, (i + 1) / count) for i in range(count)]


def axis(polygon: Sequence[Point], baseline: Sequence[Point]) -> list[Point]:
    """A line through the middle of a word's ``polygon`` from its beginning to its end, in the
    direction of its line's ``baseline`` (to the right where that is unknown)."""
    ends = baseline[0] if baseline else (0.0, 0.0), baseline[-1] if baseline else (1.0, 0.0)
    length = math.dist(*ends)
    if not polygon or length == 0:
        return []
    direction = (ends[1][0] - ends[0][0]) / length, (ends[1][1] - ends[0][1]) / length
    along = [_dot(point, direction) for point in polygon]
    left, top, right, bottom = bounding_box(polygon) or (0.0, 0.0, 0.0, 0.0)
    middle = (left + right) / 2, (top + bottom) / 2
    here = _dot(middle, direction)
    return [
        (middle[0] + (a - here) * direction[0], middle[1] + (a - here) * direction[1])
        for a in (min(along), max(along))
    ]


def word_boxes(
    baseline: Sequence[Point],
    polygon: Sequence[Point],
    spans: Sequence[tuple[float, float]],
) -> list[Box | None]:
    """For each span (fractions of the line's length, ascending) an upright box.

    The polygon is cut across the line's direction at the two points that lie so far along the
    baseline; without a baseline the polygon's own width is shared out. None without a polygon.
    """
    if len(polygon) < 3:
        return [None] * len(spans)
    axis = list(baseline) if len(set(baseline)) >= 2 else _middle(polygon)
    (x0, y0), (x1, y1) = axis[0], axis[-1]
    length = math.hypot(x1 - x0, y1 - y0)
    if length == 0:
        return [bounding_box(polygon)] * len(spans)
    direction = (x1 - x0) / length, (y1 - y0) / length
    along = [_dot(point, direction) for point in polygon]
    lows = [min(along) if s <= 0 else _dot(point_at(axis, s), direction) for s, _ in spans]
    highs = [max(along) if e >= 1 else _dot(point_at(axis, e), direction) for _, e in spans]
    return _strip_boxes(np.asarray(polygon, dtype=np.float64), np.asarray(along), lows, highs)


def _strip_boxes(
    polygon: NDArray[np.float64],  # (points, 2)
    along: NDArray[np.float64],  # (points,) places of the points in the line's direction
    lows: Sequence[float],
    highs: Sequence[float],
) -> list[Box | None]:
    """The box of the polygon's part between each ``low`` and ``high``: every edge is cut to the
    strip (Liang & Barsky 1984), then the ends of what is left are boxed."""
    if not lows:
        return []
    low, high = np.asarray(lows)[:, None], np.asarray(highs)[:, None]  # (words, 1)
    step = np.roll(along, -1) - along  # (edges,)
    level = np.abs(step) < 1e-9
    safe = np.where(level, 1.0, step)
    ends = np.stack([(low - along) / safe, (high - along) / safe])  # (2, words, edges)
    inside = (low <= along) & (along <= high)
    first = np.where(level, 0.0, ends.min(axis=0))
    last = np.where(level, 1.0, ends.max(axis=0))
    valid = np.where(level, inside, (first <= 1.0) & (last >= 0.0))
    edges = np.roll(polygon, -1, axis=0) - polygon
    cut = np.clip(np.stack([first, last]), 0.0, 1.0)[..., None]  # (2, words, edges, 1)
    points = polygon + cut * edges  # (2, words, edges, 2)
    lowest = np.where(valid[..., None], points, np.inf).min(axis=(0, 2))
    highest = np.where(valid[..., None], points, -np.inf).max(axis=(0, 2))
    found: list[bool] = np.asarray(valid.any(axis=1)).tolist()
    corners = np.concatenate([lowest, highest], axis=1).tolist()
    return [(c[0], c[1], c[2], c[3]) if ok else None for c, ok in zip(corners, found, strict=True)]


def _dot(point: Point, direction: Point) -> float:
    return point[0] * direction[0] + point[1] * direction[1]


def _middle(polygon: Sequence[Point]) -> list[Point]:
    left, top, right, bottom = bounding_box(polygon) or (0.0, 0.0, 0.0, 0.0)
    y = (top + bottom) / 2
    return [(left, y), (right, y)]


def point_at(axis: Sequence[Point], fraction: float) -> Point:
    """The point that lies ``fraction`` of the arc length along a polyline."""
    lengths = [math.dist(a, b) for a, b in itertools.pairwise(axis)]
    wanted = fraction * sum(lengths)
    for (a, b), length in zip(itertools.pairwise(axis), lengths, strict=True):
        if wanted <= length and length > 0:
            share = wanted / length
            return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])
        wanted -= length
    return axis[-1]
