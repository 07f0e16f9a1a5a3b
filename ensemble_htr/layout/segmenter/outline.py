"""From courses to lines: which ink belongs to which, its outline, and the baseline under it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.layout.segmenter.ink import Ink, Mask
from ensemble_htr.layout.segmenter.trace import UNIT, Course, stroke_density

__all__ = ["Outline", "outlines"]

Path = NDArray[np.float64]  # (n, 2): x, y in px
Outline = tuple[Path, Path]  # baseline, polygon
Labels = NDArray[np.uint16]  # 0 = nobody's, i + 1 = of course i

_BODY = 0.22  # units above and below its course that are a line's own ink for certain
_ABOVE, _BELOW = 0.95, 0.8  # units from the course that a line's ink may reach
_LEAST = 0.2  # units above the course that an outline reaches everywhere
_PAD = 0.04  # units of paper that an outline keeps around the ink


def outlines(ink: Ink, courses: Sequence[Course]) -> list[Outline]:
    """Baseline and polygon of every course that has ink, in order."""
    if not courses:
        return []
    labels = _owners(ink.mask, courses)
    baselines = _baselines(ink.mask, courses)
    found = []
    for i, (course, baseline) in enumerate(zip(courses, baselines, strict=True)):
        outline = _outline(labels, i + 1, course, baseline)
        if outline is not None:
            found.append(outline)
    return found


def _reach(course: Course, width: int, more: float) -> tuple[int, NDArray[np.float64]]:
    """The course lengthened by ``more`` px at both ends, within the page."""
    start, stop = max(0, round(course.start - more)), min(width, round(course.stop + more))
    left = np.array([course.at(x) for x in range(start, course.start)])
    right = np.array([course.at(x) for x in range(course.stop, stop)])
    return start, np.concatenate([left, course.y, right])


def _owners(mask: Mask, courses: Sequence[Course]) -> Labels:
    """Every pixel of ink gets the course that it hangs on: what lies in the body of a line is that
    line's, the rest is shared out by the way through the ink, at equal speed from all sides; what
    hangs on none, an accent or a dot, goes to the nearest."""
    import cv2

    height, width = mask.shape
    labels = np.zeros(mask.shape, np.uint16)
    for i, course in enumerate(courses):
        start, y = _reach(course, width, 0.5 * UNIT)
        x = np.arange(start, start + len(y))
        for dy in range(round(-_BODY * UNIT), round(_BODY * UNIT) + 1):
            row = np.clip(np.rint(y).astype(int) + dy, 0, height - 1)
            labels[row, x] = i + 1
    labels *= mask
    cross = np.ones((3, 3), np.uint8)
    for _ in range(round(0.9 * UNIT)):
        grown = cv2.dilate(labels, cross)
        new = (labels == 0) & (mask > 0) & (grown > 0)
        if not new.any():
            break
        labels[new] = grown[new]
    _adopt(mask, labels, courses)
    return labels


def _adopt(mask: Mask, labels: Labels, courses: Sequence[Course]) -> None:
    """Give loose pieces of ink to the nearest course, those above it sooner than those below."""
    import cv2

    loose = ((mask > 0) & (labels == 0)).astype(np.uint8)
    count, pieces, stats, centres = cv2.connectedComponentsWithStats(loose, connectivity=8)
    owner = np.zeros(count, np.uint16)
    for k in range(1, count):
        x, y = centres[k]
        if stats[k, cv2.CC_STAT_HEIGHT] > 0.8 * UNIT:
            continue
        best = 1.0
        for i, course in enumerate(courses):
            if course.start - 0.4 * UNIT <= x <= course.stop + 0.4 * UNIT:
                off = (course.at(x) - y) / UNIT
                far = off / 0.85 if off > 0 else -off / 0.55
                if far < best:
                    best, owner[k] = far, i + 1
    given = loose > 0
    labels[given] = owner[pieces[given]]


def _baselines(mask: Mask, courses: Sequence[Course]) -> list[NDArray[np.float64]]:
    """For each course the foot of the letters under it: the smooth path along which the stroke
    density falls most steeply (dynamic programming from left to right)."""
    density = stroke_density(mask, 0.3, 0.05)
    fall = np.zeros_like(density)
    fall[2:-2] = density[:-4] - density[4:]
    height = mask.shape[0]
    depths = np.arange(0, round(0.5 * UNIT))
    found = []
    for course in courses:
        x = np.arange(course.start, course.stop, 4)
        middle = course.y[x - course.start]
        rows = np.clip(np.rint(middle[:, None]).astype(int) + depths, 0, height - 1)
        gain = fall[rows, x[:, None]].astype(np.float64)
        gain /= max(float(np.percentile(gain, 95)), 1e-6)
        gain -= 0.02 * np.abs(depths - 0.2 * UNIT) / 4  # where nothing is seen: a usual letter
        depth = _best_path(gain, 0.35)
        foot = _smooth(middle + depths[depth], 0.8 * UNIT / 4)
        found.append(np.interp(np.arange(course.start, course.stop), x, foot))
    return found


def _best_path(gain: NDArray[np.float64], stiff: float) -> NDArray[np.int64]:
    """The column of each row on the path of most gain; a step of one column costs ``stiff``."""
    rows, columns = gain.shape
    score = gain[0].copy()
    back = np.zeros((rows, columns), np.int64)
    here = np.arange(columns)
    for r in range(1, rows):
        left = np.r_[-np.inf, score[:-1]] - stiff
        right = np.r_[score[1:], -np.inf] - stiff
        options = np.vstack([score, left, right])
        choice = options.argmax(0)
        back[r] = here + np.array([0, -1, 1])[choice]
        score = options[choice, here] + gain[r]
    path = np.empty(rows, np.int64)
    path[-1] = int(score.argmax())
    for r in range(rows - 1, 0, -1):
        path[r - 1] = back[r, path[r]]
    return path


def _smooth(values: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Gaussian smoothing; the ends are continued by point reflection."""
    radius = min(int(3 * width), len(values) - 1)
    if radius < 1:
        return values
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / width) ** 2)
    left = 2 * values[0] - values[radius:0:-1]
    right = 2 * values[-1] - values[-2 : -radius - 2 : -1]
    return np.convolve(np.concatenate([left, values, right]), kernel / kernel.sum(), mode="valid")


