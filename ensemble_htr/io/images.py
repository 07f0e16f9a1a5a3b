"""Page images: their size from the header first, then their pixels; nothing is trusted.

Pillow reads the header and decodes: unlike OpenCV it notices a truncated file, and its size is
known before any memory is asked for (a 69-byte PNG can claim 900 megapixels).
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.errors import ImageError, MissingDependencyError
from ensemble_htr.io.geometry import Notices, usable
from ensemble_htr.types import Page, Point

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "image_size",
    "load_page",
    "read_image",
    "rescale_page",
]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
MAX_PIXELS = 300_000_000  # 300 megapixels: an A2 page at 1,000 dpi is 390, at 600 dpi 139
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
_ORIENTATION = 0x0112  # EXIF tag: 1 upright, 3 upside down, 6 and 8 quarter turns, rest mirrored
_TOLERANCE = 0.01  # how far the two scale factors may differ, relative
_LOG = logging.getLogger("ensemble_htr")
_LOCK = threading.Lock()


def image_size(path: Path, xml_size: tuple[int, int] | None = None) -> tuple[int, int]:
    """Width and height in pixels, from the header alone.

    Cameras store a page lying on its side with an EXIF note how to turn it. Without ``xml_size``
    the note is obeyed. With it (what the XML claims), the note is obeyed only if the turned size
    agrees with the XML and the stored one does not: coordinates decide. Raises `ImageError`.
    """
    with _opened(path) as image:
        turned = _turned(image, xml_size)
        width, height = image.size
    return (height, width) if turned >= 5 else (width, height)


def read_image(path: Path, xml_size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """The first image of the file as gray ``uint8 (H, W)``, 0 = black, 255 = white.

    Transparent pixels become white; 16-bit images are scaled down. EXIF orientation as in
    `image_size`. Raises `ImageError` for an empty, truncated, corrupt or too large file.
    """
    with _opened(path) as image:
        turned = _turned(image, xml_size)
        image.draft("L", None)  # JPEG: decode luminance only
        try:
            gray = _gray(image)
        except (OSError, ValueError, SyntaxError, EOFError, MemoryError, IndexError) as error:
            raise ImageError(
                f"{path}: the image is truncated or corrupt ({_one_line(error)}); "
                "copy or export it again"
            ) from None
    return np.ascontiguousarray(_turn(gray, turned))


def load_page(page: Page) -> tuple[Page, NDArray[np.uint8]]:
    """The page's pixels, gray ``uint8 (H, W)``, and the page with its geometry in these pixels.

    Raises `ImageError` if there is no image, it cannot be read, or does not belong to the XML.
    """
    if page.image is None:
        where = page.source.name if page.source else page.stem
        raise ImageError(
            f"{page.source or page.stem}: no image was found for {where}; put it beside the XML, "
            f"one folder up or in images/, named {page.stem}.jpg or as the XML names it"
        )
    claimed = (page.width, page.height) if page.width > 0 and page.height > 0 else None
    pixels = read_image(page.image, claimed)
    height, width = pixels.shape
    return rescale_page(page, width, height), pixels


def rescale_page(page: Page, width: int, height: int) -> Page:
    """The page with its geometry scaled to an image of ``width`` x ``height`` pixels.

    A page whose XML is silent about its size gets the size and is clamped to it. Otherwise both
    factors must agree within 1 % and a notice is logged. Raises `ImageError` if they do not.
    """
    if (page.width, page.height) == (width, height):
        return page
    if page.width <= 0 or page.height <= 0:
        return _clamped(page, width, height)
    fx, fy = width / page.width, height / page.height
    slack = (1 / page.width + 1 / page.height + 1 / width + 1 / height) / 2  # sizes are rounded
    if abs(fx / fy - 1) > _TOLERANCE + slack:
        hint = (
            "the image looks turned by 90 degrees; turn it back"
            if abs(width / page.height / (height / page.width) - 1) <= _TOLERANCE + slack
            else "give the image that the XML was made for"
        )
        raise ImageError(
            f"{page.image or page.stem}: the image is {width}x{height} pixels but "
            f"{page.source.name if page.source else 'the XML'} was made for "
            f"{page.width}x{page.height}, which is no uniform scaling; {hint}"
        )
    _LOG.warning(
        "%s: the image is %dx%d pixels, the XML says %dx%d: coordinates were scaled by %.4f",
        page.source or page.stem,
        width,
        height,
        page.width,
        page.height,
        fx,
    )

    def scaled(points: tuple[Point, ...]) -> tuple[Point, ...]:
        return tuple((x * fx, y * fy) for x, y in points)

    lines = tuple(
        dataclasses.replace(line, baseline=scaled(line.baseline), polygon=scaled(line.polygon))
        for line in page.lines
    )
    return dataclasses.replace(page, lines=lines, width=width, height=height)


def _clamped(page: Page, width: int, height: int) -> Page:
    notices = Notices(page.source or Path(page.stem))
    size = float(width), float(height)
    lines = tuple(
        dataclasses.replace(
            line,
            baseline=usable(line.baseline, size, 2, notices),
            polygon=usable(line.polygon, size, 3, notices),
        )
        for line in page.lines
    )
    notices.say()
    return dataclasses.replace(page, lines=lines, width=width, height=height)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A Pillow image whose header was read and whose size is within bounds."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingDependencyError("Pillow", "recognize", "reading images") from None
    try:
        if path.stat().st_size == 0:
            raise ImageError(f"{path}: the image file is empty; copy or export it again")
        with _LOCK:  # we check the size ourselves, below, before any decoding
            before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            Image.init()
            try:
                image = Image.open(path, formats=[f for f in _FORMATS if f in Image.OPEN])
            finally:
                Image.MAX_IMAGE_PIXELS = before
    except (OSError, ValueError, SyntaxError, EOFError, IndexError) as error:
        raise ImageError(_open_message(path, error)) from None
    with image:
        width, height = image.size
        if width < 1 or height < 1 or width * height > MAX_PIXELS:
            raise ImageError(
                f"{path}: the image claims {width}x{height} pixels, more than "
                f"{MAX_PIXELS // 1_000_000} megapixels are not read; scale it down"
            )
        yield image


def _open_message(path: Path, error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{path}: the image cannot be read: {error.strerror}"
    return (
        f"{path}: not an image that can be read (wanted JPEG, PNG, TIFF or WebP); "
        "it may be truncated: copy or export it again"
    )


def _turned(image: Any, xml_size: tuple[int, int] | None) -> int:
    """The EXIF orientation to obey (1 = leave as stored)."""
    try:
        orientation = int(image.getexif().get(_ORIENTATION, 1))
    except (OSError, ValueError, SyntaxError, TypeError, KeyError):
        return 1
    if not 1 <= orientation <= 8:
        return 1
    if xml_size is None:
        return orientation
    width, height = image.size
    agrees = xml_size == (height, width) != (width, height)
    return orientation if orientation >= 5 and agrees else 1


def _gray(image: Any) -> NDArray[np.uint8]:
    mode = image.mode
    if mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        deep = np.asarray(image, dtype=np.float64)
        scale = 257.0 if mode != "F" or deep.max(initial=0.0) > 255.0 else 1.0
        return np.clip(np.rint(deep / scale), 0, 255).astype(np.uint8)
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        from PIL import Image

        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (255, 255, 255, 255)), rgba)
    return np.asarray(image.convert("L"), dtype=np.uint8)


def _turn(gray: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (EXIF 2.32, section 4.6.4, tag 274)."""
    if orientation >= 5:
        gray = gray.T
    if orientation in (2, 3, 6, 7):
        gray = gray[:, ::-1]
    if orientation in (3, 4, 7, 8):
        gray = gray[::-1]
    return gray


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
