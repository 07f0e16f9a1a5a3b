"""Reading PAGE XML, all versions from 2010 to 2024 (PRImA PAGE content schema).

Elements are known by their local names, so the version's namespace does not matter. The text of a
line is the TextEquiv of the TextLine itself. Order: ReadingOrder where it names a region, then
document order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ensemble_htr.io.geometry import Notices, number, parse_points, usable
from ensemble_htr.io.xml import Element, children, local_name
from ensemble_htr.types import Line, Point

__all__ = [
    "Raw",
    "chosen_equiv",
    "equiv_index",
    "equiv_text",
    "line_geometry",
    "read_lines",
    "text_lines",
    "unique_ids",
]

_STRUCTURE_TYPE = re.compile(r"structure\s*\{[^}]*?\btype\s*:\s*([^;}]*)")


@dataclass(frozen=True, slots=True)
class Raw:
    """What a file says before images are looked for: sizes and coordinates in the file's units."""

    lines: tuple[Line, ...]
    width: float  # 0 if the file is silent
    height: float
    image_name: str
    unit: str = "pixel"


def read_lines(root: Element, notices: Notices) -> Raw:
    """Read the lines below a PcGts root; coordinates clamped into the claimed page size."""
    page = next((child for child in children(root, "Page")), None)
    attributes = page.attrib if page is not None else {}
    width = number(attributes.get("imageWidth")) or 0.0
    height = number(attributes.get("imageHeight")) or 0.0
    size = max(width, 0.0), max(height, 0.0)
    lines = []
    for line_id, element in text_lines(root, notices):
        baseline, polygon = line_geometry(element, size, notices)
        equiv = chosen_equiv(element)
        lines.append(
            Line(
                id=line_id,
                baseline=baseline,
                polygon=polygon,
                text=_line_text(element, equiv),
                kind=_kind(element),
                confirmed=equiv is not None and equiv_index(equiv) == 0,
                regions=_regions(element),
            )
        )
    return Raw(tuple(lines), *size, attributes.get("imageFilename", ""))


def text_lines(root: Element, notices: Notices | None = None) -> list[tuple[str, Element]]:
    """Every TextLine with an id that is unique on the page, in reading order."""
    elements = list(root.iter("{*}TextLine"))
    ranks = _region_ranks(root)
    if ranks:
        elements.sort(key=lambda e: _rank(e, ranks))  # stable: document order within a region
    return list(zip(unique_ids([e.get("id") for e in elements], notices), elements, strict=True))


def unique_ids(ids: list[str | None], notices: Notices | None = None) -> list[str]:
    """Give every line an id: missing ones are ``line-N`` (N from 1), later doubles get ``-2``..."""
    taken = {i for i in ids if i}
    seen: set[str] = set()
    result = []
    for position, original in enumerate(ids, start=1):
        name = original or f"line-{position}"
        if (name in seen) if original else (name in taken or name in seen):
            stem, count = name, 2
            while f"{stem}-{count}" in taken or f"{stem}-{count}" in seen:
                count += 1
            name = f"{stem}-{count}"
        if name != original and notices is not None:
            notices.add("a line had no id of its own and was given one")
        seen.add(name)
        result.append(name)
    return result


def line_geometry(
    element: Element, size: tuple[float, float], notices: Notices
) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """Baseline and polygon of a TextLine, either may be ().

    A polygon that only repeats the baseline is none (our writer's way to say "baseline only" in
    a schema that demands Coords).
    """
    baseline = usable(_points(element, "Baseline", notices), size, 2, notices)
    polygon = usable(_points(element, "Coords", notices), size, 3, notices)
    if polygon == baseline:
        polygon = ()
    if not baseline and not polygon:
        notices.add("a line has neither a usable polygon nor a baseline")
    return baseline, polygon


def chosen_equiv(element: Element) -> Element | None:
    """The TextEquiv that counts: the lowest ``index``, the first one where none has any."""
    equivs = children(element, "TextEquiv")
    indexed = [e for e in equivs if equiv_index(e) is not None]
    if indexed:
        return min(indexed, key=lambda e: equiv_index(e) or 0)
    return equivs[0] if equivs else None


def equiv_text(equiv: Element) -> str:
    """The text of a TextEquiv: its Unicode element, PlainText where that is missing."""
    for name in ("Unicode", "PlainText"):
        for child in children(equiv, name):
            return "".join(child.itertext())
    return ""


def equiv_index(equiv: Element) -> int | None:
    """The ``index`` of a TextEquiv; 0 means that a human confirmed it. None if it has none."""
    try:
        return int(equiv.get("index", ""))
    except ValueError:
        return None


def _line_text(element: Element, equiv: Element | None) -> str | None:
    if equiv is not None:
        return equiv_text(equiv)
    words = [w for w in map(chosen_equiv, children(element, "Word")) if w is not None]
    return " ".join(map(equiv_text, words)) if words else None


def _points(element: Element, name: str, notices: Notices) -> tuple[Point, ...]:
    for child in children(element, name):
        if child.get("points") is not None:
            return parse_points(child.get("points"), notices)
        old = [f"{p.get('x')},{p.get('y')}" for p in children(child, "Point")]  # 2010
        return parse_points(" ".join(old), notices)
    return ()


def _kind(element: Element) -> str:
    """The line's structure type, else the type of the nearest region that has one; then, of the
    nearest that says it, how it was made ("printed", "typewritten": PAGE's ``production``)."""
    kind = made = ""
    for node in (element, *_around(element)):
        kind = kind or (_types(node)[:1] or [""])[0]
        made = made or node.get("production", "").strip()
    return ",".join(dict.fromkeys(part for part in (kind, made) if part))


def _types(node: Element) -> list[str]:
    """Structure type in ``custom`` (Transkribus, eScriptorium), then PAGE's own ``type``."""
    match = _STRUCTURE_TYPE.search(node.get("custom", ""))
    own = node.get("type", "") if local_name(node) != "TextLine" else ""
    return [t.strip() for t in (match.group(1) if match else "", own) if t.strip()]


def _around(element: Element) -> Iterator[Element]:
    for node in element.iterancestors():
        if local_name(node) in ("Page", "PcGts"):
            return
        yield node


def _regions(element: Element) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for node in _around(element):
        element_kind = local_name(node).removesuffix("Region").lower()
        names = [*_types(node), *([element_kind] if element_kind != "text" else [])]
        found |= dict.fromkeys([*names, *([f"#{node.get('id')}"] if node.get("id") else [])])
    return tuple(found)


def _region_ranks(root: Element) -> dict[str, int]:
    """Position of each region id in the ReadingOrder, flattened depth first."""
    ranks: dict[str, int] = {}

    def walk(group: Element) -> None:
        members = [m for m in group if local_name(m)]
        if local_name(group).startswith("OrderedGroup"):
            members.sort(key=lambda m: number(m.get("index")) or 0.0)
        for member in members:
            if member.get("regionRef"):
                ranks.setdefault(member.get("regionRef"), len(ranks))
            walk(member)

    for order in root.iter("{*}ReadingOrder"):
        walk(order)
    return ranks


def _rank(element: Element, ranks: dict[str, int]) -> float:
    for region in element.iterancestors():
        if region.get("id") in ranks:
            return ranks[region.get("id")]
    return float("inf")
