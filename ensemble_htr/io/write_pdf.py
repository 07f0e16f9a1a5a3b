"""Writing searchable PDF: the page's picture, and behind it its text in invisible letters.

Each word lies along the baseline, turned with it and stretched to its share of the length, so that
marking text marks the ink. The letters have no outlines: a font of blanks is made for the blocks
of Unicode that the page needs (ISO 32000-1, 9.3.6 text rendering mode 3; 9.10.3 ToUnicode), so
that any character of the Basic Multilingual Plane can be searched and copied; one beyond it is
written as its compatibility form or U+FFFD, since such fonts map to 16 bits. A JPEG that stands
upright goes in as it is, other pictures are recompressed.
"""

from __future__ import annotations

import functools
import io
import math
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ensemble_htr import __version__
from ensemble_htr.errors import ImageError, MissingDependencyError
from ensemble_htr.io.geometry import bounding_box
from ensemble_htr.io.images import image_size, load_page, rescale_page
from ensemble_htr.io.results import (
    PLAIN,
    PageResult,
    WriteOptions,
    final_reading,
    reading_words,
)
from ensemble_htr.io.words import point_at, shares
from ensemble_htr.io.xml import xml_text
from ensemble_htr.types import Line, Page, Point, Reading

__all__ = ["render", "require_libraries"]

_POINTS = 72.0  # PDF units an inch
_DPI = 300.0  # of a picture that does not say, or says what no scanner makes
_SANE_DPI = (100.0, 1200.0)  # cameras and editors write 72 or 96 for "unknown"
_LARGEST = 14400.0  # PDF units that a page may measure (ISO 32000-1, annex C)
_QUALITY = 85  # of recompressed pictures, JPEG scale
_STRAIGHT = 0.25  # of the letters' height that a baseline may stray and still count as straight
_ADVANCE = 500  # width of a blank letter, thousandths of the font's size
_ORIENTATION = 0x0112  # EXIF
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
_MODES = ("1", "L", "P", "RGB", "CMYK")


@dataclass(frozen=True, slots=True)
class _Picture:
    data: bytes  # JPEG
    width: int  # pixels, as shown
    height: int
    dpi: float


def render(result: PageResult, options: WriteOptions = PLAIN) -> bytes:
    """One PDF page; the text that a human confirmed stays, unless ``options.overwrite``.

    Raises `MissingDependencyError` without the libraries, `ImageError` for a page whose picture is
    missing, cannot be read or does not belong to the XML.
    """
    require_libraries()
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    picture = _picture(result.page)
    page = rescale_page(result.page, picture.width, picture.height)
    unit = min(_POINTS / picture.dpi, _LARGEST / max(picture.width, picture.height))
    size = picture.width * unit, picture.height * unit
    stream = io.BytesIO()
    with _binary_streams():
        canvas = Canvas(stream, pagesize=size, pageCompression=1)
        canvas.setAuthor("")
        canvas.setTitle(xml_text(page.stem))
        canvas.setSubject(xml_text(page.doc))
        canvas.setCreator(f"ensemble-htr {__version__}")
        canvas.drawImage(ImageReader(io.BytesIO(picture.data)), 0, 0, *size)
        canvas.scale(unit, unit)
        _write_lines(canvas, PageResult(page, result.readings), picture.height, options.overwrite)
        canvas.showPage()
        canvas.save()
    return stream.getvalue()


def require_libraries() -> None:
    """Raise `MissingDependencyError` without ReportLab, fontTools or Pillow."""
    wanted = {"reportlab": "ReportLab", "fontTools": "fontTools", "PIL": "Pillow"}
    for module, library in wanted.items():
        try:
            __import__(module)
        except ImportError:
            raise MissingDependencyError(library, "pdf", "writing a searchable PDF") from None


