"""Writing tables: a row for each line, as CSV or as an Excel workbook.

Columns: page, line, text, confidence (a number from 0 to 1), doubtful words.

The CSV is UTF-8 with a byte order mark, comma and CRLF (RFC 4180): so Excel sees its accents and
pandas reads it without options; where Excel expects semicolons, the workbook is the better choice.
Spreadsheets run cells that begin with ``=`` and the like as formulas (CWE-1236). In the CSV such a
cell gets an apostrophe before it (`guarded`; `unguarded` takes it off); in the workbook every text
is of the type text, which is never run.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ensemble_htr.errors import MissingDependencyError
from ensemble_htr.io.results import (
    PLAIN,
    PageResult,
    WriteOptions,
    doubtful_words,
    final_reading,
    one_line,
)
from ensemble_htr.io.xml import xml_text

__all__ = [
    "COLUMNS",
    "guarded",
    "render_csv",
    "render_xlsx",
    "require_openpyxl",
    "to_csv",
    "unguarded",
]

COLUMNS = ("page", "line", "text", "confidence", "doubtful words")
Cell = str | float | None

_WIDTHS = (24, 16, 80, 12, 40)  # characters
_RUNS = "=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # what makes a formula, also in full width
_FORMULA = re.compile(f"'*[{_RUNS}]")
_GUARDED = re.compile(f"'+[{_RUNS}]")
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")  # Office's own escape of characters, in plain text
_LONGEST = 32767  # characters in a cell


def render_csv(result: PageResult, options: WriteOptions = PLAIN) -> bytes:
    """The lines of the page as CSV, in their order; texts as in `rows`."""
    return to_csv([COLUMNS, *rows(result, options)], mark=True)


def render_xlsx(result: PageResult, options: WriteOptions = PLAIN) -> bytes:
    """The lines of the page as a workbook of one sheet, its header frozen.

    Raises `MissingDependencyError` without openpyxl.
    """
    require_openpyxl()
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment, Font

    book = Workbook(write_only=True)
    sheet = book.create_sheet("lines")
    sheet.freeze_panes = "A2"
    for letter, width in zip("ABCDE", _WIDTHS, strict=True):
        sheet.column_dimensions[letter].width = width

    def cell(value: Cell) -> Any:
        node = WriteOnlyCell(sheet, _office(value) if isinstance(value, str) else value)
        if isinstance(value, str):
            node.data_type = "s"  # never a formula, whatever it begins with
            node.alignment = Alignment(wrap_text=True, vertical="top")
        elif value is not None:
            node.number_format = "0.000"
            node.alignment = Alignment(vertical="top")
        return node

    header = [cell(name) for name in COLUMNS]
    for node in header:
        node.font = Font(bold=True)
    sheet.append(header)
    for row in rows(result, options):
        sheet.append([cell(value) for value in row])
    sheet.auto_filter.ref = f"A1:E{len(result.page.lines) + 1}"
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def rows(result: PageResult, options: WriteOptions = PLAIN) -> list[tuple[Cell, ...]]:
    """A row for each line of the page. A text that a human confirmed stays (and has confidence 1),
    unless ``options.overwrite``; a text that nobody vouches for has no confidence."""
    page = result.page
    table: list[tuple[Cell, ...]] = []
    for line in page.lines:
        reading = final_reading(line, result.readings.get(line.id), options.overwrite)
        text, sure, doubts = "", None, ""
        if reading is not None:
            text = one_line(reading.text)
            known = line.id in result.readings or line.confirmed
            sure = round(reading.confidence, 4) if known else None
            doubts = " ".join(word.text for word in doubtful_words(reading))
        table.append((page.stem, line.id, text, sure, doubts))
    return table


def to_csv(table: Iterable[Sequence[Cell]], mark: bool = False) -> bytes:
    """RFC 4180 in UTF-8 with guarded texts; ``mark`` puts a byte order mark before it."""
    stream = io.StringIO(newline="")
    out = csv.writer(stream, lineterminator="\r\n")
    for row in table:
        out.writerow(
            [guarded(xml_text(value)) if isinstance(value, str) else value for value in row]
        )
    return stream.getvalue().encode("utf-8-sig" if mark else "utf-8", "replace")


def guarded(text: str) -> str:
    """``text`` such that no spreadsheet runs it: an apostrophe before what could be a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """The inverse of `guarded`."""
    return text[1:] if _GUARDED.match(text) else text


def require_openpyxl() -> None:
    """Raise `MissingDependencyError` without openpyxl."""
    try:
        import openpyxl  # noqa: F401
    except ImportError:
        raise MissingDependencyError("openpyxl", "xlsx", "writing a workbook") from None


def _office(text: str) -> str:
    return _ESCAPE.sub("_x005F_", xml_text(text))[:_LONGEST]
