"""Tables: what is written is read again, by spreadsheets too; nothing in them runs."""

from __future__ import annotations

import csv
import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.io.results import PLAIN, PageResult, WriteOptions
from ensemble_htr.io.write import FORMATS
from ensemble_htr.io.write_table import COLUMNS, guarded, unguarded
from ensemble_htr.types import Line, Page, Reading, Word

from .test_write import reading, results

NASTY = [
    "=1+1", "+33", "-5", "@SUM(A1)", "\tx", "'=a", "''", "'", "=cmd|' /C calc'!A0", "＝1", "a=b",
    'say "no", they said', "a\x00b\x07c", "_x0041_", "ſtœck l’été", "x" * 40000, "",
]  # fmt: skip


def rows_of(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def nasty() -> PageResult:
    lines = tuple(Line(f"l{i}") for i in range(len(NASTY)))
    readings = {f"l{i}": reading(text, 0.25) for i, text in enumerate(NASTY)}
    return PageResult(Page("=page", lines), readings)


@given(st.text(alphabet="'=+-@\t\r\n＝a ", max_size=6))
def test_guarding_is_undone_and_nothing_guarded_runs(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert guarded(text)[:1] not in {*"=+-@\t\r\n＝"}


@settings(deadline=None)
@given(results())
def test_a_csv_comes_back(result: PageResult) -> None:
    data = FORMATS["csv"].render(result, PLAIN)
    assert data.startswith(b"\xef\xbb\xbfpage,line,text,confidence,doubtful words\r\n")
    header, *rows = rows_of(data)
    assert tuple(header) == COLUMNS and len(rows) == len(result.page.lines)
    for row, line in zip(rows, result.page.lines, strict=True):
        read = result.readings.get(line.id)
        kept = line.confirmed or read is None
        text = line.text if kept else read.text if read else ""
        assert (row[0], unguarded(row[1])) == ("p", line.id)
        assert unguarded(row[2]) == (text or "")
        known = line.confirmed or read is not None
        assert (row[3] != "") == known and (not known or 0 <= float(row[3]) <= 1)


def test_nothing_in_a_csv_runs() -> None:
    _, *rows = rows_of(FORMATS["csv"].render(nasty(), PLAIN))
    for row, text in zip(rows, NASTY, strict=True):
        assert unguarded(row[2]) == " ".join(
            text.replace("\x00", "").replace("\x07", "").split("\n")
        )
        assert row[0] == "'=page" and row[2][:1] not in {*"=+-@\t\r＝"}


def test_doubtful_words_are_those_more_likely_wrong() -> None:
    words = (Word("un", 0.49, 0, 2), Word("mot", 0.5, 3, 6), Word("là", 0.1, 7, 9))
    read = Reading(tuple("un mot là"), (0.9,) * 9, 0.2, words)
    result = PageResult(Page("p", (Line("l"),)), {"l": read})
    assert rows_of(FORMATS["csv"].render(result, PLAIN))[1] == [
        "p",
        "l",
        "un mot là",
        "0.2",
        "un là",
    ]


def test_a_confirmed_text_gives_way_only_when_told() -> None:
    line = Line("l", text="wahr", confirmed=True)
    result = PageResult(Page("p", (line,)), {"l": reading("falsch", 0.5)})
    for overwrite, text, sure in ((False, "wahr", "1.0"), (True, "falsch", "0.5")):
        row = rows_of(FORMATS["csv"].render(result, WriteOptions(overwrite)))[1]
        assert row[2:4] == [text, sure]


def test_other_readers_open_the_workbook() -> None:
    pytest.importorskip("openpyxl")
    calamine = pytest.importorskip("python_calamine")
    data = FORMATS["xlsx"].render(nasty(), PLAIN)
    sheet = calamine.CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_name("lines")
    header, *rows = sheet.to_python()
    assert tuple(header) == COLUMNS
    for row, text in zip(rows, NASTY, strict=True):
        plain = text.replace("\x00", "").replace("\x07", "")[:32767]
        assert row[:2] == ["=page", f"l{NASTY.index(text)}"] and row[3] == 0.25
        assert row[2] == plain  # not run, not guarded: a text is a text here


def test_the_workbook_is_typed_and_fit_to_be_read() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    data = FORMATS["xlsx"].render(nasty(), PLAIN)
    sheet = openpyxl.load_workbook(io.BytesIO(data)).active
    assert sheet.freeze_panes == "A2" and sheet.auto_filter.ref == f"A1:E{len(NASTY) + 1}"
    assert sheet.column_dimensions["C"].width > sheet.column_dimensions["B"].width > 8
    for row in sheet.iter_rows(min_row=2):
        assert {cell.data_type for cell in row if isinstance(cell.value, str)} <= {"s", "inlineStr"}
        assert isinstance(row[3].value, float)
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        assert b"<f>" not in parts.read("xl/worksheets/sheet1.xml")