def _write_lines(canvas: Any, result: PageResult, height: int, overwrite: bool) -> None:
    """All lines, in pixels of the picture, whose origin is put at the lower left."""
    finals = [
        (x, final_reading(x, result.readings.get(x.id), overwrite)) for x in result.page.lines
    ]
    spoken = [(line, reading) for line, reading in finals if reading is not None]
    font = _font("".join(_plane_zero(reading.text) for _, reading in spoken))
    for line, reading in spoken:
        _write_line(canvas, line, reading, height, font)


def _write_line(canvas: Any, line: Line, reading: Reading, height: int, font: str) -> None:
    """A straight line is one piece of text, of a bent one every word is."""
    words = reading_words(reading)
    axis = _axis(line)
    if len(axis) < 2 or not words:
        return
    size = _thickness(line, axis, len(reading.tokens))
    texts = [_plane_zero(word.text) + " " for word in words]
    texts[-1] = texts[-1][:-1]  # words that follow one another are parted by a space
    marks = [*(start for start, _ in shares(reading, words)), 1.0]
    if _bend(axis) <= _STRAIGHT * size:
        axis = axis[0], axis[-1]
        places = list(zip(texts, marks, marks[1:], strict=False))
        _write_piece(canvas, axis, places, height, (font, size))
        return
    for text, lo, hi in zip(texts, marks, marks[1:], strict=False):
        chord = point_at(axis, lo), point_at(axis, hi)
        _write_piece(canvas, chord, [(text, 0.0, 1.0)], height, (font, size))


def _write_piece(
    canvas: Any,
    chord: tuple[Point, Point],
    places: Sequence[tuple[str, float, float]],
    height: int,
    font: tuple[str, float],
) -> None:
    """Texts along a straight line, each from one fraction of it to another."""
    (x0, y0), (x1, y1) = chord
    length = math.dist(*chord)
    if length <= 0:
        return
    cosine, sine = (x1 - x0) / length, (y0 - y1) / length
    shape = canvas.beginText()
    shape.setTextRenderMode(3)
    shape.setFont(*font)
    shape.setTextTransform(cosine, sine, -sine, cosine, x0, height - y0)
    place = 0.0
    for text, lo, hi in places:
        if text.strip() and hi > lo:
            natural = len(text) * font[1] * _ADVANCE / 1000
            shape.moveCursor((lo - place) * length, 0)
            shape.setHorizScale(100 * (hi - lo) * length / natural)
            shape.textOut(text)
            place = lo
    canvas.drawText(shape)


