"""Writing hOCR 1.2 as XHTML: a page, one block, one paragraph, its lines and their words.

Places are whole pixels, ``bbox x0 y0 x1 y1``. A line's ``baseline SLOPE OFFSET`` is the straight
line nearest to ours, seen from the lower left corner of its box; a line that climbs or falls by
more than 45 degrees has ``textangle`` (degrees counter-clockwise) instead. ``poly`` keeps the
outline. Words carry ``x_wconf`` 0-100 (100 = sure) where we read them, and with glyphs ``x_confs``,
the same for each of their characters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ensemble_htr import __version__
from ensemble_htr.io.edit import new_id, serialise, sub, valid_ids
from ensemble_htr.io.geometry import Box, bounding_box
from ensemble_htr.io.results import (
    PLAIN,
    PageResult,
    WriteOptions,
    final_reading,
    kept_text,
    one_line,
    reading_words,
)
from ensemble_htr.io.words import shares, word_boxes
from ensemble_htr.io.xml import Element, etree
from ensemble_htr.types import Line, Page, Point, Reading

__all__ = ["render"]

_NS = "http://www.w3.org/1999/xhtml"
_DOCTYPE = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" '
    '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">'
)
_STYLE = ".ocr_line { display: block }"
_CLASSES = "ocr_page ocr_carea ocr_par ocr_line ocrx_word ocrp_wconf"


def render(result: PageResult, options: WriteOptions = PLAIN) -> bytes:
    """The page as hOCR; the text that a human confirmed stays, unless ``options.overwrite``."""
    page = result.page
    root = etree.Element(f"{{{_NS}}}html", nsmap={None: _NS})
    _head(root, page)
    ids = valid_ids(line.id for line in page.lines)
    taken = set(ids.values())
    box = _whole(_extent(page))
    name = (page.image.name if page.image else page.stem).replace('"', "'")
    title = one_line(f'image "{name}"; bbox {box}; ppageno {page.frame}')
    node = sub(sub(root, "body"), "div", id=new_id("page_1", taken), title=title)
    node.set("class", "ocr_page")
    if page.lines:
        area = sub(node, "div", id=new_id("block_1", taken), title=f"bbox {box}")
        area.set("class", "ocr_carea")
        paragraph = sub(area, "p", id=new_id("par_1", taken), title=f"bbox {box}")
        paragraph.set("class", "ocr_par")
        paragraph.text = "\n"
        for line in page.lines:
            _line(paragraph, line, ids[line.id], result.readings.get(line.id), taken, options)
    data = serialise(etree.ElementTree(root))
    return data.replace(b"?>\n", b"?>\n" + _DOCTYPE.encode() + b"\n", 1)


def _head(root: Element, page: Page) -> None:
    head = sub(root, "head")
    sub(head, "title", page.stem)
    kind = sub(head, "meta", content="text/html; charset=utf-8")
    kind.set("http-equiv", "Content-Type")
    facts = {"ocr-system": f"ensemble-htr {__version__}", "ocr-capabilities": _CLASSES}
    for name, content in (facts | {"ocr-number-of-pages": "1"}).items():
        sub(head, "meta", content=content).set("name", name)
    sub(head, "style", _STYLE, type="text/css")


def _line(
    parent: Element,
    line: Line,
    line_id: str,
    read: Reading | None,
    taken: set[str],
    options: WriteOptions,
) -> None:
    element = sub(parent, "span", id=line_id, title=_line_title(line))
    element.set("class", "ocr_line")
    element.tail = "\n"
    reading = final_reading(line, read, options.overwrite)
    if reading is None:
        return
    ours = kept_text(line, read, options.overwrite) is None
    words = reading_words(reading)
    boxes = word_boxes(line.baseline, line.polygon, shares(reading, words))
    whole = _line_box(line)
    for offset, (word, box) in enumerate(zip(words, boxes, strict=True)):
        title = f"bbox {_whole(box or whole)}"
        if ours:
            title += f"; x_wconf {_percent(word.confidence)}"
            if options.glyphs:
                sure = reading.confidences[word.start : word.stop]
                title += "; x_confs " + " ".join(map(_percent, sure))
        name = new_id(f"{line_id}_w{offset + 1}", taken)
        node = sub(element, "span", word.text, id=name, title=title)
        node.set("class", "ocrx_word")
        node.tail = " " if offset + 1 < len(words) else None


def _line_title(line: Line) -> str:
    box = _line_box(line)
    title = f"bbox {_whole(box)}"
    if len(line.baseline) >= 2:
        title += f"; {_slope(line.baseline, float(math.floor(box[0])), float(math.ceil(box[3])))}"
    if len(line.polygon) >= 3:
        title += "; poly " + " ".join(f"{x:.0f} {y:.0f}" for x, y in line.polygon)
    return title


def _slope(baseline: Sequence[Point], left: float, bottom: float) -> str:
    """``baseline`` or ``textangle`` of a polyline, by least squares along its own direction."""
    (x0, y0), (x1, y1) = baseline[0], baseline[-1]
    angle = math.degrees(math.atan2(y0 - y1, x1 - x0))
    if abs(angle) > 45:
        return f"textangle {angle:.2f}"
    xs, ys = np.asarray(baseline, dtype=np.float64).T
    centred = xs - xs.mean()
    spread = float(centred @ centred)
    slope = float(centred @ (ys - ys.mean())) / spread if spread > 0 else 0.0
    offset = float(ys.mean()) + slope * (left - float(xs.mean())) - bottom
    return f"baseline {slope:.4f} {offset:.1f}".replace("-0.0000 ", "0.0000 ")


def _line_box(line: Line) -> Box:
    return bounding_box((*line.polygon, *line.baseline)) or (0.0, 0.0, 0.0, 0.0)


def _extent(page: Page) -> Box:
    if page.width > 0 and page.height > 0:
        return 0.0, 0.0, float(page.width), float(page.height)
    points = [p for line in page.lines for p in (*line.polygon, *line.baseline)]
    return bounding_box(points) or (0.0, 0.0, 0.0, 0.0)


def _whole(box: Box) -> str:
    """The box in whole pixels, none of it cut off."""
    left, top, right, bottom = box
    return f"{math.floor(left)} {math.floor(top)} {math.ceil(right)} {math.ceil(bottom)}"


def _percent(confidence: float) -> str:
    return str(round(confidence * 100))
