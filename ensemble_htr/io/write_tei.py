"""Writing TEI P5: what was read, where it stands, what is in doubt and what the engines differ in.

``facsimile`` has a zone for each line. The text is one ``ab`` with a ``pb`` and an ``lb`` for each
line. Where engines differ, the stretch between two spaces that they share is an ``app``: its
``lem`` is our text, each ``rdg`` another one, ``wit`` the engines that have it (parallel
segmentation, TEI Guidelines 12.2.3). Words that are more likely wrong than right are ``unclear``,
``cert`` their probability to be right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ensemble_htr import __version__
from ensemble_htr.io.edit import new_id, serialise, sub, valid_ids
from ensemble_htr.io.results import PLAIN, PageResult, WriteOptions, doubtful_words, final_reading
from ensemble_htr.io.rivals import Part, parts
from ensemble_htr.io.xml import Element, etree, xml_text
from ensemble_htr.types import Line, Page, Point, Reading, Word

__all__ = ["render"]

_NS = "http://www.tei-c.org/ns/1.0"
_ID = "{http://www.w3.org/XML/1998/namespace}id"
_VERSION = re.compile(r"\d+(\.\d+){0,3}")  # teidata.versionNumber


def render(result: PageResult, options: WriteOptions = PLAIN) -> bytes:
    """The page as TEI; the text that a human confirmed stays, unless ``options.overwrite``."""
    page = result.page
    readings = {
        line.id: final_reading(line, result.readings.get(line.id), options.overwrite)
        for line in page.lines
    }
    taken: set[str] = set()
    witnesses = {e: _xml_id(e, taken) for e in _engines(list(readings.values()))}
    zones = {line.id: _xml_id(line.id, taken) for line in page.lines}
    surface = new_id("surface", taken)
    root = etree.Element(f"{{{_NS}}}TEI", nsmap={None: _NS})
    _header(root, page, witnesses)
    _facsimile(root, page, surface, zones)
    block = sub(sub(sub(root, "text"), "body"), "ab")
    sub(block, "pb", facs=f"#{surface}")
    for number, line in enumerate(page.lines, start=1):
        mark = sub(block, "lb", n=str(number), facs=f"#{zones[line.id]}")
        mark.tail = ""
        reading = readings[line.id]
        if reading is not None:
            for part in parts(reading):
                _part(block, reading, part, witnesses)
        block[-1].tail = (block[-1].tail or "") + "\n"
    return serialise(etree.ElementTree(root))


def _header(root: Element, page: Page, witnesses: dict[str, str]) -> None:
    header = sub(root, "teiHeader")
    file = sub(header, "fileDesc")
    sub(sub(file, "titleStmt"), "title", page.stem)
    sub(sub(file, "publicationStmt"), "p", "Unpublished reading by a machine.")
    source = sub(file, "sourceDesc")
    name = page.image.name if page.image else page.stem
    sub(source, "bibl", f"{page.doc}: {name}" if page.doc else name)
    if witnesses:
        listed = sub(source, "listWit")
        for engine, witness in witnesses.items():
            sub(listed, "witness", engine).set(_ID, witness)
    encoding = sub(header, "encodingDesc")
    release = _VERSION.match(__version__)
    application = sub(
        sub(encoding, "appInfo"), "application", ident="ensemble-htr",
        version=release[0] if release else "0",
    )  # fmt: skip
    sub(application, "label", f"ensemble-htr {__version__}")
    if witnesses:
        sub(encoding, "variantEncoding", method="parallel-segmentation", location="internal")
    etree.indent(header)


def _facsimile(root: Element, page: Page, surface: str, zones: dict[str, str]) -> None:
    node = sub(sub(root, "facsimile"), "surface")
    node.set(_ID, surface)
    if page.width > 0 and page.height > 0:
        for name, value in zip(("ulx", "uly", "lrx", "lry"), (0, 0, page.width, page.height),
                               strict=True):  # fmt: skip
            node.set(name, str(value))
    if page.image is not None:
        sub(node, "graphic", url=_url(page.image.name))
    for line in page.lines:
        _zone(node, line, zones[line.id])
    etree.indent(node, level=2)


def _zone(surface: Element, line: Line, zone: str) -> None:
    element = sub(surface, "zone", type="line")
    element.set(_ID, zone)
    outline = line.polygon or line.baseline
    if len(outline) >= 3:
        element.set("points", _points(outline))
    elif outline:  # a straight baseline: the box around it
        xs, ys = [x for x, _ in outline], [y for _, y in outline]
        corners = {"ulx": min(xs), "uly": min(ys), "lrx": max(xs), "lry": max(ys)}
        for name, value in corners.items():
            element.set(name, f"{value:.0f}")


def _part(block: Element, reading: Reading, part: Part, witnesses: dict[str, str]) -> None:
    if not part.texts:
        _text(block, reading, part.start, part.stop)
        return
    own = "".join(reading.tokens[part.start : part.stop])
    holders: dict[str, list[str]] = {own: []}
    for engine, text in part.texts.items():
        holders.setdefault(text, []).append(f"#{witnesses[engine]}")
    app = sub(block, "app")
    for text, names in holders.items():
        node = sub(app, "lem" if text == own else "rdg")
        if names:
            node.set("wit", " ".join(names))
        if text == own:
            _text(node, reading, part.start, part.stop)
        else:
            node.text = xml_text(text)


def _text(parent: Element, reading: Reading, start: int, stop: int) -> None:
    """The tokens from ``start`` to ``stop``, doubtful words marked."""
    place = start
    for word in doubtful_words(reading):
        first, last = max(word.start, start), min(word.stop, stop)
        if first >= last:
            continue
        _append(parent, "".join(reading.tokens[place:first]))
        _unclear(parent, reading, word, first, last)
        place = last
    _append(parent, "".join(reading.tokens[place:stop]))


def _unclear(parent: Element, reading: Reading, word: Word, first: int, last: int) -> None:
    text = "".join(reading.tokens[first:last])
    sub(parent, "unclear", text, cert=f"{word.confidence:.2f}")


def _append(parent: Element, text: str) -> None:
    """Text after the last child, or as the first of the content."""
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + xml_text(text)
    else:
        parent.text = (parent.text or "") + xml_text(text)


def _engines(readings: Sequence[Reading | None]) -> list[str]:
    rows = {e for r in readings if r is not None and r.network is not None for e in r.network.rows}
    return sorted(e for e in rows if "#" not in e)


def _xml_id(name: str, taken: set[str]) -> str:
    return new_id(valid_ids([name])[name], taken)


def _url(name: str) -> str:
    from urllib.parse import quote

    return quote(name.encode("utf-8", "surrogateescape"))


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