def _bend(axis: Sequence[Point]) -> float:
    """How far a polyline strays from the straight line between its ends, in pixels."""
    (x0, y0), (x1, y1) = axis[0], axis[-1]
    length = math.hypot(x1 - x0, y1 - y0)
    if length == 0:
        return math.inf
    return max(abs((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / length for x, y in axis)


def _axis(line: Line) -> Sequence[Point]:
    """The baseline; without one a line near the bottom of the box, or down a tall box."""
    if len(set(line.baseline)) >= 2:
        return line.baseline
    box = bounding_box(line.polygon)
    if box is None:
        return ()
    left, top, right, bottom = box
    if bottom - top > 2 * (right - left):
        x = left + 0.25 * (right - left)
        return (x, top), (x, bottom)
    y = bottom - 0.25 * (bottom - top)
    return (left, y), (right, y)


def _thickness(line: Line, axis: Sequence[Point], letters: int) -> float:
    """Height of the line in pixels: its area over its length, or that of usual letters."""
    length = sum(math.dist(a, b) for a, b in zip(axis, axis[1:], strict=False))
    if len(line.polygon) >= 3:
        turned = (*line.polygon[1:], line.polygon[0])
        area = sum(x * v - u * y for (x, y), (u, v) in zip(line.polygon, turned, strict=True)) / 2
        thickness = abs(area) / max(length, 1.0)
    else:
        thickness = 2 * length / max(letters, 1)
    return min(max(thickness, 4.0), 400.0)


def _plane_zero(text: str) -> str:
    """``text`` without characters that the font cannot map (or PDF hold)."""
    if all(" " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" for c in text):
        return text
    found = "".join(c if ord(c) < 0x10000 else unicodedata.normalize("NFKC", c) for c in text)
    return "".join(c if ord(c) < 0x10000 else "\ufffd" for c in xml_text(found))


def _font(text: str) -> str:
    """The name of a registered font that has a blank for every character of ``text``."""
    return _register(tuple(sorted({0, *(ord(c) >> 8 for c in text)})))


@functools.cache  # as many as there are sets of alphabets that meet on a page
def _register(blocks: tuple[int, ...]) -> str:
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from fontTools.ttLib.tables._g_l_y_f import Glyph
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    names = [".notdef", "blank"]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(
        {c: "blank" for b in blocks for c in range(max(b << 8, 32), min((b + 1) << 8, 0xFFFE))}
    )
    pen = TTGlyphPen(
        None
    )  # a line there and back: nothing to paint, but readers see how large it is
    pen.moveTo((0, -200))
    pen.lineTo((_ADVANCE, 800))
    pen.closePath()
    builder.setupGlyf({".notdef": Glyph(), "blank": pen.glyph()})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (_ADVANCE, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    name = f"Blank{zlib.crc32(bytes(blocks)):08x}"  # ReportLab takes fonts of one name for one
    builder.setupNameTable({"familyName": name, "styleName": "Regular", "psName": name})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    stream = io.BytesIO()
    builder.save(stream)
    stream.seek(0)
    pdfmetrics.registerFont(TTFont(name, stream))
    return name


def _picture(page: Page) -> _Picture:
    """The page's picture as JPEG, turned as its coordinates are."""
    if page.image is None:
        raise ImageError(
            f"{page.source or page.stem}: a searchable PDF needs the page's image, and none was "
            "found; put it beside the XML or leave out --format pdf"
        )
    found = _coloured(page)
    if found is not None:
        return found
    from PIL import Image

    pixels = load_page(page)[1]
    return _Picture(_jpeg(Image.fromarray(pixels)), pixels.shape[1], pixels.shape[0], _DPI)


def _coloured(page: Page) -> _Picture | None:
    """The picture as its file has it; None where only `load_page` can show it (a page of a PDF,
    deep or transparent pixels) or say what is wrong with it."""
    from PIL import Image, ImageOps

    assert page.image is not None
    if page.image.suffix.lower() == ".pdf":
        return None
    claimed = (page.width, page.height) if page.source and page.width and page.height else None
    width, height = image_size(page.image, claimed, page.frame)
    try:
        with Image.open(page.image, formats=_FORMATS) as image:
            image.seek(page.frame)
            dpi, orientation = _dpi(image), image.getexif().get(_ORIENTATION, 1)
            if image.mode not in _MODES or "transparency" in image.info:
                return None
            if image.format == "JPEG" and image.mode in ("L", "RGB") and orientation in (0, 1):
                return _Picture(page.image.read_bytes(), width, height, dpi)
            turned = orientation >= 5 and (width, height) != image.size
            shown = ImageOps.exif_transpose(image) if claimed is None or turned else image
            shown = shown.convert("L" if shown.mode in "1L" else "RGB")
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, Image.DecompressionBombError):
        return None
    return _Picture(_jpeg(shown), width, height, dpi) if shown.size == (width, height) else None


def _jpeg(image: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return stream.getvalue()


def _dpi(image: Any) -> float:
    try:
        dpi = float(image.info.get("dpi", (0, 0))[0])
    except (TypeError, ValueError, ZeroDivisionError, IndexError):
        return _DPI
    return dpi if _SANE_DPI[0] <= dpi <= _SANE_DPI[1] else _DPI


@contextmanager
def _binary_streams() -> Iterator[None]:
    """ReportLab writes pictures in ASCII unless told so, a quarter larger."""
    from reportlab import rl_config

    before, rl_config.useA85 = rl_config.useA85, 0
    try:
        yield
    finally:
        rl_config.useA85 = before
