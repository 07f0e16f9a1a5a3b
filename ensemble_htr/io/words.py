"""Where the words of a line lie, roughly: its extent shared out by number of tokens."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from ensemble_htr.io.geometry import Box, bounding_box
from ensemble_htr.types import Point, Reading, Word

__all__ = ["shares", "word_boxes"]


def shares(reading: Reading, words: Sequence[Word]) -> list[tuple[float, float]]:
    """Start and end of each word as fractions of the line, by the places of its tokens."""
    total = max(len(reading.tokens), 1)
    return [(word.start / total, word.stop / total) for word in words]


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
    result = []
    for start, end in spans:
        low = min(along) if start <= 0 else _dot(_point_at(axis, start), direction)
        high = max(along) if end >= 1 else _dot(_point_at(axis, end), direction)
        part = _clip(polygon, direction, low)
        part = _clip(part, (-direction[0], -direction[1]), -high)
        result.append(bounding_box(part))
    return result


def _dot(point: Point, direction: Point) -> float:
    return point[0] * direction[0] + point[1] * direction[1]


def _middle(polygon: Sequence[Point]) -> list[Point]:
    left, top, right, bottom = bounding_box(polygon) or (0.0, 0.0, 0.0, 0.0)
    y = (top + bottom) / 2
    return [(left, y), (right, y)]


def _point_at(axis: Sequence[Point], fraction: float) -> Point:
    """The point that lies ``fraction`` of the arc length along a polyline."""
    lengths = [math.dist(a, b) for a, b in itertools.pairwise(axis)]
    wanted = fraction * sum(lengths)
    for (a, b), length in zip(itertools.pairwise(axis), lengths, strict=True):
        if wanted <= length and length > 0:
            share = wanted / length
            return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])
        wanted -= length
    return axis[-1]


def _clip(polygon: Sequence[Point], direction: Point, least: float) -> list[Point]:
    """The part of a polygon with ``point . direction >= least`` (Sutherland & Hodgman 1974)."""
    kept: list[Point] = []
    for i, point in enumerate(polygon):
        before = polygon[i - 1]
        d0, d1 = _dot(before, direction) - least, _dot(point, direction) - least
        if (d0 < 0 < d1) or (d1 < 0 < d0):
            share = d0 / (d0 - d1)
            kept.append(
                (
                    before[0] + share * (point[0] - before[0]),
                    before[1] + share * (point[1] - before[1]),
                )
            )
        if d1 >= 0:
            kept.append(point)
    return kept
