"""Writing PAGE XML: into a copy of the user's own tree, or a fresh 2019-07-15 document.

In the user's tree a line that was read gets our text as its first TextEquiv, ``index="1"`` with
``conf``; a human's text (``index="0"``) stays behind it and counts, unless ``overwrite``. Other
TextEquivs of that line go, since importers join or mix them up; rival readings (``index="2"`` and
up) come only on request. Words: where our text has as many as the line, theirs keep their places
and get our text; else they are replaced by ours, whose boxes share out the line; a line that has
none gets some only to hold the glyphs that were asked for. Beside a human's text words are left
alone. The text of a region that had one is joined anew from its lines. Everything else, including
lines without a reading, stays as it was. A fresh document has words.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ensemble_htr.errors import XMLError
from ensemble_htr.io.edit import insert, new_id, remove, serialise, sub, valid_ids
from ensemble_htr.io.geometry import Box, Notices, bounding_box, box_polygon
from ensemble_htr.io.page import chosen_equiv, equiv_index, equiv_text, line_geometry, text_lines
from ensemble_htr.io.results import PLAIN, PageResult, WriteOptions, kept_text, reading_words
from ensemble_htr.io.rivals import rivals
from ensemble_htr.io.words import axis, letter_shares, shares, token_shares, word_boxes
from ensemble_htr.io.xml import Element, children, etree, local_name, parse_xml, xml_text
from ensemble_htr.types import Line, Page, Point, Reading, Word

__all__ = ["render"]

_NS = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_BEFORE_TEXT = ("AlternativeImage", "Coords", "Baseline", "Word", "Glyph", "Graphemes")

Rivals = Sequence[tuple[str, float]]  # texts and their probabilities


def render(result: PageResult, options: WriteOptions = PLAIN) -> bytes:
    """The page as PAGE XML; raises `XMLError` if its source can no longer be read."""
    if result.page.format == "page" and result.page.source is not None:
        return _edited(result, result.page.source, options)
    return _fresh(result, options)


def _edited(result: PageResult, source: Path, options: WriteOptions) -> bytes:
    tree = parse_xml(source)
    root = tree.getroot()
    if local_name(root) != "PcGts":
        raise XMLError(f"{source}: was PAGE when it was read and is now <{local_name(root)}>")
    taken = {e.get("id") for e in root.iter() if e.get("id")}
    regions: dict[Element, None] = {}
    for line_id, element in text_lines(root):
        reading = result.readings.get(line_id)
        if reading is None:
            continue
        human = [e for e in children(element, "TextEquiv") if equiv_index(e) == 0]
        kept = [] if options.overwrite else human
        if not kept:
            _replace_words(element, reading, line_id, taken, options)
        _set_text(element, reading.text, reading.confidence, _line_rivals(reading, options), kept)
        for region in element.iterancestors("{*}TextRegion"):
            regions[region] = None
    for region in regions:
        _refresh_region(region, options.overwrite)
    return serialise(tree)


def _line_rivals(reading: Reading, options: WriteOptions) -> Rivals:
    return rivals(reading, 0, len(reading.tokens), reading.confidence, options.alternatives)


def _set_text(
    element: Element,
    text: str,
    confidence: float,
    others: Rivals = (),
    kept: Sequence[Element] = (),
) -> None:
    """Make ``text`` the first TextEquiv of a line, word or glyph, then its rivals, and drop all
    others but ``kept``."""
    for equiv in children(element, "TextEquiv"):
        if equiv not in kept:
            remove(equiv)
    position = len(_leading(element))
    for offset, (content, sure) in enumerate(((text, confidence), *others)):
        equiv = etree.Element(etree.QName(etree.QName(element).namespace, "TextEquiv"))
        equiv.set("index", str(offset + 1))
        equiv.set("conf", f"{sure:.4f}")
        sub(equiv, "Unicode", content)
        insert(element, position + offset, equiv)


def _leading(element: Element) -> list[Element]:
    """The children up to the last one that must stand before a TextEquiv."""
    nodes = list(element)
    last = max((i for i, n in enumerate(nodes) if local_name(n) in _BEFORE_TEXT), default=-1)
    return nodes[: last + 1]


def _replace_words(
    element: Element, reading: Reading, line_id: str, taken: set[str], options: WriteOptions
) -> None:
    old = children(element, "Word")
    if not old and not options.glyphs:
        return
    words = reading_words(reading)
    baseline, polygon = line_geometry(element, (0.0, 0.0), Notices(Path(line_id)))
    texts = [equiv_text(e) if (e := chosen_equiv(w)) is not None else "" for w in old]
    if len(old) == len(words):
        for node, word, text in zip(old, words, texts, strict=True):
            if options.glyphs or text != xml_text(word.text):
                for glyph in children(node, "Glyph"):
                    remove(glyph)
            if options.glyphs:
                own = line_geometry(node, (0.0, 0.0), Notices(Path(line_id)))[1]
                boxes = word_boxes(axis(own, baseline), own, token_shares(word))
                _add_glyphs(node, reading, word, boxes, taken, options)
            _set_word(node, reading, word, options)
        return
    position = list(element).index(old[0]) if old else len(_leading(element))
    for node in old:
        remove(node)
    _add_words(element, position, reading, (baseline, polygon), taken, options)


def _add_words(
    element: Element,
    position: int,
    reading: Reading,
    geometry: tuple[Sequence[Point], Sequence[Point]],
    taken: set[str],
    options: WriteOptions,
) -> None:
    """New Words into a line, whose ``geometry`` (baseline, polygon) they share out."""
    words = reading_words(reading)
    boxes = word_boxes(*geometry, shares(reading, words))
    places = word_boxes(*geometry, letter_shares(reading)) if options.glyphs else []
    own = element.get("id") or "line"
    prefix = valid_ids([own])[own]
    for offset, (word, box) in enumerate(zip(words, boxes, strict=True)):
        node = etree.Element(etree.QName(etree.QName(element).namespace, "Word"))
        node.set("id", new_id(f"{prefix}_w{offset + 1}", taken))
        sub(node, "Coords", points=_points(box_polygon(box) if box else geometry[0]))
        if options.glyphs:
            _add_glyphs(node, reading, word, places[word.start : word.stop], taken, options)
        _set_word(node, reading, word, options)
        insert(element, position + offset, node)


def _set_word(node: Element, reading: Reading, word: Word, options: WriteOptions) -> None:
    others = rivals(reading, word.start, word.stop, word.confidence, options.alternatives)
    _set_text(node, word.text, word.confidence, others)


def _add_glyphs(
    node: Element,
    reading: Reading,
    word: Word,
    boxes: Sequence[Box | None],
    taken: set[str],
    options: WriteOptions,
) -> None:
    prefix = valid_ids([own])[own] if (own := node.get("id")) else "word"
    coords = children(node, "Coords")
    word_points = coords[0].get("points", "0,0 0,0") if coords else "0,0 0,0"
    position = len(_leading(node))
    for offset, (letter, box) in enumerate(zip(_letters(reading, word), boxes, strict=True)):
        glyph = etree.Element(etree.QName(etree.QName(node).namespace, "Glyph"))
        glyph.set("id", new_id(f"{prefix}_g{offset + 1}", taken))
        sub(glyph, "Coords", points=_points(box_polygon(box)) if box else word_points)
        _set_word(glyph, reading, letter, options)
        insert(node, position + offset, glyph)


def _letters(reading: Reading, word: Word) -> list[Word]:
    """The tokens of a word, each as a word of its own."""
    return [
        Word(reading.tokens[i], reading.confidences[i], i, i + 1)
        for i in range(word.start, word.stop)
    ]


def _refresh_region(region: Element, overwrite: bool) -> None:
    equivs = children(region, "TextEquiv")
    if not equivs or (not overwrite and any(equiv_index(e) == 0 for e in equivs)):
        return
    lines = [chosen_equiv(line) for line in region.iter("{*}TextLine")]
    text = "\n".join(equiv_text(e) for e in lines if e is not None)
    for extra in equivs[1:]:
        remove(extra)
    for name in ("index", "conf"):
        equivs[0].attrib.pop(name, None)
    for child in children(equivs[0], "PlainText"):
        remove(child)
    for child in children(equivs[0], "Unicode"):
        child.text = xml_text(text)


def _fresh(result: PageResult, options: WriteOptions) -> bytes:
    page = result.page
    root = etree.Element(f"{{{_NS}}}PcGts", nsmap={None: _NS, "xsi": _XSI})
    root.set(f"{{{_XSI}}}schemaLocation", f"{_NS} {_NS}/pagecontent.xsd")
    metadata = sub(root, "Metadata")
    sub(metadata, "Creator", "ensemble-htr")
    now = _now()
    sub(metadata, "Created", now)
    sub(metadata, "LastChange", now)
    node = sub(
        root,
        "Page",
        imageFilename=page.image.name if page.image else page.stem,
        imageWidth=str(page.width),
        imageHeight=str(page.height),
    )
    ids = valid_ids(line.id for line in page.lines)
    taken = set(ids.values())
    if page.lines:
        region = sub(node, "TextRegion", id=new_id("region_1", taken))
        sub(region, "Coords", points=_points(box_polygon(_extent(page))))
        for line in page.lines:
            element = _fresh_line(region, line, ids[line.id])
            _fresh_text(element, line, result.readings.get(line.id), taken, options)
    etree.indent(root)
    return serialise(etree.ElementTree(root))


def _fresh_line(region: Element, line: Line, line_id: str) -> Element:
    element = sub(region, "TextLine", id=line_id)
    kind = line.kind.translate(str.maketrans("", "", ";{}")).strip()
    if kind:
        element.set("custom", xml_text(f"structure {{type:{kind};}}"))
    sub(element, "Coords", points=_points(line.polygon or line.baseline))
    if len(line.baseline) >= 2:
        sub(element, "Baseline", points=_points(line.baseline))
    return element


def _fresh_text(
    element: Element,
    line: Line,
    reading: Reading | None,
    taken: set[str],
    options: WriteOptions,
) -> None:
    text = kept_text(line, reading, options.overwrite)
    if reading is not None:
        if text is None:
            place = line.baseline, line.polygon
            _add_words(element, len(element), reading, place, taken, options)
        _set_text(element, reading.text, reading.confidence, _line_rivals(reading, options))
    if text is not None:
        equiv = sub(element, "TextEquiv", **({"index": "0"} if line.confirmed else {}))
        sub(equiv, "Unicode", text)


def _extent(page: Page) -> Box:
    """What the lines cover; the page where they do not say."""
    points = [p for line in page.lines for p in (*line.polygon, *line.baseline)]
    return bounding_box(points) or (0.0, 0.0, float(page.width), float(page.height))


def _points(points: Sequence[Point]) -> str:
    """Whole, non-negative pixels, two points at least: the schema's PointsType."""
    whole = [f"{max(math.floor(x + 0.5), 0)},{max(math.floor(y + 0.5), 0)}" for x, y in points]
    while len(whole) < 2:
        whole.append(whole[0] if whole else "0,0")
    return " ".join(whole)


def _now() -> str:
    """UTC now, or SOURCE_DATE_EPOCH (reproducible-builds.org) where it is set."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
