"""Results on disk: what was read comes back (law 14), the user's tree stays but for our text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from ensemble_htr.errors import OutputError, UsageError, XMLError
from ensemble_htr.io.pages import read_page
from ensemble_htr.io.results import PLAIN, PageResult, WriteOptions, reading_words
from ensemble_htr.io.write import FORMATS, output_path, write_result
from ensemble_htr.text import graphemes
from ensemble_htr.types import Line, Page, Reading, Word

COMMON = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# one word: letters, marks and everything that XML and JSON must escape
WORDS = st.text("aéœ'\"<>&^|¥-.1𝒳", min_size=1, max_size=5)
TEXTS = st.lists(WORDS, max_size=4).map(" ".join)
POINT = st.tuples(st.integers(0, 200).map(float), st.integers(0, 100).map(float))


def reading(text: str, confidence: float = 0.5) -> Reading:
    tokens = graphemes(text)
    return Reading(tokens, tuple((i % 10) / 10 for i in range(len(tokens))), confidence)


@st.composite
def pages(draw: st.DrawFn) -> Page:
    """Pages with every mixture of baseline, polygon, text, kind and confirmation."""
    ids = draw(
        st.lists(
            st.from_regex(r"[a-zé_][a-z0-9_.\-]{0,3}", fullmatch=True), max_size=5, unique=True
        )
    )
    lines = []
    for name in ids:
        baseline = draw(st.lists(POINT, min_size=2, max_size=4, unique=True) | st.just([]))
        polygon = draw(st.lists(POINT, min_size=3, max_size=6, unique=True) | st.just([]))
        if polygon == baseline:
            polygon = []
        text = draw(st.none() | TEXTS)
        lines.append(
            Line(
                name, tuple(baseline), tuple(polygon), text,
                kind=draw(st.sampled_from(["", "printed", "marge & <haut>"])),
                confirmed=text is not None and draw(st.booleans()),
            )
        )  # fmt: skip
    return Page("p", tuple(lines), 200, 100, format="image")


@st.composite
def results(draw: st.DrawFn) -> PageResult:
    page = draw(pages())
    texts = {line.id: draw(st.none() | TEXTS) for line in page.lines}
    return PageResult(page, {i: reading(t) for i, t in texts.items() if t is not None})


def write_and_read(tmp_path: Path, data: bytes) -> Page:
    path = tmp_path / "back.xml"
    path.write_bytes(data)
    return read_page(path)


# ---------------------------------------------------------------- law 14: read(write(x)) = x


@COMMON
@given(pages(), st.sampled_from(["page", "alto"]))
def test_a_page_comes_back(tmp_path: Path, page: Page, kind: str) -> None:
    back = write_and_read(tmp_path, FORMATS[kind].render(PageResult(page, {}), PLAIN))
    assert (back.width, back.height, back.format) == (200, 100, kind)
    for got, put in zip(back.lines, page.lines, strict=True):
        assert (got.id, got.baseline, got.polygon) == (put.id, put.baseline, put.polygon)
        assert (got.kind, got.confirmed) == (put.kind, put.confirmed)
        # ALTO's schema wants a String in each line: there, no text and empty text are one
        assert (got.text or None) == (put.text or None) if kind == "alto" else got.text == put.text


@COMMON
@given(results(), st.sampled_from(["page", "alto"]), st.booleans())
def test_readings_come_back(tmp_path: Path, result: PageResult, kind: str, overwrite: bool) -> None:
    back = write_and_read(tmp_path, FORMATS[kind].render(result, WriteOptions(overwrite)))
    for got, put in zip(back.lines, result.page.lines, strict=True):
        read = result.readings.get(put.id)
        human = put.confirmed and (read is None or not overwrite)
        expected = put.text if human or read is None else read.text
        assert (got.text or "") == (expected or "") and got.confirmed is human


@COMMON
@given(results(), st.sampled_from(["page", "alto"]))
def test_fresh_xml_is_valid(
    assert_valid: Callable[[bytes, str], None], result: PageResult, kind: str
) -> None:
    assert_valid(FORMATS[kind].render(result, PLAIN), kind)


@COMMON
@given(results())
def test_text_and_rows_come_back(result: PageResult) -> None:
    texts = [
        result.readings[x.id].text if x.id in result.readings else "" for x in result.page.lines
    ]
    assert FORMATS["txt"].render(result, PLAIN).decode().split("\n")[:-1] == texts
    rows = [json.loads(r) for r in FORMATS["jsonl"].render(result, PLAIN).decode().splitlines()]
    assert [r["text"] for r in rows] == texts
    for row, line in zip(rows, result.page.lines, strict=True):
        assert list(row) == ["id", "page", "doc", "text", "confidence", "words", "chars"]
        assert (row["id"], row["page"]) == (line.id, "p")
        assert "".join(c["text"] for c in row["chars"]) == row["text"]
        assert " ".join(w["text"] for w in row["words"]) == row["text"]
        assert all(0 <= x["confidence"] <= 1 for x in (row, *row["words"], *row["chars"]))


@given(st.lists(st.sampled_from(["a", "é", " ", "  ", "\u0301"]), max_size=8))
def test_words_are_the_text_cut_at_spaces(tokens: list[str]) -> None:
    words = reading_words(Reading(tuple(tokens), (0.5,) * len(tokens), 0.1))
    assert [w.text for w in words] == "".join(tokens).split()
    for word in words:
        assert "".join(tokens[word.start : word.stop]) == word.text
        assert word.confidence == 0.5 ** (word.stop - word.start)


def test_a_readings_own_words_are_used() -> None:
    words = (Word("ab", 0.9, 0, 2), Word("c", 0.8, 3, 4))
    assert reading_words(Reading(tuple("ab c"), (0.1,) * 4, 0.1, words)) == words
    stale = Reading(tuple("ab d"), (0.1,) * 4, 0.1, words)
    assert [w.text for w in reading_words(stale)] == ["ab", "d"]


def test_strange_ids_and_characters(
    tmp_path: Path, assert_valid: Callable[[bytes, str], None]
) -> None:
    lines = tuple(Line(i, ((0.0, 5.0), (9.0, 5.0))) for i in ["1", "id_1", "a b", "", "é:x"])
    text = "a\x00b\ud800\x0c\ufffe"
    result = PageResult(Page("p", lines, 9, 9), {"1": reading(text)})
    for kind in ("page", "alto"):
        data = FORMATS[kind].render(result, PLAIN)
        assert_valid(data, kind)
        back = write_and_read(tmp_path, data).lines
        assert back[1].id == "id_1" and len({x.id for x in back}) == 5
        assert back[0].text == "ab"
    assert FORMATS["txt"].render(result, PLAIN).count(b"\n") == 5
    assert len(FORMATS["jsonl"].render(result, PLAIN).splitlines()) == 5


# ---------------------------------------------------------------- the user's own tree

DATA = Path(__file__).parent / "data"
TREES = {kind: (DATA / f"{kind}.xml").read_text(encoding="utf-8") for kind in ("page", "alto")}
OURS = re.compile("TextEquiv|Word|String|SP|HYP")


def source(tmp_path: Path, kind: str) -> Page:
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in" / "p.xml").write_text(TREES[kind], encoding="utf-8")
    return read_page(tmp_path / "in" / "p.xml")


def bare(data: bytes) -> bytes:
    """Canonical XML without what a writer may touch: texts, words and the CS of lines."""
    root = etree.fromstring(data, etree.XMLParser(remove_blank_text=True))
    for element in list(root.iter("{*}*")):
        if OURS.fullmatch(etree.QName(element).localname) and element.getparent() is not None:
            element.getparent().remove(element)
        elif etree.QName(element).localname == "TextLine":
            element.attrib.pop("CS", None)
    for element in root.iter():
        if not (element.text or "").strip():
            element.text = None
        element.tail = None
    return bytes(etree.tostring(root.getroottree(), method="c14n", with_comments=True))


@COMMON
@given(
    st.sampled_from(["page", "alto"]),
    st.dictionaries(st.sampled_from(["plain", "human", "words", "empty"]), TEXTS),
    st.booleans(),
)
def test_the_tree_stays_but_for_our_text(
    tmp_path: Path, kind: str, texts: dict[str, str], overwrite: bool
) -> None:
    page = source(tmp_path, kind)
    result = PageResult(page, {i: reading(t) for i, t in texts.items()})
    data = FORMATS[kind].render(result, WriteOptions(overwrite))
    assert bare(data) == bare(TREES[kind].encode())
    back = write_and_read(tmp_path, data)
    for got, put in zip(back.lines, page.lines, strict=True):
        assert (got.id, got.baseline, got.polygon, got.kind) == (
            put.id, put.baseline, put.polygon, put.kind,
        )  # fmt: skip
        taken = put.id in texts and (overwrite or not put.confirmed)
        assert got.text == (texts[put.id] if taken else put.text)
        assert got.confirmed is (put.confirmed and not taken)
    again = FORMATS[kind].render(result, WriteOptions(overwrite))
    assert again == data


@pytest.mark.parametrize("kind", ["page", "alto"])
def test_no_readings_no_change(tmp_path: Path, kind: str) -> None:
    data = FORMATS[kind].render(PageResult(source(tmp_path, kind), {}), WriteOptions(True))
    one, other = (
        etree.tostring(etree.fromstring(x), method="c14n") for x in (data, TREES[kind].encode())
    )
    assert one == other


def _tree(data: bytes) -> tuple[Any, dict[str, Any]]:
    root = etree.fromstring(data)
    lines = {e.get("id") or e.get("ID"): e for e in root.iter("{*}TextLine")}
    return root, lines


def test_page_text_first_with_index_1(tmp_path: Path) -> None:
    texts = {"plain": "neuf", "human": "faux", "words": "mot haut", "empty": "là"}
    result = PageResult(source(tmp_path, "page"), {i: reading(t, 0.25) for i, t in texts.items()})
    data = FORMATS["page"].render(result, PLAIN)
    root, lines = _tree(data)
    for name, text in texts.items():
        equivs = lines[name].findall("{*}TextEquiv")
        assert (equivs[0].get("index"), equivs[0].get("conf")) == ("1", "0.2500")
        assert equivs[0].findtext("{*}Unicode") == text
        assert len(equivs) == (2 if name == "human" else 1)
    assert lines["human"].findall("{*}TextEquiv")[1].get("index") == "0"
    assert lines["human"].findtext("{*}Word/{*}TextEquiv/{*}Unicode") == "truth"
    assert [e.tag.rpartition("}")[2] for e in lines["plain"]] == [
        "Coords", "Baseline", "TextEquiv", "TextStyle",
    ]  # fmt: skip
    words = lines["words"].findall("{*}Word")
    assert [w.get("id") for w in words] == ["w1", "w2"]  # as many as before: they keep their places
    assert [w.findtext("{*}TextEquiv/{*}Unicode") for w in words] == ["mot", "haut"]
    assert (
        words[1].find("{*}Glyph") is None
        and words[1].find("{*}Coords").get("points") == "50,10 90,40"
    )
    assert root.findtext(".//{*}TextRegion/{*}TextEquiv/{*}Unicode") == "neuf\ntruth\nmot haut\nlà"
    assert b"<!-- before --><?pi here?>" in data.replace(b"\n", b"") and b"<!-- after -->" in data
    assert b'\n        <pc:TextEquiv index="1" conf="0.2500">\n          <pc:Unicode>neuf' in data


def test_page_words_are_shared_out_anew(
    tmp_path: Path, assert_valid: Callable[[bytes, str], None]
) -> None:
    result = PageResult(source(tmp_path, "page"), {"words": reading("un deux trois")})
    data = FORMATS["page"].render(result, PLAIN)
    words = _tree(data)[1]["words"].findall("{*}Word")
    assert [w.findtext("{*}TextEquiv/{*}Unicode") for w in words] == ["un", "deux", "trois"]
    boxes = [w.find("{*}Coords").get("points") for w in words]
    assert boxes[0].startswith("10,10") and boxes[2].split()[1] == "90,10"
    assert_valid(data.replace(b' my:note="x"', b"").replace(b' my:secret="kept"', b""), "page")


def test_alto_strings(tmp_path: Path, assert_valid: Callable[[bytes, str], None]) -> None:
    texts = {"plain": "un 2 mots", "human": "faux", "words": "mot haut", "empty": "là"}
    result = PageResult(source(tmp_path, "alto"), {i: reading(t) for i, t in texts.items()})
    data = FORMATS["alto"].render(result, PLAIN)
    lines = _tree(data)[1]
    plain = lines["plain"].findall("{*}String")
    assert [s.get("CONTENT") for s in plain] == ["un", "2", "mots"]
    assert all(s.get("STYLEREFS") == "s" and 0 <= float(s.get("WC")) <= 1 for s in plain)
    assert lines["plain"].find("{*}HYP") is None and len(lines["plain"].findall("{*}SP")) == 2
    lefts = [float(s.get("HPOS")) for s in plain]
    rights = [float(s.get("HPOS")) + float(s.get("WIDTH")) for s in plain]
    assert lefts[0] == 100 and rights[2] == 900  # in the file's own unit
    assert all(r < x for r, x in zip(rights, lefts[1:], strict=False))
    assert [s.get("CONTENT") for s in lines["human"].findall("{*}String")] == ["truth"]
    assert lines["human"].get("CS") == "true"
    words = lines["words"].findall("{*}String")
    assert [(s.get("ID"), s.get("HPOS"), s.get("CC")) for s in words] == [
        ("s1", "100", "987"), ("s2", "500", "5443"),
    ]  # fmt: skip
    assert len(words[1]) == 0
    assert_valid(data, "alto")
    lines = _tree(FORMATS["alto"].render(result, WriteOptions(True)))[1]
    assert lines["human"].get("CS") == "false"  # no human has seen our text


# ---------------------------------------------------------------- on disk


@pytest.mark.parametrize("kind", ["page", "alto"])
def test_names_never_collide(tmp_path: Path, kind: str) -> None:
    page = source(tmp_path, kind)
    out = tmp_path / "out"
    names = [name for name in FORMATS if name not in ("pdf", "xlsx")]  # these need libraries
    paths = write_result(PageResult(page, {}), out, names)
    other = "alto" if kind == "page" else "page"
    others = {f"p.{other}.xml", "p.txt", "p.jsonl", "p.hocr", "p.csv", "p.tei.xml"}
    assert {p.name for p in paths} == {"p.xml", *others}
    assert sorted(out.iterdir()) == sorted(paths)
    for path, name in zip(paths, names, strict=True):
        assert path == output_path(page, out, name)
        assert name not in ("page", "alto") or read_page(path).format == name


@given(
    st.sampled_from(["a", "a.page", "a.alto", "a.page.alto"]),
    st.sampled_from(["page", "alto", "image"]),
)
def test_the_formats_of_one_page_have_names_of_their_own(stem: str, kind: str) -> None:
    from ensemble_htr.io.finding import page_stem

    path = None if kind == "image" else Path("in") / f"{stem}.xml"
    page = Page(page_stem(path, kind) if path else stem, (), format=kind, source=path)
    names = [name for name in FORMATS if name not in ("pdf", "xlsx")]
    assert len({output_path(page, Path("out"), name).name for name in names}) == len(names)


def test_a_page_called_review_leaves_the_review_alone() -> None:
    assert output_path(Page("Review", ()), Path(), "csv").name == "Review.page.csv"


def test_inputs_are_never_overwritten(tmp_path: Path) -> None:
    page = source(tmp_path, "page")
    before = (tmp_path / "in" / "p.xml").read_bytes()
    for out in (tmp_path / "in", tmp_path / "in" / ".." / "in"):
        with pytest.raises(OutputError, match="inputs are never overwritten"):
            write_result(PageResult(page, {}), out, ["page"], WriteOptions(True))
    assert (tmp_path / "in" / "p.xml").read_bytes() == before
    assert len(list((tmp_path / "in").iterdir())) == 1


def test_one_line_for_what_cannot_be_done(tmp_path: Path) -> None:
    result = PageResult(source(tmp_path, "page"), {})
    with pytest.raises(UsageError, match="did you mean 'alto'"):
        write_result(result, tmp_path / "out", ["atlo"])
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        write_result(result, tmp_path / "file", ["txt"])
    (tmp_path / "in" / "p.xml").write_text("<alto/>")
    with pytest.raises(XMLError, match="was PAGE when it was read"):
        write_result(result, tmp_path / "out", ["page"])
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    with pytest.raises(ValueError, match="has no line 'x'"):
        PageResult(result.page, {"x": reading("a")})


def test_fresh_page_time_can_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    data = FORMATS["page"].render(PageResult(Page("p", ()), {}), PLAIN)
    assert b"<Created>1970-01-01T00:00:00Z</Created>" in data
