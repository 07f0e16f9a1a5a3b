"""Cut a line out of its page: straightened along the baseline, cleaned by its polygon.

The line's own coordinate system is (s, n): s runs along the smoothed baseline in reading
direction, n is the distance above it. Curved, slanted and vertical lines become straight because
the output grid is laid out in (s, n) and looked up in the page; neighbours disappear because
everything outside the polygon becomes paper. (The idea is that of kraken's baseline dewarping,
Kiessling et al., ICFHR 2020; this is our own, simpler construction with smoothed normals.)

Output images are ``uint8 (height, W)``, 0 = paper, 255 = the line's darkest ink, with the aspect
ratio kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.types import Line, Point

__all__ = ["RectifyOptions", "page_thickness", "rectify", "rectify_page", "whole_image"]

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]
UPRIGHT = 4.0  # a box so many times taller than wide holds a line written downwards
ABSURD = 1e6  # px; no scan is wider
LONGEST = 30_000  # px; OpenCV's remap indexes with 16 bits


@dataclass(frozen=True, slots=True)
class RectifyOptions:
    """How lines are cut. Lengths are in multiples of t, the line's thickness (area / length)."""

    height: int = 48  # rows of the output image, px
    above: float = 1.35  # most of t that is kept above the baseline
    below: float = 0.75  # most of t that is kept below
    least: float = 0.9  # a crop is never lower than this many t (else dashes become huge)
    margin: float = 0.06  # the polygon mask is widened by this much of t
    step: float = 4.0  # baseline sampling, page px
    smooth: float = 0.7  # Gaussian width of the baseline smoothing, in t
    max_width: int = 4096  # px; longer lines are squeezed


def page_thickness(lines: Iterable[Line]) -> float:
    """Median line thickness of a page in pixels (polygon area / baseline length); without any
    polygon three quarters of the median distance to the next baseline below; else 46."""
    shapes = [(_points(line.baseline), _points(line.polygon)) for line in lines]
    values = [_thickness(baseline, polygon) for baseline, polygon in shapes if len(polygon) >= 3]
    values = [v for v in values if v > 1.0]
    if values:
        return float(np.median(values))
    gaps = _gaps([baseline for baseline, _ in shapes if len(baseline)])
    return float(0.75 * np.median(gaps)) if gaps else 46.0


def _gaps(baselines: Sequence[Floats]) -> list[float]:
    """For each baseline the distance down to the next one below it, in px; lines beside it (other
    columns, cells of a table) and upright ones do not count."""
    if not baselines:
        return []
    low = np.array([baseline.min(0) for baseline in baselines])
    high = np.array([baseline.max(0) for baseline in baselines])
    middle = np.array([baseline[:, 1].mean() for baseline in baselines])
    wide, tall = (high - low).T
    level = wide > tall
    gaps = []
    for i in np.flatnonzero(level):
        shared = np.minimum(high[i, 0], high[:, 0]) - np.maximum(low[i, 0], low[:, 0])
        below = level & (shared > 0.5 * np.minimum(wide[i], wide)) & (middle > middle[i] + 4.0)
        if below.any():
            gaps.append(float(middle[below].min() - middle[i]))
    return gaps


def rectify_page(
    image: Image, lines: Sequence[Line], options: RectifyOptions | None = None
) -> list[Line]:
    """Cut all ``lines`` of a grayscale page ``uint8 (H, W)``; returns them with ``image`` set."""
    options = options or RectifyOptions()
    typical = page_thickness(lines)
    return [rectify(image, line, typical, options) for line in lines]


