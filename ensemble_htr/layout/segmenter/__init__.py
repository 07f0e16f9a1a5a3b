"""Bare pages cut into lines, with OpenCV and NumPy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.layout.segmenter.ink import find_ink, line_distance, shrunk
from ensemble_htr.layout.segmenter.outline import outlines
from ensemble_htr.layout.segmenter.trace import UNIT, courses
from ensemble_htr.layout.skew import skew_of, turned
from ensemble_htr.types import Line

__all__ = ["InkSegmenter", "build"]

_MOST_PIXELS = 8e6


class InkSegmenter:
    """Finds the lines of handwriting on a page by their ink."""

    name = "ink"

    def segment(self, image: NDArray[np.uint8]) -> tuple[Line, ...]:
        distance = line_distance(image)
        if distance <= 0:
            return ()
        factor = min(UNIT / distance, (_MOST_PIXELS / image.size) ** 0.5)
        small = shrunk(image, factor)
        level, turn = turned(small, skew_of(small, UNIT))
        ink = find_ink(level, UNIT)
        ratio = np.array([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]])
        edge = np.array([image.shape[1], image.shape[0]], float)
        lines = []
        for baseline, polygon in outlines(ink, courses(ink)):
            paths = []
            for path in (baseline, polygon):
                back = (np.array(turn.points_back(path.tolist())) + 0.5) * ratio - 0.5
                paths.append(tuple((float(x), float(y)) for x, y in np.clip(back, 0, edge)))
            lines.append(Line(f"line_{len(lines) + 1}", *paths))
        return tuple(lines)


def build() -> InkSegmenter:
    return InkSegmenter()
