"""From a gray page to its ink, less dark borders and ruled lines, and to the size of its text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ink", "contrast", "find_ink", "line_distance", "shrunk"]

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.uint8]  # 0 or 1

_LONGEST = 1400  # px, longest side of the copy on which the size of the text is measured
_STRIPS = 12  # upright strips of a page that are looked at apart: lines need not be level
_SOLID = 0.55  # what is darker than this much of the paper over an area is no paper
_DIM = 0.75  # and of this much if the area is long and narrow
_FAINT = 0.06  # no ink is fainter than this much of the paper's brightness
_RELATIVE = 0.4  # nor than this much of the ink around it
_PICTURE = 0.5  # where ink covers so much of an area it is no writing


@dataclass(frozen=True, slots=True, eq=False)
class Ink:
    """The ink of a page whose text lines are some 40 px apart, all ``(H, W)``."""

    soft: Floats  # 0 = paper, 1 = the darkest ink around
    mask: Mask  # 1 = ink, without ruled lines
    paper: Mask  # 1 = on the paper, 0 = a border, a stamp, a seal


def shrunk(image: Image, factor: float) -> Image:
    """``image`` made smaller (or larger) by ``factor``."""
    import cv2

    height, width = image.shape
    size = (max(8, round(width * factor)), max(8, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def contrast(image: Image, size: float) -> tuple[Floats, Mask]:
    """How much darker than the paper around it every pixel is, as a share of the paper's
    brightness in [0, 1], and where there is paper. ``size`` is the line distance in px.

    The paper's brightness is a closing wider than any stroke; where that stays dark lies the
    scanner's bed, a binding, a stamp or a seal.
    """
    import cv2

    gray = cv2.GaussianBlur(image, (0, 0), max(0.5, size / 60))
    side = 2 * round(0.35 * size) + 1
    box = np.ones((side, side), np.uint8)
    closed = cv2.morphologyEx(gray, cv2.MORPH_CLOSE, box).astype(np.float32)
    wide = shrunk(np.asarray(closed, np.uint8), 0.125)
    around = cv2.blur(cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)), (9, 9))
    white = float(np.percentile(wide, 80))
    rows, columns = image.shape
    local = cv2.resize(around, (columns, rows), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    dark = (closed < _SOLID * np.minimum(local, white)) | (closed < 0.4 * white)
    dark |= _bands(closed < _DIM * white, size)
    grow = 2 * round(0.2 * size) + 1
    beyond = cv2.dilate(dark.astype(np.uint8), np.ones((grow, grow), np.uint8))
    level = _smooth(closed, 0.25 * size)
    depth = np.clip((level - gray) / np.maximum(level, 1.0), 0.0, 1.0)
    paper = np.asarray(1 - beyond, np.uint8)
    return np.asarray(depth * paper, np.float32), paper


def _bands(dim: NDArray[np.bool_], size: float) -> NDArray[np.bool_]:
    """Of dim areas those that are long and narrow: bindings, the bed beside the sheet. A shadow is
    wide."""
    import cv2

    step = max(1, round(size / 10))
    small = dim[::step, ::step].astype(np.uint8)
    wide, high, long = (
        np.asarray(cv2.morphologyEx(small, cv2.MORPH_OPEN, np.ones(side, np.uint8)), np.uint8)
        for side in ((25, 25), (60, 1), (1, 60))
    )
    found = cv2.dilate((high | long) & (1 - wide), np.ones((3, 3), np.uint8))
    rows, columns = dim.shape
    return np.asarray(cv2.resize(found, (columns, rows), interpolation=cv2.INTER_NEAREST) > 0)


def find_ink(image: Image, size: float) -> Ink:
    """The ink of a page whose lines are ``size`` px apart."""
    import cv2

    depth, paper = contrast(image, size)
    side = 2 * round(0.5 * size) + 1
    deep = cv2.medianBlur((depth * 255).astype(np.uint8), 3)
    darkest = cv2.dilate(deep, np.ones((side, side), np.uint8))
    around = _smooth(np.asarray(darkest, np.float32) / np.float32(255), 0.5 * size)
    seen = depth[(depth > _FAINT) & (paper > 0)]
    usual = float(np.median(seen)) if len(seen) else _FAINT
    grain = 3 * 1.4826 * float(np.median(depth[paper > 0])) if paper.any() else 0.0
    least = max(_FAINT, 0.6 * usual, grain)
    mask = (depth > np.maximum(least, _RELATIVE * around)).astype(np.uint8)
    soft = np.clip(depth / np.maximum(around, 2 * least), 0.0, 1.0)
    side = 2 * round(0.6 * size) + 1
    picture = cv2.blur(mask.astype(np.float32), (side, side)) > _PICTURE
    grow = 2 * round(0.4 * size) + 1
    mask[cv2.dilate(picture.astype(np.uint8), np.ones((grow, grow), np.uint8)) > 0] = 0
    mask[_ruled(mask, size) > 0] = 0
    mask = _unspeckled(mask, size)
    return Ink(np.asarray(soft, np.float32), mask, paper)


def _smooth(values: Floats, width: float) -> Floats:
    """A Gaussian of ``width`` px, computed on a copy that is small enough for a short kernel."""
    import cv2

    rows, columns = values.shape
    factor = min(1.0, 2.5 / width)
    size = (max(4, round(columns * factor)), max(4, round(rows * factor)))
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), width * factor, borderType=cv2.BORDER_REPLICATE)
    large = cv2.resize(small, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.float32)


def _ruled(mask: Mask, size: float) -> Mask:
    """Pixels of ruled lines, level or upright: long and thin."""
    import cv2

    found = np.zeros_like(mask)
    thin = max(2, round(0.11 * size))
    for level in (True, False):
        turned = mask if level else np.ascontiguousarray(mask.T)
        thick = cv2.dilate(turned, np.ones((3, 1), np.uint8))  # a slightly sloping line has steps
        length = round((2.0 if level else 2.5) * size)
        long = cv2.morphologyEx(thick, cv2.MORPH_OPEN, np.ones((1, length), np.uint8))
        stroke = cv2.morphologyEx(turned, cv2.MORPH_OPEN, np.ones((thin + 2, 1), np.uint8))
        here = ((turned > 0) & (long > 0) & (stroke == 0)).astype(np.uint8)
        found |= here if level else here.T
    return found


def _unspeckled(mask: Mask, size: float) -> Mask:
    """``mask`` without what is smaller than the dot of an i, and without dashes: dashed rulings are
    made of them."""
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= max(3.0, (0.07 * size) ** 2)
    wide, high = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    large &= (high > max(2.0, 0.16 * size)) | (wide < 3 * high)
    large[0] = False
    return np.asarray(large[labels], np.uint8)


def line_distance(image: Image) -> float:
    """The usual distance of neighbouring text lines in px of ``image``, 0.0 where there is no text.

    Pages are looked at in upright strips: along each, strokes are counted row by row; the counts
    repeat themselves at the distance of the lines (autocorrelation), and where there are too few
    lines for that, their central peak is as wide as small letters are high.
    """
    factor = min(1.0, _LONGEST / float(max(image.shape)))
    small = shrunk(image, factor) if factor < 1 else image
    guess = 40.0
    for _ in range(2):  # the second time with a guess that fits
        found = _distance(small, guess)
        if found <= 0:
            return 0.0
        guess = found
    return guess / factor


def _distance(image: Image, guess: float) -> float:
    strokes = np.abs(np.diff(find_ink(image, guess).mask.astype(np.float32), axis=1))
    height, width = strokes.shape
    most = min(height // 2, 400)
    total = np.zeros(most)
    for strip in np.array_split(strokes, max(1, min(_STRIPS, width // 40)), axis=1):
        profile = strip.sum(1)
        profile = profile - _running_mean(profile, max(3, round(3 * guess)))
        power = float((profile**2).sum())
        if power > 0:
            spectrum = np.fft.rfft(profile, 2 * height)
            total += np.fft.irfft(np.abs(spectrum) ** 2)[:most] / np.sqrt(power)
    if len(total) < 8 or total[0] <= 0:
        return 0.0
    return _peak(total / total[0] / (1 - np.arange(most) / height))


def _running_mean(values: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    kernel = np.ones(width) / width
    padded = np.pad(values.astype(np.float64), width, mode="edge")
    return np.convolve(padded, kernel, mode="same")[width:-width]


def _peak(curve: NDArray[np.float64]) -> float:
    """The lag of the first clear peak of an autocorrelation, else a multiple of its own width."""
    below = np.flatnonzero(curve < 0.5)
    half = float(below[0]) if len(below) else 8.0
    letters = 6.5 * half
    rises: dict[int, float] = {}
    start = max(6, round(2.5 * half))
    for i in range(start + 1, min(len(curve) - 1, round(13 * half) + 2)):
        if curve[i] >= curve[i - 1] and curve[i] > curve[i + 1]:
            rises[i] = float(curve[i] - curve[round(1.2 * half) : i].min())
    usual = {i: r * np.exp(-0.5 * (np.log(i / (8 * half)) / 0.5) ** 2) for i, r in rises.items()}
    if not usual or max(usual.values()) < 0.12:
        return letters
    best = max(usual, key=lambda i: usual[i])
    halves = [i for i in rises if 0.42 < i / best < 0.58 and rises[i] > 0.4 * rises[best]]
    return float(max(halves, key=lambda i: rises[i], default=best))
