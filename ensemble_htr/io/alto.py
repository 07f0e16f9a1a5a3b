"""Reading ALTO XML, versions 1 to 4 (Library of Congress), all measurement units.

Elements are known by their local names, so the version's namespace does not matter. Coordinates
come back in the file's own unit; `ensemble_htr.io.pages` turns mm10 and inch1200 into pixels.
Confidences are the ``GC`` of Glyphs, else the digits ``CC`` of characters (0 = sure, 9 = unsure)
where they tell one from another, else ``WC`` of a word; ALTERNATIVEs make an n-best list.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from ensemble_htr.io.geometry import (
    Box,
    Notices,
    bounding_box,
    box_polygon,
    number,
    parse_points,
    usable,
)
from ensemble_htr.io.page import Raw, unique_ids
from ensemble_htr.io.sure import Heard, Word, evenly, line_of, pieced, share
from ensemble_htr.io.xml import Element, children, local_name
from ensemble_htr.text import graphemes
from ensemble_htr.types import Line, Point

__all__ = ["heard", "is_confirmed", "line_geometry", "line_text", "read_lines", "text_lines"]

_EDGE = 1 / 36  # a digit of CC is a ninth rounded: the middle of what the outermost stand for
_TRUE = ("true", "1")


def read_lines(root: Element, notices: Notices) -> Raw:
    """Read the lines below an alto root; coordinates clamped into the claimed page size."""
    pages = list(root.iter("{*}Page"))
    if len(pages) > 1:
        notices.add("the file has several pages; all lines were taken for the first one's image")
    attributes = pages[0].attrib if pages else {}
    width = number(attributes.get("WIDTH")) or 0.0
    height = number(attributes.get("HEIGHT")) or 0.0
    size = max(width, 0.0), max(height, 0.0)
    labels = _labels(root)
    lines = []
    for line_id, element in text_lines(root, notices):
        baseline, polygon = line_geometry(element, size, notices)
        lines.append(
            Line(
                id=line_id,
                baseline=baseline,
                polygon=polygon,
                text=line_text(element),
                kind=_kind(element, labels),
                confirmed=is_confirmed(element),
                regions=_regions(element, labels),
            )
        )
    unit = _first_text(root, "MeasurementUnit") or "pixel"
    return Raw(tuple(lines), *size, _first_text(root, "fileName"), unit.lower())


def text_lines(root: Element, notices: Notices | None = None) -> list[tuple[str, Element]]:
    """Every TextLine with an id that is unique on the page, in document order."""
    elements = list(root.iter("{*}TextLine"))
    return list(zip(unique_ids([e.get("ID") for e in elements], notices), elements, strict=True))


def line_geometry(
    element: Element, size: tuple[float, float], notices: Notices
) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """Baseline and polygon of a TextLine in the file's unit, either may be ().

    The polygon is Shape/Polygon, else the box HPOS, VPOS, WIDTH, HEIGHT, else the box around the
    Strings. BASELINE is a list of points or, before ALTO 4.1, one number: the height at which the
    line stands, drawn across its box.
    """
    polygon: tuple[Point, ...] = ()
    for shape in children(element, "Shape"):
        for outline in children(shape, "Polygon"):
            polygon = usable(parse_points(outline.get("POINTS"), notices), size, 3, notices)
    if not polygon and (box := _box(element) or _strings_box(element)):
        polygon = usable(box_polygon(box), size, 3, notices)
    baseline = usable(_baseline(element, polygon, notices), size, 2, notices)
    if not baseline and not polygon:
        notices.add("a line has neither a usable polygon nor a baseline")
    return baseline, polygon


def line_text(element: Element) -> str | None:
    """The CONTENT of the Strings joined with one space, a HYP's character appended.

    Hyphenated words (SUBS_TYPE) count as they stand on this line; None if there is no String.
    """
    contents, hyphen = [], ""
    strings = children(element, "String", "HYP")
    for part in strings:
        content = part.get("CONTENT", "")
        if local_name(part) == "HYP":
            hyphen = content
        elif content:
            contents.append(content)
    text = " ".join(contents)
    if hyphen and not text.endswith(hyphen):
        text += hyphen
    return text if strings else None


def heard(root: Element, notices: Notices) -> Mapping[str, Heard]:
    """What an engine says of each line that it has read, by the line's id."""
    found = {name: _heard(element, notices) for name, element in text_lines(root)}
    return {name: line for name, line in found.items() if line is not None}


def _heard(element: Element, notices: Notices) -> Heard | None:
    text = line_text(element)
    words = [_word(s, notices) for s in children(element, "String") if s.get("CONTENT")]
    if words and text is not None:
        spelt = " ".join(s.get("CONTENT") for s in children(element, "String") if s.get("CONTENT"))
        words[-1] = _hyphened(words[-1], text[len(spelt) :])
    return line_of(text, None, words)


