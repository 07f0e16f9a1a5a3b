"""Lists of names as people keep them: plain lines, CSV and TSV, counts where known."""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import math
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

from ensemble_htr.errors import InputError, UsageError, did_you_mean, printable

__all__ = ["Columns", "Format", "MAX_BYTES", "MAX_ENTRIES", "read_entries", "read_text"]

Format = Literal["text", "csv", "tsv"]
MAX_BYTES = 256 << 20  # of a list, unpacked
MAX_ENTRIES = 4_000_000  # of all lists of a lexicon
MAX_ENTRY = 200  # characters of an entry
_NAMES = ("name", "nom", "entry", "prenom", "prénom", "libelle", "label")
_COUNTS = ("count", "weight", "nombre", "total", "population", "n")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a table has its entries and counts: a header's name, or a number from 1. Without
    ``entry`` the first column, or the one whose header says so; likewise ``count``."""

    entry: str = ""
    count: str = ""


def read_entries(
    path: Path, form: Format | None = None, columns: Columns | None = None
) -> dict[str, float]:
    """The entries of a list (NFC, blanks collapsed) with the sum of their counts (unknown: 1).

    ``form`` is told by the name if None (``.csv``, ``.tsv``; ``.txt`` is text, or TSV if its first
    line holds a tab); ``.gz`` and ``.xz`` are unpacked. Raises `InputError` for a file that cannot
    be read, is not UTF-8, too large, or holds what is no count; `UsageError` for a column that is
    not there.
    """
    text = read_text(path)
    form = form or _form(path, text)
    found: dict[str, float] = {}
    rows = _table(path, text, form, columns or Columns()) if form != "text" else _lines(text)
    for number, entry, count in rows:
        entry = " ".join(unicodedata.normalize("NFC", entry).split())
        if not any(char.isalpha() for char in entry):
            continue
        if len(entry) > MAX_ENTRY:
            raise InputError(f"{path}: line {number}: an entry of {len(entry)} characters; "
                             f"a name has at most {MAX_ENTRY}")  # fmt: skip
        found[entry] = found.get(entry, 0.0) + _count(path, number, count)
        if len(found) > MAX_ENTRIES:
            raise InputError(f"{path}: more than {MAX_ENTRIES} entries; keep the most frequent")
    return found


def read_text(path: Path) -> str:
    """A text file, unpacked if need be, at most `MAX_BYTES`; raises `InputError`."""
    try:
        with _opened(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such list of names") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({printable(str(error), 80)})") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"{path}: more than {MAX_BYTES >> 20} MiB; keep its most frequent entries")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}); convert it first") from None


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path))
    return cast(IO[bytes], lzma.open(path)) if path.suffix == ".xz" else path.open("rb")


def _form(path: Path, text: str) -> Format:
    stem = path.with_suffix("") if path.suffix in (".gz", ".xz") else path
    if stem.suffix.lower() == ".csv":
        return "csv"
    first = text[:10_000].split("\n", 1)[0]
    return "tsv" if stem.suffix.lower() == ".tsv" or "\t" in first else "text"


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(io.StringIO(text), start=1):
        yield number, line, ""


def _table(path: Path, text: str, form: Format, columns: Columns) -> Iterator[tuple[int, str, str]]:
    if form == "tsv":
        rows = csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        first = text[:10_000].split("\n", 1)[0]
        delimiter = max(",;", key=first.count)
        rows = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        head = next(rows, [])
        entry, count, is_head = _places(path, head, columns)
        for row in rows if is_head else _again(head, rows):
            if len(row) > entry:
                yield rows.line_num, row[entry], row[count] if 0 <= count < len(row) else ""
    except csv.Error as error:
        raise InputError(f"{path}: line {rows.line_num}: {printable(str(error), 80)}") from None


def _again(head: list[str], rows: Iterator[list[str]]) -> Iterator[list[str]]:
    yield head
    yield from rows


def _places(path: Path, head: list[str], columns: Columns) -> tuple[int, int, bool]:
    """The columns of entries and counts (-1: none), and whether the first row is a header."""
    names = [cell.strip().casefold() for cell in head]
    chosen = [_place(path, wish, head, names) for wish in (columns.entry, columns.count)]
    known = [next((i for i, n in enumerate(names) if n in set_), -1) for set_ in (_NAMES, _COUNTS)]
    named = any(wish and not wish.isdigit() for wish in (columns.entry, columns.count))
    # "Nom" alone may be a surname: a header says two things that we know, or a count by name
    is_head = named or (known[0] >= 0 and (known[1] >= 0 or len(names) == 1)) or known[1] >= 0
    entry = chosen[0] if chosen[0] >= 0 else known[0] if is_head and known[0] >= 0 else 0
    count = chosen[1] if chosen[1] >= 0 else known[1] if is_head else _numeric(head, entry)
    return entry, count, is_head


def _numeric(head: list[str], entry: int) -> int:
    return next((i for i, cell in enumerate(head) if i != entry and _number(cell) is not None), -1)


def _place(path: Path, wish: str, head: list[str], names: list[str]) -> int:
    if not wish:
        return -1
    if wish.casefold() in names:
        return names.index(wish.casefold())
    if wish.isdecimal() and 1 <= int(wish) <= len(head):
        return int(wish) - 1
    choices = [printable(cell, 40) for cell in head[:20]]
    raise UsageError(f"{path}: no column '{printable(wish, 40)}'{did_you_mean(wish, choices)}")


def _number(text: str) -> float | None:
    try:
        value = float(text.strip().replace("\u202f", "").replace("\xa0", "") or 1)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= 1e12 else None


def _count(path: Path, number: int, text: str) -> float:
    value = _number(text)
    if value is None:
        raise InputError(f"{path}: line {number}: '{printable(text, 20)}' is no count")
    return value
