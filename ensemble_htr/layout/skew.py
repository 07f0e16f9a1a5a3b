"""How far a page is turned, and turning it level, pixels and geometry together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.types import Line, Point

__all__ = ["MOST_SKEW", "Turn", "skew_of", "turned"]

MOST_SKEW = 6.0  # degrees; a page turned further was not laid askew by accident
_LINE = 12.0  # px that a line is thick in the copy on which the angle is measured
_CLEAR = 1.6  # the best angle's sharpness over the median one's, to be believed

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A page turned by ``angle`` degrees; ``there`` is the affine map ``(2, 3)`` from the pixels of
    the page as it came to those of the turned one. Points are x, y; exact up to rounding."""

    angle: float
    there: Matrix

    def points(self, points: Sequence[Point]) -> tuple[Point, ...]:
        return _mapped(points, self.there)

    def points_back(self, points: Sequence[Point]) -> tuple[Point, ...]:
        inverse = np.linalg.inv(self.there[:, :2])
        return _mapped(points, np.column_stack([inverse, -inverse @ self.there[:, 2]]))

    def line(self, line: Line) -> Line:
        """``line`` on the turned page. Of a line known only by an upright box, which its slanting
        text touches at two corners, the box of the level text is put there."""
        polygon = self.points(line.polygon)
        if not line.baseline and (box := _level_box(line.polygon, self.angle)):
            middle = np.mean(np.asarray(polygon), axis=0)
            polygon = tuple((float(middle[0] + x), float(middle[1] + y)) for x, y in box)
        return dataclasses.replace(line, baseline=self.points(line.baseline), polygon=polygon)

    def line_back(self, line: Line) -> Line:
        baseline, polygon = self.points_back(line.baseline), self.points_back(line.polygon)
        return dataclasses.replace(line, baseline=baseline, polygon=polygon)


def skew_of(image: Image, thickness: float) -> float:
    """The angle in degrees by which the text of a gray page ``uint8 (H, W)`` runs downhill (it is
    negative for text that climbs), 0 where none stands out; at most `MOST_SKEW`.

    The ink is projected along many angles; the right one gives the sharpest profile, the largest
    sum of squared differences of neighbouring rows (Postl, ICPR 1986). ``thickness`` of the lines
    in px says at which scale to look.
    """
    xs, ys, weights = _ink_points(image, thickness)
    if len(xs) < 50:
        return 0.0
    coarse = np.arange(-MOST_SKEW, MOST_SKEW + 1e-9, 0.5)
    sharpness = np.array([_sharpness(xs, ys, weights, a) for a in coarse])
    best = float(coarse[int(sharpness.argmax())])
    if sharpness.max() < _CLEAR * float(np.median(sharpness)):
        return 0.0
    fine = np.arange(best - 0.5, best + 0.5 + 1e-9, 0.05)
    return float(fine[int(np.argmax([_sharpness(xs, ys, weights, a) for a in fine]))])


def turned(image: Image, angle: float) -> tuple[Image, Turn]:
    """``image`` turned so that text running downhill by ``angle`` degrees lies level, on a canvas
    that holds all of it (its new corners filled from the edge), and the map of its points."""
    import cv2

    height, width = image.shape
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    wide = math.ceil(width * cos + height * abs(sin))
    high = math.ceil(height * cos + width * abs(sin))
    rotation = np.array([[cos, sin], [-sin, cos]])
    centre, target = np.array([width - 1, height - 1]) / 2, np.array([wide - 1, high - 1]) / 2
    there = np.column_stack([rotation, target - rotation @ centre])
    pixels = cv2.warpAffine(
        image, there, (wide, high), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(pixels, np.uint8), Turn(angle, there)


def _ink_points(
    image: Image, thickness: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """x, y and darkness of what is darker than its surroundings at the scale of strokes: letters,
    but neither shadows nor black borders; in a copy whose lines are `_LINE` px thick."""
    import cv2

    height, width = image.shape
    scale = min(1.0, _LINE / max(thickness, 1.0))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    ink = np.asarray(cv2.morphologyEx(small, cv2.MORPH_BLACKHAT, disc), np.float64)
    floor = max(float(np.percentile(ink, 80)), 8.0)
    ys, xs = np.nonzero(ink > floor)
    spread = np.random.default_rng(0).random(len(ys))  # whole rows would favour 0 degrees
    return xs - size[0] / 2, ys + spread, ink[ys, xs] - floor


def _sharpness(
    xs: NDArray[np.float64], ys: NDArray[np.float64], weights: NDArray[np.float64], angle: float
) -> float:
    rows = ys - xs * math.tan(math.radians(angle))
    profile = np.bincount((rows - rows.min()).astype(np.int64), weights)
    return float((np.diff(profile) ** 2).sum())


def _mapped(points: Sequence[Point], matrix: Matrix) -> tuple[Point, ...]:
    if not points:
        return ()
    found = np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return tuple((float(x), float(y)) for x, y in found)


def _level_box(polygon: Sequence[Point], angle: float) -> list[Point]:
    """The corners, about its middle, of the rectangle that fits the upright box ``polygon`` when
    turned by ``angle``; [] if ``polygon`` is no upright box or not wider than tall.

    Width w = W cos + H sin and height h = W sin + H cos of the box, solved for W and H; a box that
    was drawn closer than that keeps half its height.
    """
    xs, ys = {x for x, _ in polygon}, {y for _, y in polygon}
    if len(set(polygon)) != 4 or len(xs) != 2 or len(ys) != 2:
        return []
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    if width <= height:
        return []
    cos, sin = math.cos(math.radians(angle)), abs(math.sin(math.radians(angle)))
    level = max((height * cos - width * sin) / (cos * cos - sin * sin), 0.5 * height)
    x, y = width / cos / 2, level / 2
    return [(-x, -y), (x, -y), (x, y), (-x, y)]
