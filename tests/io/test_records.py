"""Records: what is written comes back, what is bad is named by file and line."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ensemble_htr.errors import InputError, OutputError
from ensemble_htr.io import records as module
from ensemble_htr.io.readings import load_records
from ensemble_htr.io.records import (
    Record,
    match_records,
    read_jsonl,
    read_tsv,
    to_jsonl,
    to_tsv,
)
from ensemble_htr.io.rows import parse_row
from ensemble_htr.text import graphemes

CHARACTERS = "aé'\u2019 \t\n\r\u2028\x00\"\\{q\u0303\u0301ạ\u0323𝒳\ud7ff\ufeff"
NAME = st.text(CHARACTERS, min_size=1, max_size=6)
TEXT = st.text(CHARACTERS, max_size=12).map(lambda t: unicodedata.normalize("NFC", t))
CONFIDENCE = st.floats(0, 1)

ALTO = """<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Layout><Page ID="p" WIDTH="9" HEIGHT="9">
<PrintSpace><TextBlock ID="b">
<TextLine ID="l1" HPOS="0" VPOS="0" WIDTH="9" HEIGHT="4">
<String CONTENT="Le roy e\u0301lu"/></TextLine>
<TextLine ID="l2" HPOS="0" VPOS="4" WIDTH="9" HEIGHT="4"/>
</TextBlock></PrintSpace></Page></Layout></alto>
"""


@st.composite
def records(draw: st.DrawFn) -> Record:
    text = draw(TEXT)
    size = len(graphemes(text))
    pieces = st.tuples(NAME, CONFIDENCE)
    nbest = draw(st.lists(st.tuples(TEXT, st.floats(-1e6, 1e6)), max_size=3))
    return Record(
        id=draw(NAME),
        text=text,
        page=draw(st.sampled_from(["", "p1", "é/2"])),
        doc=draw(st.sampled_from(["d", "doc 2"])),
        confidences=draw(st.none() | st.lists(CONFIDENCE, min_size=size, max_size=size).map(tuple)),
        nbest=tuple(sorted(nbest, key=lambda n: -n[1])),
        confidence=draw(st.none() | CONFIDENCE),
        words=tuple(draw(st.lists(pieces, max_size=2))),
    )


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(records(), max_size=2))
def test_what_is_written_is_read_back(lines: list[Record]) -> None:
    rows = to_jsonl(lines).encode().split(b"\n")  # as a file is cut into lines
    assert [parse_row(row.decode(), "row") for row in rows if row] == lines


@given(st.text("aé\u0301q\u0303 e", max_size=8), st.sampled_from(["NFC", "NFD", "raw"]))
def test_confidences_may_count_code_points_of_any_form(text: str, form: str) -> None:
    given_as = text if form == "raw" else unicodedata.normalize(form, text)
    values = [(i % 7) / 10 for i in range(len(given_as))]
    row = json.dumps({"id": 1, "text": given_as, "confidences": values})
    record = parse_row(row, "row")
    assert record.confidences is not None
    assert len(record.confidences) == len(graphemes(record.text))
    if graphemes(record.text) == tuple(given_as):
        assert record.confidences == tuple(values)


def test_a_grapheme_is_as_sure_as_its_least_sure_code_point() -> None:
    row = json.dumps({"id": "1", "text": "e\u0301a", "confidences": [0.9, 0.2, 0.8]})
    assert parse_row(row, "x").confidences == (0.2, 0.8)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "not a JSON row"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "wanted a JSON object"),
        ('{"text": "a"}', "wanted a text as 'id', found nothing"),
        ('{"id": "", "text": "a"}', "wanted a text as 'id'"),
        ('{"id": true, "text": "a"}', "wanted a text as 'id'"),
        ('{"id": "1"}', "wanted a text as 'text', found nothing"),
        ('{"id": "1", "text": 3}', "wanted a text as 'text', found '3'"),
        ('{"id": "1", "text": "\\ud800"}', "surrogate"),
        ('{"id": "1", "text": "a", "page": 3}', "wanted a text as 'page'"),
        ('{"id": "1", "text": "a", "confidences": [NaN]}', "NaN is not a number"),
        ('{"id": "1", "text": "a", "confidences": [97]}', "divide percentages"),
        ('{"id": "1", "text": "a", "confidences": [-0.5]}', "exponential"),
        ('{"id": "1", "text": "a", "confidences": ["1"]}', "not a number"),
        ('{"id": "1", "text": "a", "confidences": 1}', "wanted a list"),
        ('{"id": "1", "text": "ab", "confidences": [1]}', "1 confidences for 2 characters"),
        ('{"id": "1", "text": "a", "confidence": 1e999}', "not a number"),
        ('{"id": "1", "text": "a", "nbest": ["a"]}', "nbest"),
        ('{"id": "1", "text": "a", "nbest": [{"text": "a", "score": null}]}', "nbest"),
        ('{"id": "1", "text": "a", "nbest": [{"text": "a", "score": 1%s}]}' % ("0" * 400), "nbest"),
        ('{"id": "1", "text": "ab", "chars": [{"text": "a", "confidence": 1}]}', "do not spell"),
        ('{"id": "1", "text": "a", "chars": ["a"]}', "in chars"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "0", "text": ""}\n' + row + "\n", encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_records(path)
    assert str(error.value).startswith(f"{path}:2: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"id": "1", "text": "\xe9"}', "byte 22 is not UTF-8"),
        ('{"id": "1", "text": "a"}'.encode("utf-16"), "UTF-16"),
        (b'{"id": "1", "text": "%s"}' % (b"a" * 200), "longer than"),
    ],
)
def test_bad_bytes(tmp_path: Path, data: bytes, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 100)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_jsonl(path)


def test_tolerated_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"id": 7, "text": null, "nbest": null, "more": {}}\r\n\r\n'
        b'{"id": "8", "text": "a", "page": "sand__3", "confidence": 1.0000001, "nbest":'
        b' [{"text": "b", "score": -2}, {"text": "a", "score": -1}]}'
    )
    first, second = load_records(path)
    assert first == Record("7", "")
    assert second == Record(
        "8", "a", "sand__3", "sand", confidence=1.0, nbest=(("a", -1.0), ("b", -2.0))
    )


@given(st.lists(st.tuples(st.from_regex(r"[a-z0-9_.:-]{1,8}", fullmatch=True), TEXT), max_size=4))
def test_tsv_keeps_what_it_can_hold(tmp_path_factory: pytest.TempPathFactory, lines) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("tsv") / "x.tsv"
    wanted = [Record(i, " ".join(t.splitlines())) for i, t in lines]
    path.write_text(to_tsv([Record(i, t) for i, t in lines]), encoding="utf-8", newline="")
    assert read_tsv(path) == wanted


def test_tsv_defects(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("id\ttext\na\tb\tc\nno tab here\n", encoding="utf-8")
    with pytest.raises(InputError, match=r":3: wanted id<TAB>text"):
        load_records(path)
    path.write_text("id\ttext\na\tb\tc\n", encoding="utf-8")
    assert load_records(path) == [Record("a", "b\tc")]
    with pytest.raises(OutputError, match="JSONL"):
        to_tsv([Record("a\tb", "")])


def test_folder_of_pages_and_its_manifest(tmp_path: Path) -> None:
    (tmp_path / "sand__1.xml").write_text(ALTO, encoding="utf-8")
    (tmp_path / "p2.xml").write_text(ALTO, encoding="utf-8")
    (tmp_path / "mets.xml").write_text("<mets/>", encoding="utf-8")
    (tmp_path / "manifest.csv").write_text("doc,xml\nletters,p2.xml\n", encoding="utf-8")
    assert load_records(tmp_path) == [
        Record("l1", "Le roy élu", "p2", "letters"),
        Record("l1", "Le roy élu", "sand__1", "sand"),
    ]
    assert load_records(tmp_path / "p2.xml") == [Record("l1", "Le roy élu", "p2", "letters")]


def test_one_page_in_two_formats_is_read_once(tmp_path: Path) -> None:
    page = (
        '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">'
        '<Page imageFilename="p.jpg" imageWidth="9" imageHeight="9"><TextRegion id="r">'
        '<Coords points="0,0 9,0 9,9"/><TextLine id="l1"><Coords points="0,0 9,0 9,4"/>'
        "<TextEquiv><Unicode>page</Unicode></TextEquiv></TextLine></TextRegion></Page></PcGts>"
    )
    names = {"flat": ("p.alto.xml", "p.page.xml"), "deep": ("alto/p.xml", "page/p.xml")}
    for folder, (alto_name, page_name) in names.items():
        for name, text in ((alto_name, ALTO), (page_name, page)):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_text(text, encoding="utf-8")
        assert load_records(tmp_path / folder) == [Record("l1", "page", "p", folder)]


def test_broken_xml_in_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "p1.xml").write_text(ALTO, encoding="utf-8")
    (tmp_path / "p2.xml").write_text("<!DOCTYPE alto><alto/>", encoding="utf-8")
    with pytest.raises(InputError, match="DOCTYPE"):
        load_records(tmp_path)


def test_folder_of_jsonl_pages(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "deep"
    folder.mkdir(parents=True)
    (folder / "sand__1.jsonl").write_text('{"id": "l1", "text": "a"}\n', encoding="utf-8")
    (folder / "p2.jsonl").write_text('{"id": "l1", "text": "b", "doc": "d"}\n', encoding="utf-8")
    (folder / ".journal.jsonl").write_text("not ours", encoding="utf-8")
    wanted = [Record("l1", "b", "p2", "d"), Record("l1", "a", "sand__1", "sand")]
    assert load_records(folder) == load_records(tmp_path) == wanted


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: None, "no such file or folder"),
        (lambda p: p.mkdir(), "no JSONL, PAGE, ALTO, hOCR, CTM, TSV or TXT file"),
        (lambda p: p.write_text('{"id": "1", "text": ""}\n' * 2), "occurs more than once"),
    ],
)
def test_places_that_cannot_be_read(tmp_path: Path, make, said: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "x")
    with pytest.raises(InputError, match=said):
        load_records(tmp_path / "x")


def test_matching_by_page_and_id() -> None:
    wanted = [Record("1", "", "p"), Record("1", "", "q"), Record("2", "", "q")]
    system = [Record("1", "b", "q"), Record("2", "c"), Record("3", "d", "q")]
    matching = match_records(wanted, system, "s")
    assert matching.found == (None, system[0], system[1])
    assert matching.extra == (system[2],)
    backwards = match_records(system, wanted, "s")
    assert backwards.found == (wanted[1], wanted[2], None)
    assert backwards.extra == (wanted[0],)


def test_plain_lines_are_matched_by_number_or_text() -> None:
    texts = ["le roi est mort", "vive la reine", "quatre francs par jour", "signe Dupont"]
    wanted = [Record(f"r{i}", text, "p") for i, text in enumerate(texts)]
    plain = [
        Record(f"line-{i}", text.replace("e", "c"), "q", numbered=True)
        for i, text in enumerate(texts, 1)
    ]
    assert match_records(wanted, plain, "s").found == tuple(plain)  # one page each: the same
    assert match_records(plain, wanted, "s").found == tuple(wanted)
    fewer = match_records(wanted, plain[1:], "s")
    assert fewer.found == (None, *plain[1:]) and fewer.extra == ()
    more = match_records(wanted[:2], plain, "s")
    assert more.found == tuple(plain[:2]) and more.extra == tuple(plain[2:])
    other = [*wanted, Record("r0", "x", "z")]
    assert set(match_records(other, plain, "s").found) == {None}  # no page of that name


@pytest.mark.parametrize("swap", [False, True])
def test_an_ambiguous_id_is_an_error(swap: bool) -> None:
    pages, none = [Record("1", "", "p"), Record("1", "", "q")], [Record("1", "x")]
    with pytest.raises(InputError, match="several pages"):
        match_records(*((none, pages) if swap else (pages, none)), "s")


@pytest.mark.parametrize(
    "fields", [{"text": "e\u0301"}, {"text": "ab", "confidences": (1.0,)}, {"confidence": 1.5}]
)
def test_a_record_keeps_its_word(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Record(**{"id": "1", "text": "a", **fields})  # type: ignore[arg-type]
