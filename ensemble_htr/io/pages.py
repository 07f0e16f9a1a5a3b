"""From a file to a page: PAGE, ALTO or hOCR with its image, a line image, a bare page."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable
from pathlib import Path

from ensemble_htr.errors import ImageError, XMLError, printable
from ensemble_htr.io import alto, hocr, page
from ensemble_htr.io.documents import document_of
from ensemble_htr.io.finding import find_image, frame_stem, page_number, page_stem
from ensemble_htr.io.geometry import Notices
from ensemble_htr.io.hocr import HocrPage
from ensemble_htr.io.images import TIFF_SUFFIXES, image_frames, image_size
from ensemble_htr.io.linetexts import line_stem, read_line_text, text_beside
from ensemble_htr.io.page import Raw
from ensemble_htr.io.pdf import is_pdf
from ensemble_htr.io.sure import SPOILT, Heard
from ensemble_htr.io.xml import (
    MAX_BYTES,
    Element,
    local_name,
    parse_html,
    parse_xml,
    sniff_hocr,
    sniff_root,
)
from ensemble_htr.types import Line, Page, Point

__all__ = [
    "FORMAT_OF_ROOT",
    "HOCR_SUFFIXES",
    "file_stamp",
    "page_count",
    "page_format",
    "read_heard",
    "read_hocr",
    "read_image_page",
    "read_page",
    "read_whole_page",
]

FORMAT_OF_ROOT = {"PcGts": "page", "alto": "alto"}
HOCR_SUFFIXES = (".hocr", ".html", ".htm", ".xhtml")
_READERS = {"page": page.read_lines, "alto": alto.read_lines}
_HEARD = {"page": page.heard, "alto": alto.heard}
_LINES = {"page": page.text_lines, "alto": alto.text_lines}
_UNITS_PER_INCH = {"mm10": 254.0, "inch1200": 1200.0}
_OCR_PAGE = re.compile(rb"class\s*=\s*[\"'][^\"'<>]{0,200}\bocr_page\b")
_ASSUMED_DPI = 300.0  # where neither the page size nor the image says


def page_format(path: Path) -> str:
    """What the first bytes say: "page", "alto", "hocr", or "" for any other file."""
    suffix = path.suffix.lower()
    if suffix == ".xml" and (root := sniff_root(path)) not in (None, "html"):
        return FORMAT_OF_ROOT.get(root or "", "")
    if suffix == ".hocr":
        return "hocr"
    return "hocr" if suffix in (".xml", *HOCR_SUFFIXES) and sniff_hocr(path) else ""


def page_count(path: Path, kind: str) -> int:
    """How many pages a file of this format holds: hOCR may hold several. Raises `XMLError`."""
    if kind != "hocr" or not _may_hold_more(path):
        return 1
    return max(1, len(_hocr_pages(path, file_stamp(path))[0]))


def read_page(path: Path, part: int = 0) -> Page:
    """Read one PAGE, ALTO or hOCR file (of that its page ``part``); nothing is said about its image
    beyond where it is.

    Coordinates are pixels of the page the XML was made for (``width`` x ``height``), clamped into
    it with a notice. ALTO in mm10 or inch1200 is converted by the size of the image over the size
    of the Page; without an image the XML's units stay and `rescale_page` can finish the work.
    Raises `XMLError` for XML that is broken, forbidden or of another schema.
    """
    notices = Notices(path)
    if page_format(path) == "hocr":
        pages, found = _hocr_pages(path, file_stamp(path))
        if part >= len(pages):
            raise XMLError(f"{path}: has {len(pages)} pages, wanted number {part + 1}")
        kind, raw, number = "hocr", pages[part].raw, pages[part].number
        stem = hocr_stem(path, part, len(pages))
        for what, count in found if part == 0 else ():
            notices.add(what, 0 if what == SPOILT else count)  # who reads confidences says it
    else:
        kind, root = _parsed(path)
        raw = _READERS[kind](root, notices)
        stem, number = page_stem(path, kind), 0
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
        frame=_frame(image, stem, number),
    )


def read_heard(path: Path) -> list[tuple[str, Heard | None]]:
    """The ids of all lines of a PAGE or ALTO file with what its engine says of them, None for a
    line that it has not read; raises `XMLError`. Spoilt confidences are ignored with a notice."""
    notices = Notices(path)
    kind, root = _parsed(path)
    lines = _HEARD[kind](root, notices)
    notices.say()
    return [(name, lines.get(name)) for name, _ in _LINES[kind](root)]


def read_hocr(path: Path) -> list[tuple[str, HocrPage]]:
    """All pages of an hOCR file with their stems; raises `XMLError`. Spoilt confidences are ignored
    with a notice."""
    pages, found = _hocr_pages(path, file_stamp(path))
    notices = Notices(path)
    notices.add(SPOILT, dict(found).get(SPOILT, 0))
    notices.say()
    return [(hocr_stem(path, i, len(pages)), page) for i, page in enumerate(pages)]


def hocr_stem(path: Path, part: int, count: int) -> str:
    """The stem of page ``part`` (from 0) of an hOCR file of ``count`` pages."""
    stem = page_stem(path, "hocr")
    return frame_stem(stem, part + 1, count) if count > 1 else stem


def read_image_page(path: Path, stem: str = "") -> Page:
    """A ready-cut line image as a page of one line; both are called ``stem`` (the file's stem).

    The text of a ``.gt.txt`` beside it is the line's. Raises `ImageError` if the header cannot be
    read, `InputError` for a text that cannot.
    """
    text = text_beside(path)
    stem = stem or line_stem(path, text)
    width, height = image_size(path)
    corners = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    line = Line(
        id=stem,
        polygon=tuple((float(x), float(y)) for x, y in corners),
        text=None if text is None else read_line_text(text),
    )
    return Page(
        stem=stem,
        lines=(line,),
        width=width,
        height=height,
        image=path,
        doc=document_of(path),
        format="image",
    )


def read_whole_page(path: Path, stem: str = "", frame: int = 0) -> Page:
    """An image of a whole page, or page ``frame`` of a PDF or TIFF, as a page without lines:
    whoever cuts it must find them. The size of a PDF's page is known once it is rendered.

    Raises `ImageError` if an image's header cannot be read.
    """
    stem = stem or path.stem
    width, height = (0, 0) if is_pdf(path) else image_size(path, frame=frame)
    return Page(
        stem=stem,
        lines=(),
        width=width,
        height=height,
        image=path,
        doc=document_of(path, whole=is_pdf(path) or page_number(stem, path.stem) > 0),
        format="image",
        frame=frame,
    )


def _parsed(path: Path) -> tuple[str, Element]:
    root = parse_xml(path).getroot()
    kind = FORMAT_OF_ROOT.get(local_name(root))
    if kind is None:
        namespace = root.tag.partition("}")[0].lstrip("{") if "}" in root.tag else "no namespace"
        raise XMLError(
            f"{path}: line {root.sourceline}: the root element is "
            f"<{printable(local_name(root), 80)}> ({printable(namespace, 200)}); "
            "wanted PAGE (<PcGts>), ALTO (<alto>) or hOCR"
        )
    return kind, root


@functools.lru_cache(maxsize=2)
def _hocr_pages(
    path: Path, stamp: tuple[int, int]
) -> tuple[list[HocrPage], tuple[tuple[str, int], ...]]:
    """The file's pages and what had to be mended; ``stamp`` so that a changed file is read anew."""
    notices = Notices(path)
    pages = hocr.read_pages(parse_html(path).getroot(), notices)
    if not pages:
        raise XMLError(f"{path}: neither a page nor a line of hOCR (ocr_page, ocr_line) is in it")
    return pages, notices.taken()


def file_stamp(path: Path) -> tuple[int, int]:
    """Time of change in ns and size in bytes, to know a file again; (0, 0) if there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _may_hold_more(path: Path) -> bool:
    try:
        with open(path, "rb") as stream:
            return len(_OCR_PAGE.findall(stream.read(MAX_BYTES))) > 1
    except OSError:
        return False


def _frame(image: Path | None, stem: str, number: int) -> int:
    """The frame of a PDF or TIFF that a page means: by its stem (``STEM__p003``), else the
    ``number`` (from 0) that hOCR gives."""
    if image is None or not (is_pdf(image) or image.suffix.lower() in TIFF_SUFFIXES):
        return 0
    wanted = page_number(stem, image.stem)
    index = wanted - 1 if wanted else number
    if index <= 0 or is_pdf(image):
        return max(index, 0)
    try:
        frames = image_frames(image)
    except ImageError:
        return 0  # said, in full, when the image is read
    return frames[index] if index < len(frames) else 0


def _in_pixels(raw: Raw, image: Path | None, notices: Notices) -> Raw:
    """Scale coordinates out of mm10 or inch1200 (ALTO's MeasurementUnit)."""
    if raw.unit not in _UNITS_PER_INCH:
        if raw.unit != "pixel":
            notices.add(f"unknown MeasurementUnit '{printable(raw.unit, 40)}' was read as pixel")
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
