"""Readings as records: JSONL and TSV files of text lines, and matching them.

A JSONL row is as `ensemble_htr.io.rows` says, a TSV line is ``id<TAB>text``; both are UTF-8, with
or without a byte order mark.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ensemble_htr.errors import InputError, OutputError, printable
from ensemble_htr.io.linetexts import line_number
from ensemble_htr.io.rows import Record, parse_row, row_of, short
from ensemble_htr.metrics import by_number

__all__ = [
    "MAX_LINE_BYTES",
    "Matching",
    "Record",
    "iter_jsonl",
    "iter_tsv",
    "match_records",
    "numbered_rows",
    "read_jsonl",
    "read_tsv",
    "row_of",
    "to_jsonl",
    "to_tsv",
    "twice_error",
]

MAX_LINE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Matching:
    """``found[i]`` is what a system holds for the ``i``-th wanted record, None if it is missing;
    ``extra`` are its records that nobody asked for."""

    found: tuple[Record | None, ...]
    extra: tuple[Record, ...]


def twice_error(path: Path, page: str, name: str) -> InputError:
    """The error for a line id that occurs more than once in a page."""
    where = f" of page '{printable(page, 80)}'" if page else ""
    return InputError(
        f"{path}: line id '{printable(name, 80)}'{where} occurs more than once; ids must "
        "be unique in a page (give the rows of other pages another 'page')"
    )


def read_jsonl(path: Path, page: str = "", doc: str = "") -> list[Record]:
    """Read a JSONL file; ``page`` and ``doc`` stand in where a row names none.

    Raises `InputError` with file and line for a row that is not as the module says, a line over
    ``MAX_LINE_BYTES``, text that is not UTF-8.
    """
    return list(iter_jsonl(path, page, doc))


def iter_jsonl(path: Path, page: str = "", doc: str = "") -> Iterator[Record]:
    """What `read_jsonl` reads, row by row."""
    return (
        parse_row(line, where, page, doc) for where, line in numbered_rows(path) if line.strip()
    )


def read_tsv(path: Path) -> list[Record]:
    """Read lines ``id<TAB>text``; a first line ``id<TAB>text`` in these words is a heading.

    Further tabs belong to the text. Raises `InputError` with file and line, as `read_jsonl`.
    """
    return list(iter_tsv(path))


def iter_tsv(path: Path) -> Iterator[Record]:
    """What `read_tsv` reads, row by row."""
    for number, (where, line) in enumerate(numbered_rows(path)):
        name, tab, text = line.partition("\t")
        if not line.strip() or (number == 0 and (name, text.strip()) == ("id", "text")):
            continue
        if not tab or not name.strip():
            raise InputError(f"{where}: wanted id<TAB>text, found {short(line)}")
        yield Record(name.strip(), unicodedata.normalize("NFC", text))


def to_jsonl(records: Iterable[Record]) -> str:
    """The records as a JSONL file; `read_jsonl` gives them back as they were."""
    return "".join(
        json.dumps(row_of(record), ensure_ascii=False, allow_nan=False) + "\n" for record in records
    )


def to_tsv(records: Iterable[Record]) -> str:
    """The records as ``id<TAB>text`` lines; line breaks in a text become spaces.

    Raises `OutputError` for an id that TSV cannot hold.
    """
    lines = []
    for record in records:
        if record.id != " ".join(record.id.split("\t")).strip() or "\n" in record.id:
            raise OutputError(f"line id {record.id!r} cannot be written as TSV; use JSONL")
        lines.append(f"{record.id}\t{' '.join(record.text.splitlines())}\n")
    return "".join(lines)


def match_records(wanted: Sequence[Record], system: Sequence[Record], name: str) -> Matching:
    """Find each wanted line in a system by ``(page, id)``; an empty page stands for any page. Plain
    lines, on either side, go by number or text (`metrics.by_number`) within their page, wherever
    they have but one.

    Raises `InputError` naming the system where that leaves a choice: the same id on several
    pages, and one side silent about the page.
    """
    plain = any(r.numbered for r in (*wanted, *system))
    found = _by_number(wanted, system) if plain else _by_id(wanted, system, name)
    used = {id(record) for record in found if record is not None}
    return Matching(tuple(found), tuple(r for r in system if id(r) not in used))


def _by_id(wanted: Sequence[Record], system: Sequence[Record], name: str) -> list[Record | None]:
    exact = {(r.page, r.id): r for r in system}
    by_id: dict[str, list[Record]] = {}
    for record in system:
        by_id.setdefault(record.id, []).append(record)
    times = Counter(r.id for r in wanted)
    found: list[Record | None] = []
    for line in wanted:
        match = exact.get((line.page, line.id))
        if match is None:
            rivals = [r for r in by_id.get(line.id, ()) if not (line.page and r.page)]
            if len(rivals) > 1 or (rivals and times[line.id] > 1):
                raise InputError(
                    f"{name}: line id '{printable(line.id, 80)}' occurs on several pages, "
                    "and rows without a 'page' do not say which is meant; add \"page\" to the rows"
                )
            match = rivals[0] if rivals else None
        found.append(match)
    return found


def _by_number(wanted: Sequence[Record], system: Sequence[Record]) -> list[Record | None]:
    lines, rows = ({r.page: list[int]() for r in side} for side in (wanted, system))
    for places, side in ((lines, wanted), (rows, system)):
        for i, record in enumerate(side):
            places[record.page].append(i)
    if len(lines) == len(rows) == 1:
        rows = dict(zip(lines, rows.values(), strict=True))
    found: list[Record | None] = [None] * len(wanted)
    for page in lines.keys() & rows.keys():
        ours = [(line_number(wanted[i].id), wanted[i].text) for i in lines[page]]
        theirs = [(line_number(system[j].id), system[j].text) for j in rows[page]]
        for i, j in by_number(ours, theirs)[0]:
            found[lines[page][i]] = system[rows[page][j]]
    return found


def numbered_rows(path: Path) -> Iterator[tuple[str, str]]:
    """Lines of a UTF-8 file with ``file:number``; only line feeds (and CR LF) end a line.

    Raises `InputError` for a file that cannot be read, a line over ``MAX_LINE_BYTES``, text that is
    not UTF-8.
    """
    try:
        with open(path, "rb") as stream:
            number = 0
            while raw := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                where = f"{path}:{number}"
                if len(raw) > MAX_LINE_BYTES:
                    raise InputError(f"{where}: line longer than {MAX_LINE_BYTES >> 20} MB")
                if number == 1 and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise InputError(f"{where}: UTF-16 text; save the file as UTF-8")
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{where}: byte {error.start + 1} is not UTF-8; save the file as UTF-8"
                    ) from None
                yield where, line.rstrip("\r\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
