"""TEI: the text comes back, the engines' differences with it, and the structure is P5's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from ensemble_htr.io.results import PLAIN, PageResult, WriteOptions
from ensemble_htr.io.write import FORMATS
from ensemble_htr.types import Line, Page, Reading, Word

from .test_rivals import readings
from .test_write import POINT, reading, results

TEI = "{http://www.tei-c.org/ns/1.0}"
ID = "{http://www.w3.org/XML/1998/namespace}id"

# A RELAX NG of the part of TEI P5 (release 4) that is written here, from the element
# specifications of the Guidelines: header 2, facsimile 11.1, apparatus 12.1, unclear 11.3.3.1.
GRAMMAR = """
<grammar xmlns="http://relaxng.org/ns/structure/1.0" ns="http://www.tei-c.org/ns/1.0"
 datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
<start><element name="TEI"><ref name="header"/><ref name="facsimile"/><ref name="text"/></element>
</start>
<define name="id"><attribute name="xml:id"><data type="ID"/></attribute></define>
<define name="pointers"><list><oneOrMore><data type="anyURI">
 <param name="pattern">\\S+</param></data></oneOrMore></list></define>
<define name="pixel"><data type="decimal"/></define>
<define name="header"><element name="teiHeader">
 <element name="fileDesc">
  <element name="titleStmt"><element name="title"><text/></element></element>
  <element name="publicationStmt"><oneOrMore><element name="p"><text/></element></oneOrMore>
  </element>
  <element name="sourceDesc"><element name="bibl"><text/></element>
   <optional><element name="listWit"><oneOrMore>
    <element name="witness"><ref name="id"/><text/></element></oneOrMore></element></optional>
  </element>
 </element>
 <element name="encodingDesc">
  <element name="appInfo"><element name="application">
   <attribute name="ident"><data type="Name"/></attribute>
   <attribute name="version"><data type="token">
    <param name="pattern">[\\d]+[a-z]*[\\d]*(\\.[\\d]+[a-z]*[\\d]*){0,3}</param></data></attribute>
   <oneOrMore><element name="label"><text/></element></oneOrMore></element></element>
  <optional><element name="variantEncoding">
   <attribute name="method"><value>parallel-segmentation</value></attribute>
   <attribute name="location"><value>internal</value></attribute></element></optional>
 </element></element></define>
<define name="corners"><attribute name="ulx"><ref name="pixel"/></attribute>
 <attribute name="uly"><ref name="pixel"/></attribute>
 <attribute name="lrx"><ref name="pixel"/></attribute>
 <attribute name="lry"><ref name="pixel"/></attribute></define>
<define name="facsimile"><element name="facsimile"><element name="surface"><ref name="id"/>
 <optional><ref name="corners"/></optional>
 <optional><element name="graphic"><attribute name="url"><data type="anyURI"/></attribute></element>
 </optional>
 <zeroOrMore><element name="zone"><ref name="id"/><attribute name="type"><data type="NCName"/>
  </attribute><optional><choice><ref name="corners"/>
  <attribute name="points"><list><data type="token">
   <param name="pattern">-?\\d+,-?\\d+</param></data><data type="token"/>
   <oneOrMore><data type="token">
   <param name="pattern">-?\\d+,-?\\d+</param></data></oneOrMore></list></attribute>
  </choice></optional></element></zeroOrMore></element></element></define>
<define name="unclear"><element name="unclear"><attribute name="cert"><data type="double">
 <param name="minInclusive">0</param><param name="maxInclusive">1</param></data></attribute><text/>
 </element></define>
<define name="wit"><optional><attribute name="wit"><ref name="pointers"/></attribute></optional>
</define>
<define name="app"><element name="app">
 <element name="lem"><ref name="wit"/><mixed><zeroOrMore><ref name="unclear"/></zeroOrMore></mixed>
 </element>
 <oneOrMore><element name="rdg"><attribute name="wit"><ref name="pointers"/></attribute><text/>
 </element></oneOrMore></element></define>
<define name="text"><element name="text"><element name="body"><element name="ab"><mixed>
 <element name="pb"><attribute name="facs"><ref name="pointers"/></attribute></element>
 <zeroOrMore><choice><ref name="app"/><ref name="unclear"/><element name="lb">
  <attribute name="n"><data type="token"/></attribute>
  <attribute name="facs"><ref name="pointers"/></attribute></element></choice></zeroOrMore>
