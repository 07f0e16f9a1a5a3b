"""Glyphs and alternatives in PAGE and ALTO: off by default, valid, and out of readers' way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from ensemble_htr.errors import UsageError
from ensemble_htr.io.geometry import bounding_box
from ensemble_htr.io.results import PLAIN, PageResult, WriteOptions
from ensemble_htr.io.write import FORMATS
from ensemble_htr.types import Arc, ConfusionNetwork, Line, Page, Reading, Slot

from .test_rivals import readings
from .test_write import source, write_and_read

COMMON = settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FULL = WriteOptions(alternatives=3, glyphs=True)


def disputed() -> Reading:
    """``le roi``, read by x; y has ``la rai``, and nothing where x has its space."""
    rows = {"x": tuple("le roi"), "y": ("l", "a", "", "r", "a", "i")}
    slots = tuple(
        Slot(tuple(Arc(t, {"posterior": 1.0 if a == b else 0.6 if t == a else 0.4})
                   for t in dict.fromkeys((a, b))))
        for a, b in zip(*rows.values(), strict=True)
    )  # fmt: skip
    network = ConfusionNetwork(slots, rows)
    sure = (0.99, 0.6, 0.6, 0.99, 0.5, 1.0)
    return Reading(tuple("le roi"), sure, 0.3, network=network, slots=tuple(range(6)))


def one_line(read: Reading) -> PageResult:
    line = Line("l", ((0.0, 30.0), (60.0, 30.0)), ((0, 0), (60, 0), (60, 30), (0, 30)))
    return PageResult(Page("p", (line,), 60, 30), {"l": read})


def tree(kind: str, result: PageResult, options: WriteOptions) -> Any:
    return etree.fromstring(FORMATS[kind].render(result, options))


def test_page_has_rivals_after_our_text() -> None:
    root = tree("page", one_line(disputed()), FULL)
    found = {
        element.get("id"): [
            (e.get("index"), e.get("conf"), e.findtext("{*}Unicode"))
            for e in element.findall("{*}TextEquiv")
        ]
        for name in ("TextLine", "Word", "Glyph")
        for element in root.iter(f"{{*}}{name}")
    }
    assert found["l"] == [("1", "0.3000", "le roi"), ("2", "0.0889", "larai")]
    assert [t for _, _, t in found["l_w1"]] == ["le", "la"]
    assert [t for _, _, t in found["l_w2"]] == ["roi", "rai"]
    assert found["l_w1_g2"] == [("1", "0.6000", "e"), ("2", "0.4000", "a")]
    assert found["l_w2_g3"] == [("1", "1.0000", "i")]
    line = root.find(".//{*}TextLine")
    assert [etree.QName(e).localname for e in line] == [
        "Coords", "Baseline", "Word", "Word", "TextEquiv", "TextEquiv",
    ]  # fmt: skip
    boxes = [g.find("{*}Coords").get("points").split()[0] for g in root.iter("{*}Glyph")]
    assert boxes == ["0,0", "10,0", "30,0", "40,0", "50,0"]


def test_alto_has_rivals_as_variants() -> None:
    root = tree("alto", one_line(disputed()), WriteOptions(alternatives=3))
    strings = list(root.iter("{*}String"))
    assert [(s.get("CONTENT"), s.get("CC")) for s in strings] == [("le", "04"), ("roi", "040")]
    glyphs = [(g.get("CONTENT"), g.get("GC"), g.get("HPOS")) for g in root.iter("{*}Glyph")]
    assert glyphs == [
        ("l", "0.9900", "0"), ("e", "0.6000", "10"),
        ("r", "0.9900", "30"), ("o", "0.5000", "40"), ("i", "1.0000", "50"),
    ]  # fmt: skip
    variants = [(v.get("CONTENT"), v.get("VC")) for v in root.iter("{*}Variant")]
    assert variants == [("a", "0.4000"), ("a", "0.3333")]


@pytest.mark.parametrize("kind", ["page", "alto"])
def test_by_default_there_are_neither(kind: str) -> None:
    root = tree(kind, one_line(disputed()), PLAIN)
    assert not list(root.iter("{*}Glyph")) and not list(root.iter("{*}Variant"))
    assert all(e.get("index") == "1" for e in root.iter("{*}TextEquiv"))
    names = ["TextLine", "Word"] if kind == "page" else ["String"]
    assert all(list(root.iter(f"{{*}}{name}")) for name in names)


@COMMON
@given(st.lists(readings(), max_size=3), st.sampled_from(["page", "alto"]), st.integers(0, 4))
def test_all_of_it_is_valid_and_reads_as_without(
    assert_valid: Callable[[bytes, str], None],
    tmp_path: Path,
    chosen: list[Reading],
    kind: str,
    most: int,
) -> None:
    box = ((0.0, 0.0), (60.0, 0.0), (60.0, 30.0), (0.0, 30.0))
    lines = tuple(Line(f"l{i}", ((0.0, 30.0), (60.0, 30.0)), box) for i in range(len(chosen)))
    result = PageResult(
        Page("p", lines, 60, 30), {x.id: r for x, r in zip(lines, chosen, strict=True)}
    )
    data = FORMATS[kind].render(result, WriteOptions(alternatives=most, glyphs=True))
    assert_valid(data, kind)
    plain = write_and_read(tmp_path, FORMATS[kind].render(result, PLAIN))
    assert write_and_read(tmp_path, data) == plain


@pytest.mark.parametrize("kind", ["page", "alto"])
@pytest.mark.parametrize("text", ["mot haut", "un deux trois"])
def test_in_the_users_tree(
    assert_valid: Callable[[bytes, str], None], tmp_path: Path, kind: str, text: str
) -> None:
    page = source(tmp_path, kind)
    read = Reading(tuple(text), (0.5,) * len(text), 0.5)
    result = PageResult(page, dict.fromkeys(("words", "plain", "human", "empty"), read))
    data = FORMATS[kind].render(result, FULL)
    plain = data.replace(b' my:note="x"', b"").replace(b' my:secret="kept"', b"")
    assert_valid(plain, kind)
    lines = {e.get("id") or e.get("ID"): e for e in etree.fromstring(data).iter("{*}TextLine")}
    for name in ("words", "plain", "empty"):
        glyphs = list(lines[name].iter("{*}Glyph"))
        found = [g.get("CONTENT") or g.findtext(".//{*}Unicode") for g in glyphs]
        assert found == list(text.replace(" ", ""))
    assert not list(lines["human"].iter("{*}Glyph"))
    assert FORMATS[kind].render(result, FULL) == data


def test_glyphs_follow_the_line_down_in_words_that_keep_their_places(tmp_path: Path) -> None:
    xml = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
    <Page imageFilename="p.jpg" imageWidth="99" imageHeight="99"><TextRegion id="r">
    <Coords points="0,0 9,0 9,99"/><TextLine id="l"><Coords points="10,10 20,10 20,90 10,90"/>
    <Baseline points="18,90 18,10"/><Word id="w"><Coords points="10,10 20,10 20,90 10,90"/>
    </Word></TextLine></TextRegion></Page></PcGts>"""
    (tmp_path / "p.xml").write_text(xml)
    from ensemble_htr.io.pages import read_page

    page = read_page(tmp_path / "p.xml")
    root = tree("page", PageResult(page, {"l": Reading(tuple("abcd"), (1.0,) * 4, 1.0)}), FULL)
    boxes = []
    for glyph in root.iter("{*}Glyph"):
        points = [p.split(",") for p in glyph.find("{*}Coords").get("points").split()]
        boxes.append(bounding_box((float(x), float(y)) for x, y in points))
    assert boxes == [(10, 70, 20, 90), (10, 50, 20, 70), (10, 30, 20, 50), (10, 10, 20, 30)]


def test_absurd_numbers_are_refused() -> None:
    for number in (-1, 21):
        with pytest.raises(UsageError, match="wanted 0 to 20"):
            WriteOptions(alternatives=number)
