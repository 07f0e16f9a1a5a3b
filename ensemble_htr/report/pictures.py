"""Pictures inside a page: pixels become JPEG data URIs, geometry becomes SVG."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ensemble_htr.errors import ImageError
from ensemble_htr.types import Line, Point

__all__ = ["crop_uri", "jpeg_uri", "outline", "page_picture"]

_LIMIT = 200_000_000  # pixels; beyond this an image is refused, not decoded


def page_picture(path: Path) -> Image.Image:
    """The page image in RGB or grey; raises `ImageError` if it cannot be decoded."""
    try:
        picture = Image.open(path)
        if picture.width * picture.height > _LIMIT:
            raise ImageError(f"{path}: {picture.width} x {picture.height} pixels are too many")
        return picture.convert("L" if picture.mode in ("1", "L", "I;16", "I") else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: cannot be decoded: {error}") from None


def jpeg_uri(picture: Image.Image, width: int, quality: int = 72) -> str:
    """``picture`` no wider than ``width`` pixels as a ``data:`` URI."""
    if picture.width > width:
        height = max(1, round(picture.height * width / picture.width))
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def crop_uri(
    line: Line, crop: NDArray[np.uint8] | None, page: Image.Image | None, scale: Point, width: int
) -> str:
    """The line's picture: ``crop`` (uint8 (H, W), 0 = paper, 255 = ink) where given, else its box
    cut out of ``page``, whose pixels are ``scale`` (x, y) times the XML's. '' if there is none."""
    if crop is not None and crop.size:
        return jpeg_uri(Image.fromarray(255 - crop), width)
    points = line.polygon or line.baseline
    if page is None or not points:
        return ""
    above, below = (0.0, 0.0) if line.polygon else (50.0, 20.0)  # a baseline alone: a usual height
    left, top = min(x for x, _ in points), min(y for _, y in points) - above
    right, bottom = max(x for x, _ in points), max(y for _, y in points) + below
    box = (
        max(0, int(left * scale[0])),
        max(0, int(top * scale[1])),
        min(page.width, int(right * scale[0]) + 1),
        min(page.height, int(bottom * scale[1]) + 1),
    )
    return jpeg_uri(page.crop(box), width) if box[2] > box[0] and box[3] > box[1] else ""


def outline(line: Line) -> str:
    """The ``points`` of an SVG polygon around the line ('' where nothing is known)."""
    points: Sequence[Point] = line.polygon
    if not points and line.baseline:
        points = (*line.baseline, *((x, y - 40) for x, y in reversed(line.baseline)))
    return " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
