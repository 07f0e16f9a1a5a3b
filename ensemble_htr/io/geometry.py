"""Points as XML files spell them, made usable: finite, inside the image, never a crash."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from ensemble_htr.types import Point

__all__ = ["Box", "Notices", "bounding_box", "box_polygon", "number", "parse_points", "usable"]

_LOG = logging.getLogger("ensemble_htr")
_COMMA = re.compile(r"\s*,\s*")
_ABSURD = 1e6  # pixels; no scan is a million pixels wide
_MOST_POINTS = 10_000  # of a baseline or an outline; segmenters that follow every pixel give 2,000

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


class Notices:
    """Counts what had to be mended in one file and says it once, not once a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: Counter[str] = Counter()

    def add(self, what: str, count: int = 1) -> None:
        if count:
            self._counts[what] += count

    def taken(self) -> tuple[tuple[str, int], ...]:
        """What was counted, to be added to other notices."""
        return tuple(sorted(self._counts.items()))

    def say(self) -> None:
        """Log one warning for each kind of notice, in a fixed order."""
        for what, count in sorted(self._counts.items()):
            times = f" ({count} times)" if count > 1 else ""
            _LOG.warning("%s: %s%s", self._path, what, times)
        self._counts.clear()


def number(text: str | None) -> float | None:
    """A finite number of sane size, or None."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= _ABSURD else None


def parse_points(text: str | None, notices: Notices) -> tuple[Point, ...]:
    """Read ``x,y x,y`` or ``x y x y``; points that are no finite numbers are left out."""
    if not text or not text.strip():
        return ()
    if (plain := _plain_points(text)) is not None:
        return plain
    if "," in text:
        pairs = [pair.split(",") for pair in _COMMA.sub(",", text.strip()).split()]
    else:
        flat = text.split()
        pairs = [flat[i : i + 2] for i in range(0, len(flat), 2)]
    points: list[Point] = []
    for pair in pairs:
        x, y = (number(pair[0]), number(pair[1])) if len(pair) == 2 else (None, None)
        if x is None or y is None:
            notices.add("a point without two sane numbers was left out")
        else:
            points.append((x, y))
    return tuple(points)


def _plain_points(text: str) -> tuple[Point, ...] | None:
    """The points of a flawless list, quickly; None if anything in it needs a closer look."""
    try:
        values = [float(value) for value in text.replace(",", " ").split()]
    except ValueError:
        return None
    if text.count(",") not in (0, len(values) // 2) or len(values) % 2:
        return None
    if not all(-_ABSURD <= value <= _ABSURD for value in values):
        return None
    return tuple(zip(values[::2], values[1::2], strict=True))


def usable(
    points: Sequence[Point],
    size: tuple[float, float],
    least: int,
    notices: Notices,
) -> tuple[Point, ...]:
    """Clamp ``points`` into an image of ``size`` (width, height; 0 = unknown).

    Of more than 10,000 only every n-th is kept. Returns () if fewer than ``least`` distinct points
    are left (2 make a baseline, 3 a polygon).
    """
    if len(points) > _MOST_POINTS:
        points = points[:: -(-len(points) // _MOST_POINTS)]
        notices.add(f"a line had more than {_MOST_POINTS} points and was thinned out")
    width, height = (limit if limit > 0 else _ABSURD for limit in size)
    clamped = tuple(points)
    if not all(0.0 <= x <= width and 0.0 <= y <= height for x, y in points):
        clamped = tuple((min(max(x, 0.0), width), min(max(y, 0.0), height)) for x, y in points)
        notices.add("a line reached outside the image and was clamped to it")
    return clamped if len(set(clamped)) >= least else ()


def bounding_box(points: Iterable[Point]) -> Box | None:
    """The smallest upright box around ``points``; None if there are none."""
    corners = tuple(points)
    if not corners:
        return None
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def box_polygon(box: Box) -> tuple[Point, ...]:
    """The four corners of ``box``, clockwise from the top left."""
    left, top, right, bottom = box
    return (left, top), (right, top), (right, bottom), (left, bottom)
