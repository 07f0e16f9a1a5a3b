"""PAGE and ALTO as the tools of the world write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.errors import XMLError
from ensemble_htr.io.geometry import Notices, parse_points
from ensemble_htr.io.page import unique_ids
from ensemble_htr.io.pages import read_page
from ensemble_htr.types import Line, Page

SQUARE = ((10.0, 10.0), (90.0, 10.0), (90.0, 40.0), (10.0, 40.0))
POINTS = "10,10 90,10 90,40 10,40"
BASE = ((10.0, 30.0), (90.0, 30.0))


def page_xml(body: str, version: str = "2019-07-15", attributes: str = "") -> str:
    return (
        f'<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/{version}">'
        f'<Page imageFilename="scan.jpg" imageWidth="200" imageHeight="100" {attributes}>'
        f"{body}</Page></PcGts>"
    )


def alto_xml(
    body: str,
    namespace: str = "http://www.loc.gov/standards/alto/ns-v4#",
    unit: str = "pixel",
    size: str = 'WIDTH="200" HEIGHT="100"',
    tags: str = "",
) -> str:
    return (
        f'<alto xmlns="{namespace}"><Description><MeasurementUnit>{unit}</MeasurementUnit>'
        "<sourceImageInformation><fileName>scan.jpg</fileName></sourceImageInformation>"
        f"</Description>{tags}<Layout><Page ID='p' PHYSICAL_IMG_NR='1' {size}><PrintSpace>"
        f"<TextBlock ID='b'>{body}</TextBlock></PrintSpace></Page></Layout></alto>"
    )


def read(tmp_path: Path, xml: str) -> Page:
    path = tmp_path / "p.xml"
    path.write_text(xml, encoding="utf-8")
    return read_page(path)


def page_line(tmp_path: Path, body: str) -> Line:
    [line] = read(tmp_path, page_xml(f'<TextRegion id="r">{body}</TextRegion>')).lines
    return line


def alto_line(tmp_path: Path, body: str, **more: str) -> Line:
    [line] = read(tmp_path, alto_xml(body, **more)).lines
    return line


# ---------------------------------------------------------------- PAGE


@pytest.mark.parametrize("version", ["2013-07-15", "2017-07-15", "2019-07-15", "2024-07-15"])
def test_page_of_every_version(tmp_path: Path, version: str) -> None:
    body = (
        f'<TextRegion id="r"><TextLine id="l"><Coords points="{POINTS}"/>'
        '<Baseline points="10,30 90,30"/><Word id="w"><TextEquiv><Unicode>wrong</Unicode>'
        "</TextEquiv></Word><TextEquiv><Unicode>Né à Paris</Unicode></TextEquiv>"
        "</TextLine></TextRegion>"
    )
    page = read(tmp_path, page_xml(body, version))
    assert (page.stem, page.width, page.height, page.format) == ("p", 200, 100, "page")
    assert page.lines == (Line("l", BASE, SQUARE, "Né à Paris"),)


def test_points_as_children_of_2010(tmp_path: Path) -> None:
    points = "".join(f'<Point x="{int(x)}" y="{int(y)}"/>' for x, y in SQUARE)
    line = page_line(tmp_path, f'<TextLine id="l"><Coords>{points}</Coords></TextLine>')
    assert line.polygon == SQUARE and line.baseline == () and line.text is None


# TextEquivs as (index, text), expected text, confirmed
EQUIVS = [
    ([], None, False),
    ([(None, "a")], "a", False),
    ([(None, "")], "", False),
    ([("1", "machine"), ("0", "human")], "human", True),  # index 0 wins wherever it stands
    ([("3", "c"), ("1", "a"), ("2", "b")], "a", False),
    ([(None, "a"), ("2", "b")], "b", False),  # a stated index beats silence
    ([(None, "a"), (None, "b")], "a", False),
    ([("x", "a"), (None, "b")], "a", False),  # an index that is no number
]


@pytest.mark.parametrize(("equivs", "text", "confirmed"), EQUIVS)
def test_the_text_equiv_that_counts(
    tmp_path: Path, equivs: list[tuple[str | None, str]], text: str | None, confirmed: bool
) -> None:
    xml = "".join(
        f"<TextEquiv{'' if i is None else f' index={i!r}'}><Unicode>{t}</Unicode></TextEquiv>"
        for i, t in equivs
    )
    line = page_line(tmp_path, f'<TextLine id="l"><Coords points="{POINTS}"/>{xml}</TextLine>')
    assert (line.text, line.confirmed) == (text, confirmed)


def test_words_speak_only_for_a_silent_line(tmp_path: Path) -> None:
    words = "".join(
        f'<Word id="{w}"><TextEquiv><Unicode>{w}</Unicode></TextEquiv></Word>' for w in "ab"
    )
    body = f'<TextLine id="l"><Coords points="{POINTS}"/>{words}</TextLine>'
    assert page_line(tmp_path, body).text == "a b"


def test_regions_nest_and_name_the_kind(tmp_path: Path) -> None:
    def line(name: str, custom: str = "") -> str:
        return f'<TextLine id="{name}" custom="{custom}"><Coords points="{POINTS}"/></TextLine>'

    body = (
        f'<TextRegion id="r1" type="marginalia">{line("a")}'
        f'<TextRegion id="r2" custom="structure {{type:signature;}}">{line("b")}</TextRegion>'
        f"</TextRegion><TableRegion id='t'><TextRegion id='c'>"
        f"{line('c', 'readingOrder {index:3;} structure {score:1; type:printed;}')}"
        f"</TextRegion></TableRegion>"
    )
    page = read(tmp_path, page_xml(body))
    assert {x.id: x.kind for x in page.lines} == {
        "a": "marginalia",
        "b": "signature",
        "c": "printed",
    }


def test_reading_order_comes_before_document_order(tmp_path: Path) -> None:
    order = (
        '<ReadingOrder><OrderedGroup id="g"><RegionRefIndexed index="10" regionRef="r0"/>'
        '<OrderedGroupIndexed id="h" index="9"><RegionRefIndexed index="1" regionRef="r2"/>'
        '<RegionRefIndexed index="0" regionRef="r3"/></OrderedGroupIndexed>'
        "</OrderedGroup></ReadingOrder>"
    )
    regions = "".join(
        f'<TextRegion id="r{i}"><TextLine id="l{i}"><Coords points="{POINTS}"/></TextLine>'
        f'<TextLine id="m{i}"><Coords points="{POINTS}"/></TextLine></TextRegion>'
        for i in range(4)
    )
    page = read(tmp_path, page_xml(order + regions))
    assert [x.id for x in page.lines] == ["l3", "m3", "l2", "m2", "l0", "m0", "l1", "m1"]


# ---------------------------------------------------------------- ALTO


@pytest.mark.parametrize(
    "namespace",
    [
        "",
        "http://schema.ccs-gmbh.com/ALTO",
        "http://www.loc.gov/standards/alto/ns-v2#",
        "http://www.loc.gov/standards/alto/ns-v3#",
        "http://www.loc.gov/standards/alto/ns-v4#",
    ],
)
@pytest.mark.parametrize(
    "points", [POINTS, "10 10 90 10 90 40 10 40", " 10 , 10\n90,10 90,40 10,40"]
)
def test_alto_of_every_version(tmp_path: Path, namespace: str, points: str) -> None:
    body = (
        '<TextLine ID="l" BASELINE="10 30 90 30"><Shape><Polygon POINTS="' + points + '"/></Shape>'
        '<String CONTENT="Né"/><SP/><String CONTENT="à Paris"/></TextLine>'
    )
    page = read(tmp_path, alto_xml(body, namespace))
    assert page.lines == (Line("l", BASE, SQUARE, "Né à Paris"),)
    assert (page.width, page.height, page.format) == (200, 100, "alto")


BOX = 'HPOS="10" VPOS="10" WIDTH="80" HEIGHT="30"'

# attributes and children of a TextLine, its baseline, its polygon
GEOMETRY = [
    (BOX, "", (), SQUARE),
    (BOX + ' BASELINE="30"', "", BASE, SQUARE),  # one number is a height (before ALTO 4.1)
    (BOX + ' BASELINE="10,30 90,30"', "", BASE, SQUARE),
    ('BASELINE="10,30 90,30"', "", BASE, ()),
    ('BASELINE="30"', f'<Shape><Polygon POINTS="{POINTS}"/></Shape>', BASE, SQUARE),
    ('BASELINE="30"', "", (), ()),  # a height without any width
    ("", '<String CONTENT="" HPOS="10" VPOS="10" WIDTH="20" HEIGHT="30"/>'
         '<String CONTENT="" HPOS="50" VPOS="12" WIDTH="40" HEIGHT="20"/>', (), SQUARE),
    (BOX, '<Shape><Circle HPOS="1" VPOS="1" RADIUS="3"/></Shape>', (), SQUARE),
    ('HPOS="NaN" VPOS="10" WIDTH="80" HEIGHT="30"', "", (), ()),
    ('HPOS="10" VPOS="10" WIDTH="-80" HEIGHT="0"', "", (), ()),
]  # fmt: skip


@pytest.mark.parametrize(("attributes", "inside", "baseline", "polygon"), GEOMETRY)
def test_alto_geometry(
    tmp_path: Path, attributes: str, inside: str, baseline: object, polygon: object
) -> None:
    line = alto_line(tmp_path, f'<TextLine ID="l" {attributes}>{inside}</TextLine>')
    assert (line.baseline, line.polygon) == (baseline, polygon)


TEXTS = [
    ("", None),
    ('<String CONTENT=""/>', ""),
    ('<String CONTENT="a"/><String CONTENT="b"/>', "a b"),
    (
        '<String CONTENT="inven" SUBS_TYPE="HypPart1" SUBS_CONTENT="inventaire"/>'
        '<HYP CONTENT="-"/>',
        "inven-",
    ),
    ('<String CONTENT="inven-"/><HYP CONTENT="-"/>', "inven-"),  # said twice, meant once
    ('<String CONTENT="l&apos;an  1900"/>', "l'an  1900"),  # as it stands there
]  # fmt: skip


@pytest.mark.parametrize(("inside", "text"), TEXTS)
def test_alto_text(tmp_path: Path, inside: str, text: str | None) -> None:
    assert alto_line(tmp_path, f'<TextLine ID="l" {BOX}>{inside}</TextLine>').text == text


CONFIRMED = [
    ("", "", "", False),
    ('CS="true"', "", "", True),
    ("", 'CS="true"', "", True),
    ('CS="true"', 'CS="false"', "", False),  # the line's own word counts
    ("", "", 'CS="true"', True),
    ('CS="1"', "", "", True),
]


@pytest.mark.parametrize(("block", "line", "string", "confirmed"), CONFIRMED)
def test_correction_status(
    tmp_path: Path, block: str, line: str, string: str, confirmed: bool
) -> None:
    xml = alto_xml(f'<TextLine ID="l" {BOX} {line}><String CONTENT="a" {string}/></TextLine>')
    xml = xml.replace("<TextBlock", f"<TextBlock {block}")
    assert read(tmp_path, xml).lines[0].confirmed is confirmed


def test_tags_are_the_kind(tmp_path: Path) -> None:
    tags = (
        '<Tags><OtherTag ID="T1" LABEL="printed"/><LayoutTag ID="T2" LABEL="margin"/>'
        '<OtherTag ID="T3"/></Tags>'
    )
    body = (
        f'<TextLine ID="a" TAGREFS="T1 T3 T9" {BOX}/><TextLine ID="b" {BOX}/>'
        f'<TextLine ID="c" TAGREFS="T1 T2" {BOX}/>'
    )
    xml = alto_xml(body, tags=tags).replace("<TextBlock", '<TextBlock TAGREFS="T2"')
    assert [x.kind for x in read(tmp_path, xml).lines] == ["printed", "margin", "printed,margin"]


UNITS = [  # unit, size in that unit, size of the picture: a line of 80 units across 10..90
    ("mm10", 'WIDTH="2000" HEIGHT="1000"', (400, 200), 0.2),
    ("inch1200", 'WIDTH="100" HEIGHT="50"', (400, 200), 4.0),
    ("mm10", "", (400, 200), 300 / 254),  # nothing but the unit: 300 dpi
    ("pixel", 'WIDTH="200" HEIGHT="100"', (400, 200), 1.0),  # rescale_page's work
]


@pytest.mark.parametrize(("unit", "size", "pixels", "factor"), UNITS)
def test_measurement_units(
    tmp_path: Path, picture: Callable[..., Path], unit: str, size: str,
    pixels: tuple[int, int], factor: float,
) -> None:  # fmt: skip
    picture("scan.jpg", *pixels)
    page = read(tmp_path, alto_xml(f'<TextLine ID="l" {BOX}/>', unit=unit, size=size))
    assert page.lines[0].polygon[2] == pytest.approx((90 * factor, 40 * factor))
    if size and unit != "pixel":
        assert (page.width, page.height) == pixels


def test_units_without_an_image_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    page = read(tmp_path, alto_xml(f'<TextLine ID="l" {BOX}/>', unit="mm10"))
    assert page.lines[0].polygon == SQUARE and "mm10" in caplog.text


# ---------------------------------------------------------------- both


def test_coordinates_outside_and_absurd(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    body = (
        '<TextLine id="out"><Coords points="-5,10 900,10 900,40 -5,40"/></TextLine>'
        '<TextLine id="nan"><Coords points="NaN,1 inf,2 1e300,3 x,y 7"/>'
        '<Baseline points="1,2 nan,nan 30,2"/></TextLine>'
        '<TextLine id="none"><Coords points=""/></TextLine><TextLine id="bare"/>'
    )
    lines = read(tmp_path, page_xml(f'<TextRegion id="r">{body}</TextRegion>')).lines
    assert [x.id for x in lines] == ["out", "nan", "none", "bare"]
    assert lines[0].polygon == ((0, 10), (200, 10), (200, 40), (0, 40))
    assert lines[1].polygon == () and lines[1].baseline == ((1, 2), (30, 2))
    assert "clamped" in caplog.text and "sane numbers was left out (6 times)" in caplog.text
    assert "neither a usable polygon nor a baseline (2 times)" in caplog.text
    assert all(str(tmp_path / "p.xml") in r.getMessage() for r in caplog.records)


@pytest.mark.parametrize("size", ["-3", "NaN", "1e99", "wide", ""])
def test_a_nonsense_page_size_is_silence(tmp_path: Path, size: str) -> None:
    xml = page_xml("").replace('"200"', f'"{size}"')
    page = read(tmp_path, xml)
    assert (page.width, page.height, page.lines) == (0, 100, ())


def test_line_ids_become_unique(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = "".join(
        f'<TextLine{f" id={i!r}" if i else ""}><Coords points="{POINTS}"/></TextLine>'
        for i in ["a", None, "a", "a-2", "a", "line-2"]
    )
    page = read(tmp_path, page_xml(f'<TextRegion id="r">{lines}</TextRegion>'))
    assert [x.id for x in page.lines] == ["a", "line-2-2", "a-3", "a-2", "a-4", "line-2"]
    assert "no id of its own" in caplog.text


@given(st.lists(st.sampled_from([None, "", "a", "a-2", "line-1", "line-2", "b"]), max_size=9))
def test_unique_ids_keep_the_first_of_each(ids: list[str | None]) -> None:
    result = unique_ids(ids)
    assert len(set(result)) == len(ids) and all(result)
    assert result == unique_ids(ids)
    for i, name in enumerate(ids):
        if name and name not in ids[:i]:
            assert result[i] == name


@given(
    st.lists(st.tuples(st.integers(-999, 999), st.integers(-999, 999)), max_size=8), st.booleans()
)
def test_both_notations_say_the_same(points: list[tuple[int, int]], comma: bool) -> None:
    text = " ".join(f"{x}{',' if comma else ' '}{y}" for x, y in points)
    assert parse_points(text, Notices(Path("x"))) == tuple(points)


@given(st.text("0123 ,.-naife\n", max_size=30))
def test_any_points_are_finite_pairs(text: str) -> None:
    for x, y in parse_points(text, Notices(Path("x"))):
        assert abs(x) <= 1e6 and abs(y) <= 1e6


@pytest.mark.parametrize("root", ["html", "TEI", "mets"])
def test_another_schema_is_named(tmp_path: Path, root: str) -> None:
    with pytest.raises(XMLError, match=rf"root element is <{root}> \(urn:x\); wanted PAGE"):
        read(tmp_path, f'<{root} xmlns="urn:x"/>')
    with pytest.raises(XMLError, match="no namespace"):
        read(tmp_path, f"<{root}/>")
