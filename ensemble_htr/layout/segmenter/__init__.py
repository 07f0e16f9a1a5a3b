"""Bare pages cut into lines, with OpenCV and NumPy alone: no model, no training.

Made for a letter on light paper, in lines that run from left to right within some degrees of
level. What else is on the page (stamps, printed heads, notes by other hands) comes out as lines
too; text that runs upwards does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.layout.segmenter.ink import find_ink, line_distance, shrunk
from ensemble_htr.layout.segmenter.order import reading_order
from ensemble_htr.layout.segmenter.outline import outlines
from ensemble_htr.layout.segmenter.trace import UNIT, courses
from ensemble_htr.layout.skew import Turn, skew_of, turned
from ensemble_htr.types import Line, Point

__all__ = ["InkSegmenter", "build"]

_MOST_PIXELS = 6e6  # of the copy that is worked on
_LEAST_SIDE = 24  # px; a smaller image holds no page


class InkSegmenter:
    """Finds the lines of a page by its ink: the size of the text from the rhythm of its strokes,
    then `courses` (where lines run) and `outlines` (what ink is theirs)."""

    def segment(self, image: NDArray[np.uint8]) -> tuple[Line, ...]:
        """The lines of a gray page ``uint8 (H, W)``, 0 = black, in reading order, with baselines
        and polygons in its pixels; () where there is no text. The same page gives the same lines.
        """
        if min(image.shape) < _LEAST_SIDE:
            return ()
        distance = line_distance(image)
        if distance <= 0:
            return ()
        factor = min(UNIT / distance, (_MOST_PIXELS / image.size) ** 0.5)
        small = shrunk(image, factor)
        level, turn = turned(small, skew_of(small, UNIT))
        ink = find_ink(level, UNIT)
        found = reading_order(outlines(ink, courses(ink)))
        edge = image.shape[1] - 1.0, image.shape[0] - 1.0
        ratio = image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]
        return tuple(
            Line(f"line_{i}", _back(baseline, turn, ratio, edge), _back(polygon, turn, ratio, edge))
            for i, (baseline, polygon) in enumerate(found, start=1)
        )


def build() -> InkSegmenter:
    """The segmenter that is called ``ink``."""
    return InkSegmenter()


def _back(
    path: NDArray[np.float64], turn: Turn, ratio: tuple[float, float], edge: tuple[float, float]
) -> tuple[Point, ...]:
    """Points of the level copy as points of the page."""
    points: Sequence[Point] = turn.points_back([(float(x), float(y)) for x, y in path])
    found = (np.asarray(points) + 0.5) * ratio - 0.5
    return tuple((float(x), float(y)) for x, y in np.clip(np.round(found, 1), 0.0, edge))