def rectify(
    image: Image,
    line: Line,
    typical: float = 46.0,
    options: RectifyOptions | None = None,
) -> Line:
    """Cut one line. ``typical`` is the page's thickness in px (see `page_thickness`).

    A line without baseline gets one from its polygon; a line without polygon gets a band around
    its baseline; a line with neither comes back with an empty (``(height, 1)``) image.
    """
    options = options or RectifyOptions()
    polygon, baseline = _points(line.polygon, image.shape), _points(line.baseline, image.shape)
    if len(polygon) < 3 or _area(polygon) < 1.0:
        polygon = np.empty((0, 2))  # it encloses nothing
    if len(baseline) < 2 or _length(baseline) < 2.0:
        baseline = _baseline_of(polygon)
    if len(baseline) < 2:
        return dataclasses.replace(line, image=np.zeros((options.height, 1), np.uint8))
    own = _thickness(_points(line.baseline, image.shape), polygon) if len(polygon) else typical
    size = float(np.sqrt(np.clip(own, 0.4 * typical, 2.5 * typical) * typical))
    path = _smooth(baseline, options.step, options.smooth * size)
    start, stop, above, below = _extent(path, polygon, size, options)
    scale = (above + below) / options.height  # page px per output px
    width = int(np.clip(round((stop - start) / scale), 1, options.max_width))
    along, up = np.linspace(start, stop, width), np.linspace(above, -below, options.height)
    xs, ys = _grid(path, along, up)
    crop = _cut(image, polygon, xs, ys, scale, options.margin * size)
    return dataclasses.replace(line, image=crop)


def _extent(
    path: Floats, polygon: Floats, size: float, options: RectifyOptions
) -> tuple[float, float, float, float]:
    """What part of the (s, n) plane is cut: from s, to s, height above and depth below, in px."""
    if len(polygon):
        along, up = _project(_densify(polygon, options.step), path)
        start, stop = float(along.min()), float(along.max())
        above = float(np.clip(np.max(up), 0.45 * size, options.above * size))
        below = float(np.clip(-np.min(up), 0.15 * size, options.below * size))
    else:
        start, stop = -0.2 * size, _length(path) + 0.2 * size
        above, below = 0.92 * size, 0.48 * size  # medians of lines that have a polygon
    missing = options.least * size - (above + below)
    if missing > 0:
        above, below = above + 0.7 * missing, below + 0.3 * missing
    return start, stop, above, below


