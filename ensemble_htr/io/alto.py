"""Reading ALTO XML, versions 1 to 4 (Library of Congress), all measurement units.

Elements are known by their local names, so the version's namespace does not matter. Coordinates
come back in the file's own unit; `ensemble_htr.io.pages` turns mm10 and inch1200 into pixels.
"""

from __future__ import annotations

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
from ensemble_htr.io.xml import Element, children, local_name
from ensemble_htr.types import Line, Point

__all__ = ["is_confirmed", "line_geometry", "line_text", "read_lines", "text_lines"]

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
