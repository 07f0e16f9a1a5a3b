"""Reading PAGE XML, all versions from 2010 to 2024 (PRImA PAGE content schema).

Elements are known by their local names, so the version's namespace does not matter. The text of a
line is the TextEquiv of the TextLine itself. Order: ReadingOrder where it names a region, then
document order. Confidences are the ``conf`` of Glyphs, Words and TextLines; further TextEquivs of
a line or a word are its n-best list, in the order of their ``index``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ensemble_htr.io.geometry import Notices, number, parse_points, usable
from ensemble_htr.io.sure import Heard, Word, evenly, line_of, pieced, share
from ensemble_htr.io.xml import Element, children, local_name
from ensemble_htr.text import graphemes
from ensemble_htr.types import Line, Point

__all__ = [
    "Raw",
    "chosen_equiv",
    "equiv_index",
    "equiv_text",
    "heard",
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
    return next(iter(_ranked(children(element, "TextEquiv"))), None)


def _ranked(equivs: list[Element]) -> list[Element]:
    """TextEquivs by ``index``, those without one last."""
    if len(equivs) > 1:
        indices = [equiv_index(e) for e in equivs]
        order = sorted(range(len(equivs)), key=lambda i: (indices[i] is None, indices[i] or 0))
        return [equivs[i] for i in order]
    return equivs


def equiv_text(equiv: Element) -> str:
    """The text of a TextEquiv: its Unicode element, PlainText where that is missing."""
    for name in ("Unicode", "PlainText"):
        for child in children(equiv, name):
            return "".join(child.itertext()) if len(child) else child.text or ""
    return ""


def equiv_index(equiv: Element) -> int | None:
    """The ``index`` of a TextEquiv; 0 means that a human confirmed it. None if it has none."""
    try:
        return int(equiv.get("index", ""))
    except ValueError:
        return None


def heard(root: Element, notices: Notices) -> Mapping[str, Heard]:
    """What an engine says of each line that it has read, by the line's id."""
    found = {name: _heard(element, notices) for name, element in text_lines(root)}
    return {name: line for name, line in found.items() if line is not None}


def _heard(element: Element, notices: Notices) -> Heard | None:
    parts = _parts(element)
    equivs = _ranked(parts.get("TextEquiv", []))
    words = [_word(word, notices) for word in parts.get("Word", ())]
    known = [word for word in words if word is not None]
    if len(known) != len(words):
        known = []
    said = _said(equivs, notices)
    if not said:
        return line_of(_line_text(element, None), None, known)
    (text, sure), *rivals = said
    return line_of(text, sure, known, rivals)


def _word(element: Element, notices: Notices) -> Word | None:
    parts = _parts(element)
    said = _said(_ranked(parts.get("TextEquiv", [])), notices)
    if not said:
        return None
    (given, whole), *rivals = said
    text = unicodedata.normalize("NFC", " ".join(given.split()))
    found = _glyphs(parts["Glyph"], text, notices) if "Glyph" in parts else None
    if found is None and whole is not None:
        found = evenly(whole, len(graphemes(text)))
    return Word(text, found, tuple(rivals))


def _glyphs(glyphs: list[Element], text: str, notices: Notices) -> tuple[float, ...] | None:
    """The glyphs' confidences, if all have one and they spell the word."""
    pieces = [_said([e], notices)[0] for e in map(chosen_equiv, glyphs) if e is not None]
    values = [p for _, p in pieces if p is not None]
    return pieced([t for t, _ in pieces], values, text) if len(values) == len(pieces) else None


def _said(equivs: list[Element], notices: Notices) -> list[tuple[str, float | None]]:
    return [(equiv_text(e), share(e.get("conf"), notices)) for e in equivs]


def _parts(element: Element) -> dict[str, list[Element]]:
    """The children by their local names."""
    found: dict[str, list[Element]] = {}
    for child in element:
        found.setdefault(local_name(child), []).append(child)
    return found


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
