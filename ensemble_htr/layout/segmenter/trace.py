"""From ink to the courses of text lines: ridges of stroke density, joined from word to word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.layout.segmenter.ink import Floats, Ink, Mask

__all__ = ["UNIT", "Course", "courses", "stroke_density"]

UNIT = 40.0  # px between two lines on the page that is worked on; lengths below are in units of it

_SPARSE = 0.3  # of the usual stroke density: what is sparser is a flourish, a frame or dirt
_LEAST = 0.9  # units of text of usual density that a line has
_DENSE = 0.6  # and somewhere a piece of text is at least so dense


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The middle of a line's small letters: ``y[i]`` at ``x = start + i``, in px; ``strength`` is
    the number of strokes met along it."""

    start: int
    y: NDArray[np.float64]
    strength: float

    @property
    def stop(self) -> int:
        return self.start + len(self.y)

    def at(self, x: float) -> float:
        """``y`` at ``x``, beyond the ends along the slope there."""
        if x < self.start:
            return float(self.y[0] + (x - self.start) * self._slope(self.y[: int(2 * UNIT)]))
        if x >= self.stop:
            return float(self.y[-1] + (x - self.stop + 1) * self._slope(self.y[-int(2 * UNIT) :]))
        return float(self.y[int(x) - self.start])

    @staticmethod
    def _slope(y: NDArray[np.float64]) -> float:
        """Rise per px of an end; a short end says little and counts as almost level."""
        if len(y) < 8:
            return 0.0
        x = np.arange(len(y)) - (len(y) - 1) / 2
        slope = float((x * y).sum() / (x * x).sum())
        return float(np.clip(slope, -0.2, 0.2)) * min(1.0, len(y) / (2 * UNIT))


def stroke_density(mask: Mask, along: float, across: float) -> Floats:
    """How many strokes are crossed in reading direction, in a Gaussian window of ``along`` x
    ``across`` units. Level rulings have no strokes to cross; small letters have the most."""
    import cv2

    strokes = np.zeros(mask.shape, np.float32)
    strokes[:, 1:] = np.abs(np.diff(mask.astype(np.int8), axis=1))
    return np.asarray(
        cv2.GaussianBlur(strokes, (0, 0), sigmaX=along * UNIT, sigmaY=across * UNIT), np.float32
    )


def courses(ink: Ink) -> list[Course]:
    """The courses of all lines of a page whose lines are `UNIT` px apart, from top to bottom.

    A line shows as a ridge of the stroke density (smoothed more along than across the lines, as in
    Bukhari et al., ICDAR 2009); pieces of ridge are joined where one continues another, and a
    weak one that runs along a strong one (accents, descenders) is dropped.
    """
    density = stroke_density(ink.mask, 0.55, 0.13)
    ridge = density - stroke_density(ink.mask, 0.55, 0.36)
    pieces = _pieces(ridge, density)
    strong = _whole(_strong(_join(pieces)), ink.mask)
    return sorted(strong, key=lambda c: float(c.y.mean()))


def _pieces(ridge: Floats, density: Floats) -> list[Course]:
    """The crests of the ridge that are dense enough for text."""
    import cv2

    reach = 2 * round(0.35 * UNIT) + 1
    crest = cv2.dilate(ridge, np.ones((reach, 1), np.uint8))
    near = (ridge > 0.75 * crest) & (ridge > 1e-4)
    seen = density[near].astype(np.float64)
    if not len(seen):
        return []
    usual = float((seen**2).sum() / seen.sum())  # stroke by stroke: text outweighs empty paper
    near = _parted(near & (density > _SPARSE * usual), ridge)
    count, labels = cv2.connectedComponents(near.astype(np.uint8), connectivity=8)
    ys, xs = np.nonzero(labels)
    which = labels[ys, xs]
    order = np.lexsort((xs, which))
    ys, xs, which = ys[order], xs[order], which[order]
    weight = ridge[ys, xs].astype(np.float64)
    found = []
    bounds = np.searchsorted(which, np.arange(1, count + 1))
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        x, start = xs[first:last], int(xs[first])
        length = int(x[-1]) - start + 1
        if length < 0.25 * UNIT:
            continue
        total = np.bincount(x - start, weight[first:last], length)
        y = np.bincount(x - start, weight[first:last] * ys[first:last], length) / total
        along = density[np.rint(y).astype(int), np.arange(start, start + length)]
        if along.max() > _DENSE * usual:
            found.append(Course(start, y, float(along.sum())))
    return found


def _parted(near: NDArray[np.bool_], ridge: Floats) -> NDArray[np.bool_]:
    """``near`` with pieces that run along two crests at once cut apart: they lose what is low,
    more and more of it, until what bridges the crests is gone."""
    import cv2

    near = near.copy()
    high = float(np.percentile(ridge[near], 90)) if near.any() else 0.0
    for level in (0.1, 0.2, 0.3, 0.45, 0.6):
        _, labels = cv2.connectedComponents(near.astype(np.uint8), connectivity=8)
        forked = _forked(np.asarray(labels, np.int32))
        if not forked.any():
            break
        near &= ~(forked[labels] & (ridge < level * high))
    return near


