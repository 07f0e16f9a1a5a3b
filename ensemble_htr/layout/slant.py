"""The slant of a line of handwriting, found and removed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["remove_slant", "sheared", "slant_of"]

Image = NDArray[np.uint8]
_LEFT, _RIGHT = -30.0, 60.0  # degrees from the upright; hands lean to the right
_INK = 96  # darker than this is ink


def slant_of(ink: Image) -> float:
    """The angle in degrees by which the letters of a line ``uint8 (H, W)``, 0 = paper, lean to the
    right of the upright; 0 for a line without ink.

    The shear is best that makes most columns one unbroken upright stroke: the sum of h(m)^2 over
    the columns m whose ink of h pixels has no gap between its highest and its lowest one
    (Vinciarelli & Luettin, Pattern Recognition Letters 22, 2001). Looked for in steps of 6
    degrees, then of 2, then of 1.
    """
    ys, xs = np.nonzero(ink > _INK)
    if len(xs) < 20:
        return 0.0
    best, step = 0.0, 6.0
    angles = np.arange(_LEFT, _RIGHT + 1e-9, step)
    while True:
        scores = [_upright(xs, ys, ink.shape[0], float(a)) for a in angles]
        best = float(angles[int(np.argmax(scores))])
        if step <= 1.0:
            return best if _LEFT < best < _RIGHT else 0.0  # off the scale: no letters, but a border
        step = 2.0 if step > 2.0 else 1.0
        angles = best + step * np.array([0.0, -2.0, -1.0, 1.0, 2.0])


def sheared(ink: Image, angle: float) -> Image:
    """The line with its letters pushed ``angle`` degrees to the left, about its lower third;
    as much wider as it needs to be, on both sides alike."""
    import cv2

    height, width = ink.shape
    lean, foot = math.tan(math.radians(angle)), 2 * (height - 1) / 3
    ends = np.flatnonzero((ink > _INK).any(0))
    reach = math.ceil(abs(lean) * foot)  # how far the top row moves
    room = 0 if not len(ends) else max(0, reach - min(int(ends[0]), width - 1 - int(ends[-1])))
    shear = np.array([[1.0, lean, room - lean * foot], [0.0, 1.0, 0.0]])
    size = (width + 2 * room, height)
    return np.asarray(cv2.warpAffine(ink, shear, size, flags=cv2.INTER_LINEAR), np.uint8)


def remove_slant(ink: Image) -> Image:
    """The line ``uint8 (H, W)``, 0 = paper, with upright letters."""
    angle = slant_of(ink)
    return ink if abs(angle) < 1.0 else sheared(ink, angle)


def _upright(xs: NDArray[np.int64], ys: NDArray[np.int64], height: int, angle: float) -> float:
    """The criterion for one angle; ``ys`` ascend."""
    shift = np.round((np.arange(height) - height / 2) * math.tan(math.radians(angle)))
    columns = xs + shift.astype(np.int64)[ys]
    columns -= columns.min()
    count = np.bincount(columns)
    top, foot = np.zeros_like(count), np.zeros_like(count)
    foot[columns] = ys  # the last one stays: the lowest
    top[columns[::-1]] = ys[::-1]
    whole = (count > 0) & (foot - top + 1 == count)
    return float((count[whole].astype(np.float64) ** 2).sum())
