"""Reading hOCR 1.2 (https://kba.github.io/hocr-spec/1.2/): XHTML and the HTML of older engines.

One file may hold several pages (``ocr_page``). A line is an ``ocr_line`` or ``ocrx_line``, or an
``ocr_header``, ``ocr_caption`` or ``ocr_textfloat`` (Tesseract's way to say what kind of line it
is), and holds no other of these. Its words are its ``ocrx_word``, its place ``bbox``, ``poly`` and
``baseline``. Confidences are ``x_confs`` of characters, else ``x_wconf`` of a word, 0 to 100;
anything else counts as none, with a notice.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ensemble_htr.io.geometry import (
    Box,
    Notices,
    box_polygon,
    number,
    parse_points,
    usable,
)
from ensemble_htr.io.page import Raw, unique_ids
from ensemble_htr.io.sure import Sure, evenly, share
from ensemble_htr.io.xml import Element, etree, local_name
from ensemble_htr.text import graphemes
from ensemble_htr.types import Line, Point

__all__ = ["HocrPage", "read_pages"]

_LINE = {"ocr_line", "ocrx_line"}
_FLOAT = {"ocr_header", "ocr_caption", "ocr_textfloat"}
_WORD = {"ocrx_word", "ocr_word"}
_PROPERTY = re.compile(r'(?:[^;"]|"[^"]*")+')
_INSIDE = 0.2  # of a turned line's thickness that its baseline is drawn inside its box


@dataclass(frozen=True, slots=True)
class HocrPage:
    """One ``ocr_page``: what `Raw` has, the words of each line by its id, and which page of the
    image file it is (from 0)."""

    raw: Raw
    words: Mapping[str, tuple[Sure, ...]]
    number: int = 0


def read_pages(root: Element, notices: Notices) -> list[HocrPage]:
    """The pages below an html root, in document order; the root itself if only lines are marked.

    Coordinates are clamped into the page's bbox. A baseline that is missing or turned by
    ``textangle`` is drawn by the angle; upright lines without one have none.
    """
    pages = [e for e in root.iter() if "ocr_page" in _classes(e)]
    if not pages and not any(_classes(e) & _LINE for e in root.iter()):
        return []
    return [_page(page, notices) for page in pages or [root]]


def _page(page: Element, notices: Notices) -> HocrPage:
    facts = _properties(page)
    box = _bbox(facts) or (0.0, 0.0, 0.0, 0.0)
    size = max(box[2], 0.0), max(box[3], 0.0)
    elements = _line_elements(page)
    names = unique_ids([e.get("id") for e in elements], notices)
    words = {n: tuple(_words(e, notices)) for n, e in zip(names, elements, strict=True)}
    lines = tuple(
        _line(n, e, words[n], size, notices) for n, e in zip(names, elements, strict=True)
    )
    image = facts.get("image", "").strip().strip("\"'")
    count = number(facts.get("ppageno")) or 0.0
    return HocrPage(Raw(lines, *size, image), words, int(count) if 0 <= count < 1e5 else 0)


def _line_elements(page: Element) -> list[Element]:
    """Elements that may be lines and hold no other such element."""
    found = [e for e in page.iter() if _classes(e) & (_LINE | _FLOAT)]
    holders: set[Element] = set()
    for element in found:
        for above in element.iterancestors():
            if above in holders or above is page:
                break
            holders.add(above)
    return [e for e in found if e not in holders and e is not page]


def _line(
    name: str, element: Element, words: Sequence[Sure], size: tuple[float, float], notices: Notices
) -> Line:
    facts = _properties(element)
    box = _bbox(facts)
    polygon: tuple[Point, ...] = ()
    if facts.get("poly"):
        polygon = usable(parse_points(facts["poly"], notices), size, 3, notices)
    if not polygon and box is not None:
        polygon = usable(box_polygon(box), size, 3, notices)
    baseline = usable(_baseline(facts, box), size, 2, notices)
    if not baseline and not polygon:
        notices.add("a line has neither a usable polygon nor a baseline")
    text: str | None = " ".join(word for word, _ in words)
    if not words and not any(_classes(e) & _WORD for e in element.iter()):
        text = " ".join("".join(element.itertext()).split()) or None  # no words: may be a mere box
    kind = ",".join(sorted(c.removeprefix("ocr_") for c in _classes(element) & _FLOAT))
    return Line(name, baseline, polygon, text, kind, regions=_regions(element))


def _words(line: Element, notices: Notices) -> list[Sure]:
    words: list[Sure] = []
    walk = etree.iterwalk(line, events=("start",))
    for _, element in walk:
        if not _classes(element) & _WORD:
            continue
        walk.skip_subtree()
        text = unicodedata.normalize("NFC", " ".join("".join(element.itertext()).split()))
        if text:
            words.append((text, _confidences(text, _properties(element), element, notices)))
    return words


def _confidences(
    text: str, facts: Mapping[str, str], element: Element, notices: Notices
) -> tuple[float, ...] | None:
    """One value a grapheme. A word's confidence is taken for the product of its characters'."""
    count = len(graphemes(text))
    values = [_share(v, notices) for v in facts.get("x_confs", "").split()]
    if not values:  # of characters that are elements of their own
        inner = (_properties(e) for e in element.iter() if "ocrx_cinfo" in _classes(e))
        values = [_share(f.get("x_conf") or f.get("x_confs", ""), notices) for f in inner]
    known = [v for v in values if v is not None]
    if len(known) == len(values) == count:
        return tuple(known)
    whole = _share(facts.get("x_wconf", ""), notices)
    return None if whole is None else evenly(whole, count)


def _share(percent: str, notices: Notices) -> float | None:
    value = number(percent)
    return share(percent if value is None else str(value / 100.0), notices)


def _baseline(facts: Mapping[str, str], box: Box | None) -> tuple[Point, ...]:
    """``baseline`` is a polynomial seen from the lower left corner of the box, highest power
    first, y downwards; ``textangle`` turns the text counter-clockwise."""
    if box is None:
        return ()
    left, top, right, bottom = box
    angle = (number(facts.get("textangle")) or 0.0) % 360.0
    values = [number(v) for v in facts.get("baseline", "").split()]
    known = [v for v in values if v is not None]
    if 45.0 < angle < 315.0:
        return _turned(angle, box)
    if not known or len(known) != len(values) or len(known) > 4:
        return ()
    steps = 2 if len(known) <= 2 else 9
    xs = [(right - left) * i / (steps - 1) for i in range(steps)]
    points = []
    for x in xs:
        y = bottom
        for power, factor in enumerate(reversed(known)):
            y += factor * x**power
        points.append((left + x, y))
    return tuple(points) if all(math.isfinite(y) and abs(y) < 1e6 for _, y in points) else ()


def _turned(angle: float, box: Box) -> tuple[Point, ...]:
    left, top, right, bottom = box
    across, along = _INSIDE * (right - left), _INSIDE * (bottom - top)
    if angle < 135.0:  # upwards: the letters' feet are to the right
        return (right - across, bottom), (right - across, top)
    if angle <= 225.0:  # upside down
        return (right, top + along), (left, top + along)
    return (left + across, top), (left + across, bottom)


def _bbox(facts: Mapping[str, str]) -> Box | None:
    values = [number(v) for v in facts.get("bbox", "").split()]
    known = [v for v in values if v is not None]
    if len(known) != 4 or len(values) != 4:
        return None
    left, top, right, bottom = known
    return (left, top, right, bottom) if right > left and bottom > top else None


def _regions(element: Element) -> tuple[str, ...]:
    """The classes of what is around the line (less ``ocr_``) and ``#id`` of each."""
    found: dict[str, None] = {}
    for region in element.iterancestors():
        names = [c for c in _classes(region) if c.startswith(("ocr_", "ocrx_"))]
        if "ocr_page" in names:
            break
        if names:
            found |= dict.fromkeys(c.partition("_")[2] for c in sorted(names))
            found |= dict.fromkeys([f"#{region.get('id')}"] if region.get("id") else [])
    return tuple(found)


def _classes(element: Element) -> set[str]:
    return set(element.get("class", "").split()) if local_name(element) else set()


def _properties(element: Element) -> dict[str, str]:
    """The ``name value`` pairs of the title, separated by semicolons outside quotes."""
    facts: dict[str, str] = {}
    for part in _PROPERTY.findall(element.get("title", "")):
        name, _, value = part.strip().partition(" ")
        facts.setdefault(name.lower(), value.strip())
    return facts
