"""Readings as records: JSONL and TSV files of text lines, and every place they can come from.

A JSONL row is as `ensemble_htr.io.rows` says, a TSV line is ``id<TAB>text``; both are UTF-8, with
or without a byte order mark.
"""

from __future__ import annotations

import json
import logging
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ensemble_htr.errors import InputError, OutputError, printable
from ensemble_htr.io.documents import document_of
from ensemble_htr.io.finding import list_files
from ensemble_htr.io.folders import DEEPEST, descend, page_files, pages_in
from ensemble_htr.io.linetexts import TEXT_SUFFIXES, read_line_text, text_stem
from ensemble_htr.io.pages import page_format, read_hocr, read_page
from ensemble_htr.io.rows import Record, parse_row, row_of, short
from ensemble_htr.io.sure import spread
from ensemble_htr.text import graphemes

__all__ = [
    "MAX_LINE_BYTES",
    "Matching",
    "Record",
    "iter_records",
    "load_records",
    "match_records",
    "numbered_rows",
    "read_file",
    "read_hocr_lines",
    "read_jsonl",
    "read_tsv",
    "record_files",
    "row_of",
    "to_jsonl",
    "to_tsv",
    "twice_error",
]

MAX_LINE_BYTES = 16 * 1024 * 1024
_LOG = logging.getLogger("ensemble_htr")


@dataclass(frozen=True, slots=True)
class Matching:
    """``found[i]`` is what a system holds for the ``i``-th wanted record, None if it is missing;
    ``extra`` are its records that nobody asked for."""

    found: tuple[Record | None, ...]
    extra: tuple[Record, ...]


def load_records(path: Path) -> list[Record]:
    """Read the lines at ``path``: a JSONL, TSV, PAGE, ALTO or hOCR file, or a folder of JSONL, of
    page files (its layout as in `ensemble_htr.io.folders`), or of ``.gt.txt`` or ``.pred.txt``.

    hOCR brings its confidences along. In a folder ``page`` is the file's stem where the row names
    none (texts of lines stand for any page), and ``doc`` comes from a
    ``manifest.csv`` beside the file, else from the name before ``__``, else from the folder.
    Subfolders are searched where the folder itself holds nothing readable. Lines of an XML that
    hold no transcription at all are left out. Raises `InputError` naming file and line.
    """
    records = list(iter_records(path))
    twice = [key for key, n in Counter((r.page, r.id) for r in records).items() if n > 1]
    if twice:
        raise twice_error(path, *twice[0])
    return records


def iter_records(
    path: Path, on_error: Callable[[Path, InputError], None] | None = None
) -> Iterator[Record]:
    """What `load_records` reads, one record at a time, without a look for ids that occur twice.

    With ``on_error`` a folder's page files that cannot be read are handed over with their error,
    and the others go on.
    """
    if path.is_dir():
        for file in _folder_files(path):
            try:
                records = read_file(file, True)  # page files whole, rows as they are asked for
            except InputError as error:
                if on_error is None:
                    raise
                on_error(file, error)
            else:
                yield from records
    elif path.exists():
        yield from read_file(path, False)
    else:
        raise InputError(f"{path}: no such file or folder")


def twice_error(path: Path, page: str, name: str) -> InputError:
    """The error for a line id that occurs more than once in a page."""
    where = f" of page '{printable(page, 80)}'" if page else ""
    return InputError(
        f"{path}: line id '{printable(name, 80)}'{where} occurs more than once; ids must "
        "be unique in a page (give the rows of other pages another 'page')"
    )


def record_files(path: Path) -> list[Path]:
    """The files that `load_records` reads at ``path``; all are page files or none is.

    Raises `InputError` for a folder that holds nothing readable.
    """
    return _folder_files(path) if path.is_dir() else [path]


def read_jsonl(path: Path, page: str = "", doc: str = "") -> list[Record]:
    """Read a JSONL file; ``page`` and ``doc`` stand in where a row names none.

    Raises `InputError` with file and line for a row that is not as the module says, a line over
    ``MAX_LINE_BYTES``, text that is not UTF-8.
    """
    return list(_jsonl(path, page, doc))


