"""From a file or folder to pages: PAGE or ALTO with its image, or ready-cut line images."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from pathlib import Path

from ensemble_htr.errors import ImageError, XMLError
from ensemble_htr.io import alto, page
from ensemble_htr.io.documents import document_of
from ensemble_htr.io.finding import find_image, page_stem
from ensemble_htr.io.geometry import Notices
from ensemble_htr.io.images import image_size
from ensemble_htr.io.page import Raw
from ensemble_htr.io.xml import local_name, parse_xml
from ensemble_htr.types import Line, Page, Point

__all__ = ["FORMAT_OF_ROOT", "read_image_page", "read_page"]

FORMAT_OF_ROOT = {"PcGts": "page", "alto": "alto"}
_LOG = logging.getLogger("ensemble_htr")
_READERS = {"page": page.read_lines, "alto": alto.read_lines}
_UNITS_PER_INCH = {"mm10": 254.0, "inch1200": 1200.0}
_TALL = 600  # pixels; a line cut at 600 dpi is about 300 high
_ASSUMED_DPI = 300.0  # where neither the page size nor the image says


def read_page(path: Path) -> Page:
    """Read one PAGE or ALTO file; nothing is said about its image beyond where it is.

    Coordinates are pixels of the page the XML was made for (``width`` x ``height``), clamped into
    it with a notice. ALTO in mm10 or inch1200 is converted by the size of the image over the size
    of the Page; without an image the XML's units stay and `rescale_page` can finish the work.
    Raises `XMLError` for XML that is broken, forbidden or of another schema.
    """
    root = parse_xml(path).getroot()
    kind = FORMAT_OF_ROOT.get(local_name(root))
    if kind is None:
        namespace = root.tag.partition("}")[0].lstrip("{") if "}" in root.tag else "no namespace"
        raise XMLError(
            f"{path}: line {root.sourceline}: the root element is <{local_name(root)}> "
            f"({namespace}); wanted PAGE (<PcGts>) or ALTO (<alto>)"
        )
    notices = Notices(path)
    raw = _READERS[kind](root, notices)
    stem = page_stem(path, kind)
    image = find_image(path, raw.image_name, stem)
    raw = _in_pixels(raw, image, notices)
    notices.say()
    return Page(
        stem=stem,
        lines=raw.lines,
        width=round(raw.width),
        height=round(raw.height),
        image=image,
        source=path,
        doc=document_of(path),
        format=kind,
    )


def read_image_page(path: Path, stem: str = "") -> Page:
    """A ready-cut line image as a page of one line; both are called ``stem`` (the file's stem).

    An image that looks like a whole page is read all the same, with a notice. Raises `ImageError`
    if the header cannot be read.
    """
    stem = stem or path.stem
    width, height = image_size(path)
    if height > _TALL and height > width / 2:
        _LOG.warning(
            "%s: %dx%d pixels look like a whole page, but no PAGE or ALTO XML of the same name "
            "shows its lines: it is read as one line",
            path,
            width,
            height,
        )
    corners = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    line = Line(id=stem, polygon=tuple((float(x), float(y)) for x, y in corners))
    return Page(
        stem=stem,
        lines=(line,),
        width=width,
        height=height,
        image=path,
        doc=document_of(path),
        format="image",
    )


def _in_pixels(raw: Raw, image: Path | None, notices: Notices) -> Raw:
    """Scale coordinates out of mm10 or inch1200 (ALTO's MeasurementUnit)."""
    if raw.unit not in _UNITS_PER_INCH:
        if raw.unit != "pixel":
            notices.add(f"unknown MeasurementUnit '{raw.unit}' was read as pixel")
        return raw
    fx = fy = _ASSUMED_DPI / _UNITS_PER_INCH[raw.unit]
    size = _known_size(image)
    if size is not None and raw.width > 0 and raw.height > 0:
        fx, fy = size[0] / raw.width, size[1] / raw.height
    elif size is None and raw.width > 0:
        notices.add(f"coordinates stay in {raw.unit}: no image shows how many pixels they are")
        return raw
    else:
        notices.add(f"no page size: coordinates in {raw.unit} were taken for {_ASSUMED_DPI:g} dpi")

    def scaled(points: Iterable[Point]) -> tuple[Point, ...]:
        return tuple((x * fx, y * fy) for x, y in points)

    lines = tuple(
        dataclasses.replace(line, baseline=scaled(line.baseline), polygon=scaled(line.polygon))
        for line in raw.lines
    )
    return dataclasses.replace(
        raw, lines=lines, width=raw.width * fx, height=raw.height * fy, unit="pixel"
    )


def _known_size(image: Path | None) -> tuple[int, int] | None:
    try:
        return image_size(image) if image is not None else None
    except ImageError:
        return None  # said, in full, when the image is read