def _forked(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """For each label whether it is in one column at heights that are no one line's."""
    ys, xs = np.nonzero(labels)
    which = labels[ys, xs].astype(np.int64)
    column = which * labels.shape[1] + xs
    order = np.lexsort((ys, column))
    ys, which, column = ys[order], which[order], column[order]
    forked = np.zeros(int(labels.max()) + 1, np.bool_)
    if len(ys):
        first = np.flatnonzero(np.r_[True, np.diff(column) > 0])
        last = np.r_[first[1:], len(column)] - 1
        forked[which[first[ys[last] - ys[first] > 0.55 * UNIT]]] = True
    return forked


def _join(pieces: Sequence[Course]) -> list[Course]:
    """Join pieces end to end, the best fit first, and again with what came out."""
    for most, slack in ((1.5, 0.24), (3.0, 0.24), (5.0, 0.24), (1.0, 0.42)):
        pieces = _joined_once(pieces, most * UNIT, slack * UNIT)
    return list(pieces)


def _joined_once(pieces: Sequence[Course], most: float, slack: float) -> list[Course]:
    """Each piece with the one that follows best: at most ``most`` px away and ``slack`` px off,
    somewhat more across a gap."""
    offers, end = [], round(2 * UNIT)
    starts = np.array([p.start for p in pieces])
    stops = np.array([p.stop for p in pieces])
    for i, left in enumerate(pieces):
        gaps = starts - left.stop
        near = (gaps > -0.8 * UNIT) & (gaps < most) & (stops > left.stop)
        for j in map(int, np.flatnonzero(near)):
            right = pieces[j]
            if right.start <= left.start:
                continue
            middle = (left.stop + right.start) / 2
            if gaps[j] > UNIT + 0.6 * min(len(left.y), len(right.y)):
                continue  # a speck far away is no word of this line
            off = abs(left.at(middle) - right.at(middle))
            gap = max(float(gaps[j]), 0.0)
            off = min(off, abs(float(np.median(left.y[-end:]) - np.median(right.y[:end]))))
            if off < min(slack + 0.04 * gap, 0.42 * UNIT):
                offers.append((off + 0.1 * gap, i, j))
    after: dict[int, int] = {}
    before: dict[int, int] = {}
    for _, i, j in sorted(offers):
        if i not in after and j not in before:
            after[i], before[j] = j, i
    joined = []
    for i in range(len(pieces)):
        if i in before:
            continue
        course = pieces[i]
        while i in after:
            i = after[i]
            course = _bridged(course, pieces[i])
        joined.append(course)
    return joined


def _bridged(left: Course, right: Course) -> Course:
    """One course through both; straight across the gap, the mean where they overlap."""
    start, stop = left.start, max(left.stop, right.stop)
    x = np.arange(start, stop)
    known = np.full((2, len(x)), np.nan)
    known[0, : len(left.y)] = left.y
    known[1, right.start - start : right.stop - start] = right.y
    both = _mean(known)
    seen = np.isfinite(both)
    y = np.interp(x, x[seen], both[seen])
    return Course(start, y, left.strength + right.strength)


def _mean(known: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = np.isfinite(known).sum(0)
    total = np.nansum(known, axis=0)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def _strong(found: Sequence[Course]) -> list[Course]:
    """Without weak courses and those that run close along a stronger one."""
    if not found:
        return []
    usual = np.median([c.strength / len(c.y) for c in found if len(c.y) > 2 * UNIT] or [0.0])
    kept: list[Course] = []
    for course in sorted(found, key=lambda c: -c.strength):
        if course.strength < usual * max(0.4 * len(course.y), _LEAST * UNIT):
            continue
        if any(_beside(course, other) > 0.6 for other in kept):
            continue
        kept.append(replace(course))
    return kept


def _whole(found: Sequence[Course], mask: Mask) -> list[Course]:
    """Without courses through the upper or lower halves of letters so large that they were taken
    for two lines: most of their ink is of strokes that another course holds as much of."""
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    low = stats[:, cv2.CC_STAT_HEIGHT] < 3.0 * UNIT  # a flourish through many lines joins nothing
    low[0] = False
    half = round(0.25 * UNIT)
    inks: list[dict[int, int]] = []
    for course in found:
        x = np.arange(course.start, course.stop)
        rows = np.rint(course.y).astype(int) + np.arange(-half, half + 1)[:, None]
        held = labels[np.clip(rows, 0, mask.shape[0] - 1), x]
        pieces, counts = np.unique(held[held > 0], return_counts=True)
        inks.append(dict(zip(pieces.tolist(), counts.tolist(), strict=True)))
    kept: list[int] = []
    for i, course in enumerate(found):  # the strongest first
        total = sum(inks[i].values())
        for j in kept:
            shared = sum(n for p, n in inks[i].items() if low[p] and inks[j].get(p, 0) > 0.5 * n)
            if shared > 0.6 * total and _beside(course, found[j], 1.6) > 0.8:
                break
        else:
            kept.append(i)
    return [found[i] for i in kept]


def _beside(course: Course, other: Course, near: float = 0.5) -> float:
    """The share of ``course`` that runs within ``near`` units of ``other``."""
    start, stop = max(course.start, other.start), min(course.stop, other.stop)
    if stop <= start:
        return 0.0
    own = course.y[start - course.start : stop - course.start]
    its = other.y[start - other.start : stop - other.start]
    return float((np.abs(own - its) < near * UNIT).sum()) / len(course.y)
