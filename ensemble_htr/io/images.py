"""Page images: their size from the header first, then their pixels; nothing is trusted.

Pillow reads the header and decodes: unlike OpenCV it notices a truncated file, and its size is
known before any memory is asked for (a 69-byte PNG can claim 900 megapixels).
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.errors import ImageError, MissingDependencyError
from ensemble_htr.io.geometry import Notices, usable
from ensemble_htr.io.pdf import is_pdf, render_page
from ensemble_htr.types import Page, Point

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_FRAMES",
    "MAX_PIXELS",
    "TIFF_SUFFIXES",
    "image_frames",
    "image_size",
    "load_page",
    "read_image",
    "rescale_page",
]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".jp2", ".j2k", ".jpx")
TIFF_SUFFIXES = (".tif", ".tiff")  # the one format whose files hold several pages
MAX_PIXELS = 300_000_000  # 300 megapixels: an A2 page at 1,000 dpi is 390, at 600 dpi 139
MAX_FRAMES = 20_000  # pages of a TIFF
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "JPEG2000")  # the last where Pillow was built with it
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError)
_NOT_A_PAGE = 0b101  # TIFF NewSubfileType: a smaller copy of another page, a transparency mask
_INVERSE = {6: 8, 8: 6}  # all other orientations undo themselves
_ORIENTATION = 0x0112  # EXIF tag: 1 upright, 3 upside down, 6 and 8 quarter turns, rest mirrored
_TOLERANCE = 0.01  # how far the two scale factors may differ, relative
_LOG = logging.getLogger("ensemble_htr")
_LOCK = threading.Lock()


def image_frames(path: Path) -> tuple[int, ...]:
    """The frames of a TIFF that are pages (no thumbnails, no masks); (0,) of any other image.

    Raises `ImageError` for a file whose header cannot be read, or that has over ``MAX_FRAMES``.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return (0,)
    pages = []
    with _opened(path) as image:
        if image.format != "TIFF":
            return (0,)
        for frame in range(MAX_FRAMES + 1):
            try:
                with _our_own_limit():
                    image.seek(frame)
                if not int(image.tag_v2.get(254, 0)) & _NOT_A_PAGE:
                    pages.append(frame)
            except EOFError:
                return tuple(pages) or (0,)
            except _BROKEN as error:
                if len(pages) > 1:
                    break
                raise ImageError(_open_message(path, error)) from None
        else:
            raise ImageError(f"{path}: more than {MAX_FRAMES} pages in one TIFF are not read")
    return (*pages, frame)  # the damaged one, so that it is named when it is read


def image_size(
    path: Path, xml_size: tuple[int, int] | None = None, frame: int = 0
) -> tuple[int, int]:
    """Width and height in pixels, from the header alone.

    Cameras store a page lying on its side with an EXIF note how to turn it. Without ``xml_size``
    the note is obeyed. With it (what the XML claims), the note is obeyed only if the turned size
    has the XML's proportions and the stored one has not: coordinates decide. Raises `ImageError`.
    """
    with _opened(path, frame) as image:
        turned = _turned(image, xml_size)
        width, height = _stored_size(image)
    return (height, width) if turned >= 5 else (width, height)