</mixed></element></element></element></define>
</grammar>"""


@pytest.fixture(scope="module")
def schema() -> Any:
    return etree.RelaxNG(etree.fromstring(GRAMMAR))


def tree(result: PageResult, options: WriteOptions = PLAIN) -> Any:
    return etree.fromstring(FORMATS["tei"].render(result, options))


def texts(root: Any, witness: str | None = None) -> list[str]:
    """The text of every line: ours, or a witness's (without our spaces at the borders)."""
    found: list[str] = []
    [block] = root.iter(f"{TEI}ab")
    for node in block:
        if node.tag == f"{TEI}lb":
            found.append("")
        elif node.tag == f"{TEI}app":
            holders = [n for n in node if f"#{witness}" in n.get("wit", "").split()]
            chosen = holders[0] if holders else node[0]
            found[-1] += "".join(chosen.itertext())
        elif node.tag == f"{TEI}unclear":
            found[-1] += node.text or ""
        if found:
            found[-1] += node.tail or ""
    return [text.removesuffix("\n") for text in found]


def check_links(root: Any) -> None:
    ids = set(root.xpath("//@xml:id"))
    assert len(ids) == len(root.xpath("//@xml:id"))
    targets = [t for name in ("facs", "wit") for v in root.xpath(f"//@{name}") for t in v.split()]
    assert {t.removeprefix("#") for t in targets} <= ids


@settings(deadline=None, max_examples=30)
@given(results())
def test_the_text_comes_back(schema: Any, result: PageResult) -> None:
    root = tree(result)
    assert schema.validate(root), schema.error_log
    check_links(root)
    wanted = []
    for line in result.page.lines:
        read = result.readings.get(line.id)
        wanted.append((line.text if line.confirmed or read is None else read.text) or "")
    assert texts(root) == wanted


@settings(deadline=None, max_examples=50)
@given(st.lists(readings(), max_size=3))
def test_every_engine_comes_back(schema: Any, chosen: list[Reading]) -> None:
    lines = tuple(Line(f"x{i}") for i in range(len(chosen)))
    readings_ = {line.id: read for line, read in zip(lines, chosen, strict=True)}
    root = tree(PageResult(Page("p", lines), readings_))
    assert schema.validate(root), schema.error_log
    check_links(root)
    assert texts(root) == [read.text for read in chosen]
    for witness in root.iter(f"{TEI}witness"):
        for text, read in zip(texts(root, witness.get(ID)), chosen, strict=True):
            assert read.network is not None
            row = read.network.rows.get(witness.text, read.tokens)
            assert "".join(text.split()) == "".join("".join(row).split())


def test_doubtful_words_are_unclear() -> None:
    words = (Word("un", 0.4, 0, 2), Word("mot", 0.9, 3, 6))
    read = Reading(tuple("un mot"), (0.9,) * 6, 0.5, words)
    root = tree(PageResult(Page("p", (Line("l"),)), {"l": read}))
    [doubt] = root.iter(f"{TEI}unclear")
    assert (doubt.text, doubt.get("cert"), doubt.tail) == ("un", "0.40", " mot\n")
    assert not list(root.iter(f"{TEI}listWit")) and not list(root.iter(f"{TEI}variantEncoding"))


@given(st.lists(POINT, max_size=5), st.lists(POINT, max_size=4))
def test_zones_say_where_a_line_is(
    schema: Any, polygon: list[tuple[float, float]], baseline: list[tuple[float, float]]
) -> None:
    line = Line("1 ", tuple(baseline), tuple(polygon))
    root = tree(PageResult(Page("p", (line,), 200, 100, image=Path("a b&é.jpg")), {}))
    assert schema.validate(root), schema.error_log
    check_links(root)
    assert root.find(f".//{TEI}graphic").get("url") == "a%20b%26%C3%A9.jpg"
    assert root.find(f".//{TEI}surface").get("lrx") == "200"


def test_a_confirmed_text_gives_way_only_when_told() -> None:
    line = Line("l", text="wahr", confirmed=True)
    result = PageResult(Page("p", (line,)), {"l": reading("falsch")})
    assert texts(tree(result)) == ["wahr"]
    assert texts(tree(result, WriteOptions(True))) == ["falsch"]
