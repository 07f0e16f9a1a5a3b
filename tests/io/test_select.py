"""Which lines are read: names of types, of regions, exclusions, and what is said of strangers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.errors import UsageError
from ensemble_htr.io.pages import read_page
from ensemble_htr.io.select import Selection, selection_arguments, unmatched
from ensemble_htr.types import Line, Page

LINES = (
    Line("a", kind="printed", regions=("heading", "#r1")),
    Line("b", kind="", regions=("marginalia", "#r2")),
    Line("c", kind="default,MarginTextZone:note", regions=("#r2", "table", "#t")),
    Line("d"),
)
PAGE = Page("p", LINES)

# --lines, --regions, ids of the lines that are read
CHOICES = [
    (None, None, "abcd"),
    ("printed", None, "a"),
    ("PRINTED,default", None, "ac"),
    ("!printed", None, "bcd"),
    ("*,!printed", None, "c"),  # what has any type
    ("MarginTextZone*", None, "c"),
    ("!default,!printed", None, "bd"),
    (None, "marginalia", "b"),
    (None, "r2", "bc"),
    (None, "#r2", "bc"),
    (None, "!table", "abd"),
    (None, "r2,!table", "b"),
    ("default", "heading", ""),
    ("default", "r2", "c"),
    ("nobody", None, ""),
]


@pytest.mark.parametrize(("lines", "regions", "ids"), CHOICES)
def test_choices(lines: str | None, regions: str | None, ids: str) -> None:
    selection = selection_arguments(lines, regions)
    assert "".join(x.id for x in selection.of(PAGE).lines) == ids


NAMES = st.lists(st.text("ab!*# ", min_size=1, max_size=3), max_size=3).map(tuple)


@given(NAMES, NAMES)
def test_what_is_read_is_a_part_in_order(lines: tuple[str, ...], regions: tuple[str, ...]) -> None:
    ids = [x.id for x in Selection(lines, regions).of(PAGE).lines]
    assert ids == [x.id for x in LINES if x.id in ids]


@given(st.sampled_from(["printed", "default", "marg*", "x"]))
def test_a_name_and_its_exclusion_share_the_page(name: str) -> None:
    one, other = (Selection((n,)).of(PAGE).lines for n in (name, f"!{name}"))
    assert {x.id for x in one} | {x.id for x in other} == set("abcd")
    assert not {x.id for x in one} & {x.id for x in other}


@pytest.mark.parametrize("value", ["", ",", " ! ,"])
def test_no_name(value: str) -> None:
    with pytest.raises(UsageError, match="--lines names nothing"):
        selection_arguments(value, None)


def test_strangers_are_said_with_what_there_is() -> None:
    assert unmatched(selection_arguments("printed,!default", "r2"), [PAGE]) == []
    assert unmatched(selection_arguments("pritned,default", "colum"), [PAGE, PAGE]) == [
        "--lines: none of 2 pages has pritned; there is default, margintextzone:note, printed",
        "--regions: none of 2 pages has colum; there is heading, marginalia, table",
    ]
    [notice] = unmatched(selection_arguments("x", None), [Page("q", (Line("a"),))])
    assert notice == "--lines: none of 1 page has x; there is no type at all"


def test_no_more_pages_than_needed_are_read() -> None:
    def pages() -> object:
        yield PAGE
        raise AssertionError("read on")

    assert unmatched(selection_arguments("printed", "r2"), pages()) == []  # type: ignore[arg-type]
    assert unmatched(Selection(), pages()) == []  # type: ignore[arg-type]


PCGTS = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageWidth="99" imageHeight="99">
<TextRegion id="r1" type="heading" custom="structure {type:Title;}" production="printed">
<TextLine id="a"/><TextLine id="b" custom="structure {type:strike;}" production="typewritten"/>
</TextRegion>
<TableRegion id="t"><TextRegion id="r2"><TextLine id="c"/></TextRegion></TableRegion>
</Page></PcGts>"""

ALTO = """<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Tags>
<OtherTag ID="T1" LABEL="printed"/><LayoutTag ID="T2" LABEL="column"/></Tags><Layout><Page>
<LeftMargin><TextBlock ID="m"><TextLine ID="a"/></TextBlock></LeftMargin>
<PrintSpace><ComposedBlock ID="g" TYPE="table"><TextBlock ID="b" TAGREFS="T2">
<TextLine ID="b" TAGREFS="T1"/><TextLine ID="c"/></TextBlock></ComposedBlock></PrintSpace>
</Page></Layout></alto>"""

# file, kinds and regions of its lines
FILES = [
    (PCGTS, [
        ("Title,printed", ("Title", "heading", "#r1")),
        ("strike,typewritten", ("Title", "heading", "#r1")),
        ("", ("#r2", "table", "#t")),
    ]),
    (ALTO, [
        ("", ("#m", "LeftMargin")),
        ("printed", ("column", "#b", "table", "#g")),
        ("column", ("column", "#b", "table", "#g")),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), FILES)
def test_types_and_regions_of_files(
    tmp_path: Path, text: str, wanted: list[tuple[str, tuple[str, ...]]]
) -> None:
    (tmp_path / "p.xml").write_text(text)
    assert [(x.kind, x.regions) for x in read_page(tmp_path / "p.xml").lines] == wanted