def read_image(
    path: Path, xml_size: tuple[int, int] | None = None, frame: int = 0
) -> NDArray[np.uint8]:
    """Image ``frame`` of the file as gray ``uint8 (H, W)``, 0 = black, 255 = white.

    Transparent pixels become white; 16-bit images are scaled down. EXIF orientation as in
    `image_size`. Raises `ImageError` for an empty, truncated, corrupt or too large file.
    """
    with _opened(path, frame) as image:
        turned, noted = _turned(image, xml_size), _noted(image)
        image.draft("L", None)  # JPEG: decode luminance only
        try:
            image.load()
            if noted != 1 and image.format == "TIFF" and _noted(image) == 1:  # Pillow turned it
                turned = 1 if turned == noted else _INVERSE.get(noted, noted)
            gray = _gray(image)
        except (*_BROKEN, MemoryError) as error:
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
    if is_pdf(page.image):
        pixels = render_page(page.image, page.frame)
    else:
        pixels = read_image(page.image, claimed, page.frame)
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
    claimed = page.width, page.height
    if not _proportional(claimed, (width, height)):
        hint = (
            "the image looks turned by 90 degrees; turn it back"
            if _proportional(claimed, (height, width))
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
def _our_own_limit() -> Iterator[None]:
    """Pillow's own bound on sizes put aside (we check them ourselves, before any decoding), and
    its warnings of tags that do not matter here."""
    from PIL import Image

    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _opened(path: Path, frame: int = 0) -> Iterator[Any]:
    """A Pillow image whose header was read and whose size is within bounds."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingDependencyError("Pillow", "recognize", "reading images") from None
    with ExitStack() as stack:
        try:
            if path.stat().st_size == 0:
                raise ImageError(f"{path}: the image file is empty; copy or export it again")
            # a stream, not a path: Pillow garbles turned TIFFs that it maps into memory
            stream = stack.enter_context(open(path, "rb"))
            with _our_own_limit():
                Image.init()
                image = Image.open(stream, formats=[f for f in _FORMATS if f in Image.OPEN])
                if frame:
                    image.seek(frame)
        except _BROKEN as error:
            raise ImageError(_open_message(path, error)) from None
        stack.enter_context(image)
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
        f"{path}: not an image that can be read (wanted JPEG, PNG, TIFF, WebP or JPEG 2000); "
        "it may be truncated: copy or export it again"
    )


def _noted(image: Any) -> int:
    """The EXIF orientation that the file notes in front of its pixels (1 = as stored)."""
    from PIL import Image

    try:
        with _our_own_limit():  # the base class's method: that of PNG would decode the pixels
            orientation = int(Image.Image.getexif(image).get(_ORIENTATION, 1))
    except _BROKEN:
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def _stored_size(image: Any) -> tuple[int, int]:
    """Width and height as stored; Pillow may tell a TIFF's as they will be once turned."""
    width, height = image.size
    if image.format == "TIFF":
        width, height = image.tag_v2.get(256, width), image.tag_v2.get(257, height)
    return int(width), int(height)


def _turned(image: Any, xml_size: tuple[int, int] | None) -> int:
    """The EXIF orientation to obey (1 = leave as stored)."""
    orientation = _noted(image)
    if xml_size is None:
        return orientation
    stored = width, height = _stored_size(image)
    upright = height, width
    if xml_size in (stored, upright):
        lies = xml_size != stored
    else:
        lies = _proportional(xml_size, upright) and not _proportional(xml_size, stored)
    return orientation if orientation >= 5 and lies else 1


def _proportional(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= _slack(one, other)


def _slack(one: tuple[int, int], other: tuple[int, int]) -> float:
    """How far two scale factors may differ, relative: sizes are rounded to whole pixels."""
    return _TOLERANCE + sum(1 / side for side in (*one, *other)) / 2


def _gray(image: Any) -> NDArray[np.uint8]:
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        return _shallow(np.asarray(image), image.mode == "F")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        from PIL import Image

        rgba = image.convert("RGBA")
        paper = Image.new("RGB", rgba.size, (255, 255, 255))
        paper.paste(rgba, mask=rgba.getchannel("A"))
        image = paper
    return np.asarray(image.convert("L"), dtype=np.uint8)


def _shallow(deep: NDArray[Any], is_float: bool) -> NDArray[np.uint8]:
    """16 bits (or floats in 0..255) as 8; some rows at a time, since floats take eight times the
    room."""
    scale = 1.0 if is_float and not deep.max(initial=0.0) > 255.0 else 257.0
    gray = np.empty(deep.shape, np.uint8)
    step = max(1, (1 << 20) // max(1, deep.shape[1]))
    for top in range(0, len(deep), step):
        rows = np.nan_to_num(deep[top : top + step].astype(np.float64) / scale)
        gray[top : top + step] = np.clip(np.rint(rows), 0, 255)
    return gray


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
