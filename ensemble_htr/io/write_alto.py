"""Writing ALTO: into a copy of the user's own tree, or a fresh ALTO 4.4 document.

In the user's tree a line that was read gets one String a word with ``WC`` (1 = sure) and ``CC``, a
digit for each character (0 = sure, 9 = unsure). Where it has as many Strings as our text has words
they keep ids, places and tags; else they are replaced by ours, whose boxes share out the line, in
the file's own unit. On request a String has a Glyph for each character, with its rivals as
Variants (three characters at most, says the schema). ALTO has room for one text a line:
one that a human vouched for (``CS``) stays as it is, unless ``overwrite``, which then says
``CS="false"``, for no human has seen our text. CS is never set to true. Everything else, including
lines without a reading, stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ensemble_htr.errors import XMLError
from ensemble_htr.io.alto import is_confirmed, line_geometry, text_lines
from ensemble_htr.io.edit import insert, new_id, remove, serialise, sub, valid_ids
from ensemble_htr.io.geometry import Box, Notices, bounding_box, box_polygon, number
from ensemble_htr.io.results import PLAIN, PageResult, WriteOptions, kept_text, reading_words
from ensemble_htr.io.rivals import rivals
from ensemble_htr.io.words import axis, letter_shares, shares, token_shares, word_boxes
from ensemble_htr.io.xml import Element, children, etree, local_name, parse_xml, xml_text
from ensemble_htr.types import Line, Point, Reading, Word

__all__ = ["render"]

_NS = "http://www.loc.gov/standards/alto/ns-v4#"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMA = "http://www.loc.gov/standards/alto/v4/alto-4-4.xsd"
_SHARED = ("STYLEREFS", "TAGREFS", "PROCESSINGREFS", "LANG", "STYLE", "language")
_LONGEST_VARIANT = 3
_OF_OLD_TEXT = ("SUBS_TYPE", "SUBS_CONTENT")


def render(result: PageResult, options: WriteOptions = PLAIN) -> bytes:
    """The page as ALTO XML; raises `XMLError` if its source can no longer be read."""
    if result.page.format == "alto" and result.page.source is not None:
        return _edited(result, result.page.source, options)
    return _fresh(result, options)


def _edited(result: PageResult, source: Path, options: WriteOptions) -> bytes:
    tree = parse_xml(source)
    root = tree.getroot()
    if local_name(root) != "alto":
        raise XMLError(f"{source}: was ALTO when it was read and is now <{local_name(root)}>")
    for line_id, element in text_lines(root):
        reading = result.readings.get(line_id)
        if reading is None:
            continue
        confirmed = is_confirmed(element)
        if confirmed and not options.overwrite:
            continue
        _set_strings(element, reading, options)
        if confirmed and is_confirmed(element):
            element.set("CS", "false")
    return serialise(tree)


def _set_strings(element: Element, reading: Reading, options: WriteOptions) -> None:
    words = _words(reading)
    old = children(element, "String")
    baseline, polygon = line_geometry(element, (0.0, 0.0), Notices(Path("line")))
    if len(old) == len(words):
        _fill_strings(element, reading, baseline, options)
        return
    parts = children(element, "String", "SP", "HYP")
    position = list(element).index(parts[0]) if parts else _text_position(element)
    shared = {
        name: old[0].get(name)
        for name in _SHARED
        if old and old[0].get(name) and len({s.get(name) for s in old}) == 1
    }
    for part in parts:
        remove(part)
    namespace = etree.QName(element).namespace
    nodes = _string_nodes(namespace, reading, (baseline, polygon), options)
    for offset, node in enumerate(nodes):
        if local_name(node) == "String":
            for name, value in shared.items():
                node.set(name, value)
        insert(element, position + offset, node)


def _fill_strings(
    element: Element, reading: Reading, baseline: Sequence[Point], options: WriteOptions
) -> None:
    """As many words as before: each String keeps its place and gets our text."""
    for hyphen in children(element, "HYP"):
        remove(hyphen)
    for node, word in zip(children(element, "String"), _words(reading), strict=True):
        text = xml_text(word.text)
        if node.get("CONTENT") != text:
            for name in _OF_OLD_TEXT:
                node.attrib.pop(name, None)
            for child in children(node, "Glyph", "ALTERNATIVE"):
                remove(child)
        node.attrib.pop("CS", None)
        _set_content(node, reading, word)
        if word.text and _wants_glyphs(options):
            for child in children(node, "Glyph"):
                remove(child)
            polygon = box_polygon(box) if (box := _box(node)) else ()
            boxes = word_boxes(axis(polygon, baseline), polygon, token_shares(word))
            _add_glyphs(node, reading, word, boxes, options)


def _words(reading: Reading) -> tuple[Word, ...]:
    """The words of a reading; an empty text is one empty word, for a line needs a String."""
    empty = Word("", reading.confidence, 0, len(reading.tokens))
    return reading_words(reading) or (empty,)


def _text_position(element: Element) -> int:
    nodes = list(element)
    return max((i + 1 for i, n in enumerate(nodes) if local_name(n) == "Shape"), default=0)


def _string_nodes(
    namespace: str | None,
    reading: Reading,
    geometry: tuple[Sequence[Point], Sequence[Point]],
    options: WriteOptions,
) -> list[Element]:
    """Strings with SP between them; boxes where ``geometry`` (baseline, polygon) has any."""
    words = _words(reading)
    boxes = word_boxes(*geometry, shares(reading, words))
    places = word_boxes(*geometry, letter_shares(reading)) if _wants_glyphs(options) else []
    nodes: list[Element] = []
    for i, (word, box) in enumerate(zip(words, boxes, strict=True)):
        if i:
            space = etree.Element(etree.QName(namespace, "SP"))
            before = boxes[i - 1]
            if box and before:
                space.set("WIDTH", _number(max(box[0] - before[2], 0.0)))
                space.set("HPOS", _number(before[2]))
                space.set("VPOS", _number(before[1]))
            nodes.append(space)
        node = etree.Element(etree.QName(namespace, "String"))
        _set_content(node, reading, word)
        if box:
            _set_box(node, box)
        if word.text and _wants_glyphs(options):
            _add_glyphs(node, reading, word, places[word.start : word.stop], options)
        nodes.append(node)
    return nodes


def _set_content(node: Element, reading: Reading, word: Word) -> None:
    node.set("CONTENT", xml_text(word.text))
    node.set("WC", f"{word.confidence:.4f}")
    if not word.text:
        node.attrib.pop("CC", None)
        return
    digits = [
        str(round((1 - reading.confidences[i]) * 9)) * len(xml_text(reading.tokens[i]))
        for i in range(word.start, word.stop)
    ]
    node.set("CC", "".join(digits))


def _wants_glyphs(options: WriteOptions) -> bool:
    return options.glyphs or options.alternatives > 0  # Variants live in Glyphs


def _add_glyphs(
    node: Element,
    reading: Reading,
    word: Word,
    boxes: Sequence[Box | None],
    options: WriteOptions,
) -> None:
    """A Glyph for each character; a letter with loose marks is none for the schema (one code
    point), so it goes without."""
    for i, box in zip(range(word.start, word.stop), boxes, strict=True):
        token, sure = xml_text(reading.tokens[i]), reading.confidences[i]
        if len(token) != 1:
            continue
        glyph = sub(node, "Glyph", CONTENT=token, GC=f"{sure:.4f}")
        if box:
            _set_box(glyph, box)
        for text, p in rivals(reading, i, i + 1, sure, options.alternatives):
            if 1 <= len(xml_text(text)) <= _LONGEST_VARIANT:
                sub(glyph, "Variant", CONTENT=text, VC=f"{p:.4f}")


def _fresh(result: PageResult, options: WriteOptions) -> bytes:
    page = result.page
    root = etree.Element(f"{{{_NS}}}alto", nsmap={None: _NS, "xsi": _XSI})
    root.set(f"{{{_XSI}}}schemaLocation", f"{_NS} {_SCHEMA}")
    description = sub(root, "Description")
    sub(description, "MeasurementUnit", "pixel")
    information = sub(description, "sourceImageInformation")
    sub(information, "fileName", page.image.name if page.image else page.stem)
    ids = valid_ids(line.id for line in page.lines)
    taken = set(ids.values())
    tags = _tags(root, page.lines, taken)
    size = {"WIDTH": str(page.width), "HEIGHT": str(page.height)}
    layout = sub(root, "Layout")
    node = sub(layout, "Page", ID=new_id("page_1", taken), PHYSICAL_IMG_NR="1", **size)
    space = sub(node, "PrintSpace", HPOS="0", VPOS="0", **size)
    if page.lines:
        block = sub(space, "TextBlock", ID=new_id("block_1", taken), HPOS="0", VPOS="0", **size)
        points = [p for line in page.lines for p in (*line.polygon, *line.baseline)]
        if covered := bounding_box(points):
            _set_box(block, covered)
        for line in page.lines:
            element = _fresh_line(block, line, ids[line.id], tags)
            _fresh_strings(element, line, result.readings.get(line.id), options)
    etree.indent(root)
    return serialise(etree.ElementTree(root))


def _tags(root: Element, lines: Sequence[Line], taken: set[str]) -> dict[str, str]:
    """One OtherTag for each kind of line: label to id."""
    kinds = sorted({xml_text(line.kind) for line in lines if xml_text(line.kind)})
    tags = sub(root, "Tags") if kinds else None
    ids = {}
    for i, kind in enumerate(kinds, start=1):
        ids[kind] = new_id(f"tag_{i}", taken)
        sub(tags, "OtherTag", ID=ids[kind], LABEL=kind)
    return ids


def _fresh_line(block: Element, line: Line, line_id: str, tags: dict[str, str]) -> Element:
    element = sub(block, "TextLine", ID=line_id)
    if xml_text(line.kind):
        element.set("TAGREFS", tags[xml_text(line.kind)])
    if len(line.baseline) >= 2:
        element.set("BASELINE", _points(line.baseline))
    if box := bounding_box(line.polygon):
        _set_box(element, box)
        sub(sub(element, "Shape"), "Polygon", POINTS=_points(line.polygon))
    return element


def _fresh_strings(
    element: Element, line: Line, reading: Reading | None, options: WriteOptions
) -> None:
    text = kept_text(line, reading, options.overwrite)
    if reading is not None and text is None:
        for node in _string_nodes(_NS, reading, (line.baseline, line.polygon), options):
            element.append(node)
        return
    if line.confirmed:
        element.set("CS", "true")
    sub(element, "String", CONTENT=text or "")  # as it stands, spaces and all


def _box(element: Element) -> Box | None:
    left, top, width, height = (number(element.get(n)) for n in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))
    if left is None or top is None or width is None or height is None:
        return None
    return left, top, left + width, top + height


def _set_box(element: Element, box: Box) -> None:
    left, top, right, bottom = box
    values = {"HPOS": left, "VPOS": top, "WIDTH": right - left, "HEIGHT": bottom - top}
    for name, value in values.items():
        element.set(name, _number(value))


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