def _hyphened(word: Word, hyphen: str) -> Word:
    """The last word of a line with the hyphen after it, as sure as the letter before it."""
    text = unicodedata.normalize("NFC", word.text + hyphen)
    sure, more = word.confidences, len(graphemes(text)) - len(graphemes(word.text))
    longer = None if sure is None or more < 0 else (*sure, *sure[-1:] * more)
    return Word(text, longer, tuple((rival + hyphen, p) for rival, p in word.rivals))


def _word(element: Element, notices: Notices) -> Word:
    content = element.get("CONTENT", "")
    text = unicodedata.normalize("NFC", " ".join(content.split()))
    whole = share(element.get("WC"), notices)
    sure = _glyphs(element, text, notices) or _digits(element.get("CC", ""), content, text, notices)
    if sure is None or (whole is not None and len(set(sure)) == 1):
        sure = None if whole is None else evenly(whole, len(graphemes(text)))
    rivals = [("".join(a.itertext()).strip(), None) for a in children(element, "ALTERNATIVE")]
    return Word(text, sure, tuple((rival, p) for rival, p in rivals if rival))


def _glyphs(element: Element, text: str, notices: Notices) -> tuple[float, ...] | None:
    glyphs = children(element, "Glyph")
    values = [share(glyph.get("GC"), notices) for glyph in glyphs]
    known = [value for value in values if value is not None]
    if len(known) != len(glyphs):
        return None
    return pieced([glyph.get("CONTENT", "") for glyph in glyphs], known, text)


def _digits(digits: str, content: str, text: str, notices: Notices) -> tuple[float, ...] | None:
    """CC: one digit a character of the content, with or without spaces between them."""
    found = "".join(digits.split())
    if not found:
        return None
    if len(found) != len(content) or not (found.isascii() and found.isdigit()):
        notices.add("a CC that is not one digit for each character was ignored")
        return None
    values = [min(max(1 - int(digit) / 9, _EDGE), 1 - _EDGE) for digit in found]
    return pieced(list(content), values, text)


def is_confirmed(element: Element) -> bool:
    """Whether a human vouched for the line: CS on the line, else on its block, else on all of
    its Strings."""
    for node in (element, *element.iterancestors()):
        if node.get("CS") is not None:
            return node.get("CS", "").strip().lower() in _TRUE
    strings = children(element, "String")
    return bool(strings) and all(s.get("CS", "").strip().lower() in _TRUE for s in strings)


def _baseline(element: Element, polygon: tuple[Point, ...], notices: Notices) -> tuple[Point, ...]:
    text = element.get("BASELINE", "").strip()
    if not text:
        return ()
    if " " not in text and "," not in text:
        y, box = number(text), _box(element) or bounding_box(polygon)
        if y is None or box is None:
            notices.add("a baseline given as one number could not be placed")
            return ()
        return (box[0], y), (box[2], y)
    return parse_points(text, notices)


def _box(element: Element) -> Box | None:
    left, top, width, height = (
        number(element.get(name)) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")
    )
    if left is None or top is None or width is None or height is None:
        return None
    return (left, top, left + width, top + height) if width > 0 and height > 0 else None


def _strings_box(element: Element) -> Box | None:
    boxes = [box for box in map(_box, children(element, "String")) if box is not None]
    return bounding_box(corner for box in boxes for corner in box_polygon(box))


def _labels(root: Element) -> dict[str, str]:
    labels = {}
    for tags in children(root, "Tags"):
        for tag in tags:
            if local_name(tag) and tag.get("ID"):
                labels[tag.get("ID")] = tag.get("LABEL", "")
    return labels


def _kind(element: Element, labels: Mapping[str, str]) -> str:
    """The labels of the line's tags, else those of the nearest block that has any."""
    for node in (element, *element.iterancestors()):
        found = [labels[ref] for ref in node.get("TAGREFS", "").split() if labels.get(ref)]
        if found:
            return ",".join(found)
    return ""


def _regions(element: Element, labels: Mapping[str, str]) -> tuple[str, ...]:
    """Labels, TYPE and ``#ID`` of the blocks around the line, and the margin that they lie in."""
    found: dict[str, None] = {}
    for node in element.iterancestors():
        name = local_name(node)
        if name == "Page":
            break
        names = [labels.get(ref, "") for ref in node.get("TAGREFS", "").split()]
        names += [node.get("TYPE", ""), name if name.endswith("Margin") else ""]
        names += [f"#{node.get('ID')}"] if node.get("ID") else []
        found |= dict.fromkeys(n for n in names if n)
    return tuple(found)


def _first_text(root: Element, name: str) -> str:
    for element in root.iter(f"{{*}}{name}"):
        return (element.text or "").strip()
    return ""