def _outline(
    labels: Labels, own: int, course: Course, baseline: NDArray[np.float64]
) -> Outline | None:
    height, width = labels.shape
    start, middle = _reach(course, width, 1.0 * UNIT)
    top, bottom = max(0, int(middle.min() - UNIT)), min(height, int(middle.max() + UNIT) + 1)
    mine = labels[top:bottom, start : start + len(middle)] == own
    rows = np.arange(top, bottom)[:, None]
    mine &= (rows > middle - _ABOVE * UNIT) & (rows < middle + _BELOW * UNIT)
    inked = np.flatnonzero(mine.any(0))
    first, last = _extent(inked, course.start - start, course.stop - start)
    if last - first < 0.4 * UNIT:
        return None
    mine, middle = mine[:, first:last], middle[first:last]
    seen = mine.any(0)
    high = np.where(seen, top + mine.argmax(0), np.inf)
    low = np.where(seen, bottom - 1 - mine[::-1].argmax(0), -np.inf)
    x = np.arange(start + first, start + last)
    foot = np.interp(x, np.arange(course.start, course.stop), baseline)
    high = np.minimum(high, middle - _LEAST * UNIT) - _PAD * UNIT
    low = np.maximum(low, foot) + _PAD * UNIT
    reach = round(0.2 * UNIT)
    polygon = np.vstack(
        [
            np.column_stack([x, _rolling(high, reach, np.min)]),
            np.column_stack([x, _rolling(low, reach, np.max)])[::-1],
        ]
    )
    return _thinned(np.column_stack([x, foot]), 0.6), _thinned(polygon, 0.8)


def _extent(inked: NDArray[np.int64], start: int, stop: int) -> tuple[int, int]:
    """First and last column of a line's ink; what lies outside the course counts only if it
    follows closely."""
    inside = inked[(inked >= start) & (inked < stop)]
    if not len(inside):
        return 0, 0
    first, last = int(inside[0]), int(inside[-1])
    for column in inked[inked > last]:
        if column - last > 0.5 * UNIT:
            break
        last = int(column)
    for column in inked[inked < first][::-1]:
        if first - column > 0.5 * UNIT:
            break
        first = int(column)
    return first, last + 1


def _rolling(values: NDArray[np.float64], reach: int, how: object) -> NDArray[np.float64]:
    padded = np.pad(values, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return np.asarray(how(windows, axis=1))  # type: ignore[operator]


def _thinned(points: Path, slack: float) -> Path:
    """The path without points that move it by less than ``slack`` px (Douglas & Peucker)."""
    import cv2

    kept = cv2.approxPolyDP(points.astype(np.float32).reshape(-1, 1, 2), slack, False)
    return np.asarray(kept, np.float64).reshape(-1, 2)
