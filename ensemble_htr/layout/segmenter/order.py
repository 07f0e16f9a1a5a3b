"""The order in which the lines of a page are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ensemble_htr.layout.segmenter.outline import Outline
from ensemble_htr.layout.segmenter.trace import UNIT

__all__ = ["reading_order"]

_GUTTER = 0.5  # units of paper between two columns
_COLUMN = 4  # lines that a column has at least, or it is no column


def reading_order(found: Sequence[Outline]) -> list[Outline]:
    """Lines from top to bottom; where an upright strip of paper parts the page, or a stretch of
    it between full-width lines, the left column comes first (recursive cuts: Nagy & Seth, 1984).
    """
    boxes = np.array([[*polygon.min(0), *polygon.max(0)] for _, polygon in found])
    feet = np.array([float(np.median(baseline[:, 1])) for baseline, _ in found])
    if not len(boxes):
        return []
    return [found[i] for i in _ordered(list(range(len(found))), boxes, feet)]


def _ordered(lines: list[int], boxes: np.ndarray, feet: np.ndarray) -> list[int]:
    """``lines`` in reading order; ``boxes`` are (left, top, right, bottom), ``feet`` the heights
    of the baselines."""
    lines = sorted(lines, key=lambda i: (feet[i], boxes[i, 0]))
    if (at := _gutter(lines, boxes)) is not None:
        left = [i for i in lines if boxes[i, 2] <= at]
        right = [i for i in lines if boxes[i, 2] > at]
        return _ordered(left, boxes, feet) + _ordered(right, boxes, feet)
    for k in range(len(lines) - _COLUMN * 2, 0, -1):  # a heading over columns
        if _gutter(lines[k:], boxes) is not None:
            return _ordered(lines[:k], boxes, feet) + _ordered(lines[k:], boxes, feet)
    return _rows(lines, boxes, feet)


def _gutter(lines: Sequence[int], boxes: np.ndarray) -> float | None:
    """Where the widest strip of paper between two columns lies, or None."""
    if len(lines) < 2 * _COLUMN:
        return None
    spans = boxes[list(lines)]
    spans = spans[np.argsort(spans[:, 0])]
    best, at = _GUTTER * UNIT, None
    right = spans[0, 2]
    for k in range(1, len(spans)):
        gap = spans[k, 0] - right
        if gap > best and min(k, len(spans) - k) >= _COLUMN and _side_by_side(spans, k):
            best, at = gap, float(right)
        right = max(right, spans[k, 2])
    return at


def _side_by_side(spans: np.ndarray, k: int) -> bool:
    """Whether the first ``k`` and the other boxes share at least half of the lower one's height."""
    left, right = spans[:k], spans[k:]
    shared = min(left[:, 3].max(), right[:, 3].max()) - max(left[:, 1].min(), right[:, 1].min())
    return bool(shared > 0.5 * min(np.ptp(left[:, [1, 3]]), np.ptp(right[:, [1, 3]])))


def _rows(lines: Sequence[int], boxes: np.ndarray, feet: np.ndarray) -> list[int]:
    """Top to bottom; lines at one height from left to right."""
    rows: list[list[int]] = []
    for i in lines:
        beside = rows and all(
            abs(feet[i] - feet[j]) < 0.4 * UNIT
            and (boxes[i, 0] > boxes[j, 2] - 0.3 * UNIT or boxes[i, 2] < boxes[j, 0] + 0.3 * UNIT)
            for j in rows[-1]
        )
        if beside:
            rows[-1].append(i)
        else:
            rows.append([i])
    return [i for row in rows for i in sorted(row, key=lambda i: boxes[i, 0])]