def _jsonl(path: Path, page: str = "", doc: str = "") -> Iterator[Record]:
    return (
        parse_row(line, where, page, doc) for where, line in numbered_rows(path) if line.strip()
    )


def read_tsv(path: Path) -> list[Record]:
    """Read lines ``id<TAB>text``; a first line ``id<TAB>text`` in these words is a heading.

    Further tabs belong to the text. Raises `InputError` with file and line, as `read_jsonl`.
    """
    return list(_tsv(path))


def _tsv(path: Path) -> Iterator[Record]:
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
    """Find each wanted line in a system by ``(page, id)``; an empty page stands for any page.

    Raises `InputError` naming the system where that leaves a choice: the same id on several
    pages, and one side silent about the page.
    """
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
    used = {(r.page, r.id) for r in found if r is not None}
    return Matching(tuple(found), tuple(r for r in system if (r.page, r.id) not in used))


def _folder_files(folder: Path) -> list[Path]:
    """What `record_files` says, of the first level that has anything."""
    if found := _level(folder, 0):
        return found
    raise InputError(
        f"{folder}: no JSONL, PAGE, ALTO or hOCR file in this folder, nor texts of lines (.gt.txt)"
    )


def _level(folder: Path, depth: int) -> list[Path]:
    files = list_files(folder)
    rows = [f for f in files if f.suffix.lower() == ".jsonl"]
    if rows:
        if page_files([f for f in files if f.suffix.lower() == ".xml"], quiet=True):
            _LOG.warning("%s: holds both JSONL and XML: read the JSONL", folder)
        return rows
    found = [path for path, _ in pages_in(folder, quiet=True)] or _texts(folder, files)
    if found or depth == DEEPEST:
        return found
    return [file for below in descend(folder) for file in _level(below, depth + 1)]


def _texts(folder: Path, files: Sequence[Path]) -> list[Path]:
    """Texts of lines: what humans wrote, else what an engine read."""
    kinds = [[f for f in files if f.name.lower().endswith(suffix)] for suffix in TEXT_SUFFIXES]
    if all(kinds):
        _LOG.warning("%s: holds both .gt.txt and .pred.txt: read the .gt.txt", folder)
    return next((kind for kind in kinds if kind), [])


def read_file(path: Path, in_folder: bool) -> Iterable[Record]:
    """The records of one file; rows in a folder take the file's name for their page."""
    suffix = path.suffix.lower()
    if text_stem(path):
        return [Record(text_stem(path), read_line_text(path), doc=document_of(path))]
    if page_format(path) == "hocr":
        return read_hocr_lines(path)
    if suffix == ".xml":
        return _read_xml(path)
    if in_folder:
        return _jsonl(path, path.stem, document_of(path.with_suffix(".xml")))
    if suffix in (".tsv", ".tab"):
        return _tsv(path)
    if suffix in (".jsonl", ".ndjson") or _first_char(path) == "{":
        return _jsonl(path)
    return _tsv(path)


def _read_xml(path: Path) -> list[Record]:
    page = read_page(path)
    return [
        Record(line.id, unicodedata.normalize("NFC", line.text), page.stem, page.doc)
        for line in page.lines
        if line.text is not None
    ]


def read_hocr_lines(path: Path, silent: bool = False) -> list[Record]:
    """The lines of all pages of an hOCR file; with ``silent`` also those that nobody has read."""
    records = []
    for stem, page in read_hocr(path):
        for line in page.raw.lines:
            if line.text is None:
                if silent:
                    records.append(Record(line.id, "", stem, document_of(path), silent=True))
                continue
            words = page.words[line.id]
            sure, text = spread(words), unicodedata.normalize("NFC", line.text)
            if sure is not None and len(sure) != len(graphemes(text)):
                sure = None  # a mark at a word's start joined what is before it
            whole = tuple((w, math.prod(c)) for w, c in words if c is not None)
            records.append(
                Record(
                    line.id,
                    text,
                    stem,
                    document_of(path),
                    sure if words else None,
                    words=whole if len(whole) == len(words) else (),
                )  # fmt: skip
            )
    return records


def _first_char(path: Path) -> str:
    return next((line.lstrip()[0] for _, line in numbered_rows(path) if line.strip()), "")


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