def _cut(
    image: Image, polygon: Floats, xs: Floats, ys: Floats, scale: float, margin: float
) -> Image:
    """Look the grid up in the page, wipe what lies more than ``margin`` px outside the polygon."""
    import cv2

    x0, y0 = int(max(0, np.floor(xs.min()) - 2)), int(max(0, np.floor(ys.min()) - 2))
    x1 = int(min(image.shape[1], np.ceil(xs.max()) + 3))
    y1 = int(min(image.shape[0], np.ceil(ys.max()) + 3))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return np.zeros(xs.shape, np.uint8)
    source, xs, ys, polygon = image[y0:y1, x0:x1], xs - x0, ys - y0, polygon - (x0, y0)
    shrink = max(1, int(scale / 4), -(-max(source.shape) // LONGEST))
    if shrink > 1:  # giant letters or a page that OpenCV cannot index: work on a smaller copy
        small = tuple(max(2, -(-side // shrink)) for side in source.shape)
        ratio = np.array([small[1] / source.shape[1], small[0] / source.shape[0]])
        source = np.asarray(cv2.resize(source, small[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        xs, ys, polygon = (xs + 0.5) * ratio[0] - 0.5, (ys + 0.5) * ratio[1] - 0.5, polygon * ratio
        scale, margin = scale / shrink, margin / shrink
    if scale > 1.5:  # avoid aliasing when shrinking a lot
        source = np.asarray(cv2.GaussianBlur(source, (0, 0), 0.4 * scale), np.uint8)
    map_x, map_y = xs.astype(np.float32), ys.astype(np.float32)
    mode: dict[str, Any] = {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
    crop = np.asarray(cv2.remap(source, map_x, map_y, **mode), np.uint8)
    mask: Image = np.full(source.shape, 255, np.uint8)
    if len(polygon):
        mask[:] = 0
        corners = np.round(polygon * 16).astype(np.int32)
        cv2.fillPoly(mask, [corners], 255, lineType=cv2.LINE_AA, shift=4)
        grow = 2 * round(margin) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grow, grow))
        mask = np.asarray(cv2.dilate(mask, kernel), np.uint8)
    inside = cv2.remap(mask, map_x, map_y, interpolation=cv2.INTER_LINEAR, borderValue=0)
    return _ink(crop, np.asarray(inside, np.uint8))


def whole_image(image: Image, line_id: str, height: int = 48) -> Line:
    """A ready-cut line image ``uint8 (H, W)`` (dark ink on light paper) as a `Line`."""
    import cv2

    rows, columns = image.shape
    width = int(np.clip(round(columns * height / max(rows, 1)), 1, 4096))
    how = cv2.INTER_AREA if rows > height else cv2.INTER_LINEAR
    crop = np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)
    ink = _ink(crop, np.full_like(crop, 255))
    box = ((0.0, 0.0), (float(columns), 0.0), (float(columns), float(rows)), (0.0, float(rows)))
    return Line(id=line_id, polygon=box, image=ink)


def _ink(crop: Image, mask: Image) -> Image:
    """Contrast normalisation: paper (a slowly varying local maximum) to 0, darkest ink to 255."""
    import cv2

    inside = mask > 127
    if not inside.any():
        return np.zeros_like(crop)
    middle = int(np.median(crop[inside]))
    filled = np.where(inside, crop, middle).astype(np.uint8)
    height, width = crop.shape
    quarter = (max(1, width // 4), max(1, height // 4))
    small = cv2.resize(filled, quarter, interpolation=cv2.INTER_AREA)
    paper = cv2.dilate(small, np.ones((9, 9), np.uint8), borderValue=0)
    paper = cv2.blur(paper, (25, 13), borderType=cv2.BORDER_REPLICATE)
    paper = cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    dark = np.maximum(paper - filled, 0.0)
    noise = float(np.median(dark[inside]))  # most pixels are paper: their depth is texture
    deepest = max(float(np.percentile(dark[inside], 98.5)), noise + 24.0)
    ink = (dark - noise) * (255.0 / (deepest - noise)) * (mask.astype(np.float32) / 255.0)
    return np.asarray(np.clip(ink, 0, 255).astype(np.uint8))


def _points(points: Sequence[Point], shape: tuple[int, ...] | None = None) -> Floats:
    """Points as ``(n, 2)`` without those that are no finite numbers; with the ``shape`` (H, W) of
    the page, none lies farther outside it than the page is wide and high."""
    array = np.asarray(points, np.float64).reshape(-1, 2)
    array = array[np.isfinite(array).all(1)]
    if shape is None:
        return np.clip(array, -ABSURD, ABSURD)
    height, width = shape[:2]
    return np.clip(array, (-width, -height), (2 * width, 2 * height))


def _thickness(baseline: Floats, polygon: Floats) -> float:
    """Area of the polygon over the length of the line, in px."""
    length = _length(baseline) if len(baseline) >= 2 else 0.0
    if length < 2.0:
        width, height = np.ptp(polygon, axis=0)
        length = float(height if height > UPRIGHT * width else width)
    return _area(polygon) / max(length, 1.0)


def _area(polygon: Floats) -> float:
    x, y = polygon[:, 0], polygon[:, 1]
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def _length(path: Floats) -> float:
    return float(np.hypot(*np.diff(path, axis=0).T).sum())


def _densify(points: Floats, step: float) -> Floats:
    """The closed polygon with extra points so that no side is longer than ``4 * step``."""
    closed = np.vstack([points, points[:1]])
    pieces = []
    for a, b in zip(closed[:-1], closed[1:], strict=True):
        count = max(1, int(np.hypot(*(b - a)) / (4 * step)))
        pieces.append(a + (b - a) * np.linspace(0, 1, count, endpoint=False)[:, None])
    return np.vstack(pieces)


def _smooth(baseline: Floats, step: float, width: float) -> Floats:
    """The baseline resampled every ``step`` px and smoothed by a Gaussian of ``width`` px."""
    keep = np.r_[True, np.hypot(*np.diff(baseline, axis=0).T) > 1e-6]
    baseline = baseline[keep]
    lengths = np.r_[0.0, np.cumsum(np.hypot(*np.diff(baseline, axis=0).T))]
    count = max(3, int(lengths[-1] / step) + 1)
    at = np.linspace(0.0, lengths[-1], count)
    path = np.column_stack([np.interp(at, lengths, baseline[:, i]) for i in (0, 1)])
    spacing = lengths[-1] / (count - 1)
    radius = min(int(3 * width / spacing), 4 * count)
    if radius < 1 or count < 4:
        return path
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) * spacing / width) ** 2)
    kernel /= kernel.sum()
    # Extend both ends by point reflection, so that straight lines stay as they are.
    index = np.arange(-radius, count + radius)
    head, tail = path[0], path[-1]
    extended = np.empty((len(index), 2))
    inner = (index >= 0) & (index < count)
    extended[inner] = path
    left, right = index < 0, index >= count
    direction = (tail - head) / max(np.hypot(*(tail - head)), 1e-9) * spacing
    extended[left] = head + index[left, None] * _end_step(path[: radius + 1], direction)
    extended[right] = tail + (index[right, None] - count + 1) * _end_step(
        path[-radius - 1 :], direction
    )
    return np.column_stack([np.convolve(extended[:, i], kernel, mode="valid") for i in (0, 1)])


def _end_step(points: Floats, fallback: Floats) -> Floats:
    """Mean step of the points at one end of a path."""
    if len(points) < 2:
        return fallback
    return np.asarray((points[-1] - points[0]) / (len(points) - 1))


def _normals(path: Floats) -> Floats:
    """Unit normals ``(count, 2)`` pointing to the upper side of the text."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)[:, None]
    return np.column_stack([tangent[:, 1], -tangent[:, 0]])


def _project(points: Floats, path: Floats) -> tuple[Floats, Floats]:
    """(s, n) of each point: arc length along ``path`` (extended at its ends) and height above."""
    at = np.r_[0.0, np.cumsum(np.hypot(*np.diff(path, axis=0).T))]
    normals = _normals(path)
    tangents = np.column_stack([-normals[:, 1], normals[:, 0]])
    rows = max(1, 1_000_000 // len(path))  # bounds the table of distances to tens of MB
    parts = [points[i : i + rows] for i in range(0, len(points), rows)]
    tables = (np.argmin(((p[:, None, :] - path[None]) ** 2).sum(2), axis=1) for p in parts)
    nearest = np.concatenate(list(tables))
    offset = points - path[nearest]
    along = at[nearest] + (offset * tangents[nearest]).sum(1)
    return along, (offset * normals[nearest]).sum(1)


def _grid(path: Floats, along: Floats, up: Floats) -> tuple[Floats, Floats]:
    """Page coordinates ``(len(up), len(along))`` of the grid in (s, n)."""
    at = np.r_[0.0, np.cumsum(np.hypot(*np.diff(path, axis=0).T))]
    normals = _normals(path)
    inside = np.clip(along, 0.0, at[-1])
    point = np.column_stack([np.interp(inside, at, path[:, i]) for i in (0, 1)])
    normal = np.column_stack([np.interp(inside, at, normals[:, i]) for i in (0, 1)])
    normal /= np.maximum(np.hypot(normal[:, 0], normal[:, 1]), 1e-9)[:, None]
    beyond = along - inside
    tangent = np.column_stack([-normal[:, 1], normal[:, 0]])
    point = point + beyond[:, None] * tangent
    xs = point[None, :, 0] + up[:, None] * normal[None, :, 0]
    ys = point[None, :, 1] + up[:, None] * normal[None, :, 1]
    return xs, ys


def _baseline_of(polygon: Floats) -> Floats:
    """A baseline for a line that has only a polygon or box: 30 % above its lower edge, along its
    longer axis (upright boxes read from left to right unless they are four times taller)."""
    if len(polygon) < 3 or _area(polygon) < 4.0:
        return np.empty((0, 2))
    low, high = polygon.min(0), polygon.max(0)
    width, height = high - low
    if height > UPRIGHT * width:  # a note in the margin: all of fr19's long ones run downwards
        x = low[0] + 0.3 * width
        return np.array([[x, low[1]], [x, high[1]]])
    closed = np.vstack([polygon, polygon[:1]])
    count = int(np.clip(width / max(height, 1.0) * 2, 2, 64))
    points = []
    for x in np.linspace(low[0] + 0.02 * width, high[0] - 0.02 * width, count):
        ys = _crossings(closed, x)
        if len(ys) >= 2:
            points.append((x, max(ys) - 0.3 * (max(ys) - min(ys))))
    return np.array(points) if len(points) >= 2 else np.empty((0, 2))


def _crossings(closed: Floats, x: float) -> list[float]:
    """The y at which the closed polygon crosses the upright line through ``x``."""
    found = []
    for (xa, ya), (xb, yb) in zip(closed[:-1], closed[1:], strict=True):
        if min(xa, xb) <= x <= max(xa, xb) and xa != xb:
            found.append(float(ya + (yb - ya) * (x - xa) / (xb - xa)))
    return found
