"""Readings as records: JSONL and TSV files of text lines, and every place they can come from.

A JSONL row is as `ensemble_htr.io.rows` says, a TSV line is ``id<TAB>text``; both are UTF-8, with
or without a byte order mark.
"""

from __future__ import annotations

import json
import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ensemble_htr.errors import InputError, OutputError
from ensemble_htr.io.documents import document_of
from ensemble_htr.io.finding import list_files, natural_key, page_stem
from ensemble_htr.io.pages import FORMAT_OF_ROOT, read_page
from ensemble_htr.io.rows import Record, parse_row, row_of, short
from ensemble_htr.io.xml import sniff_root

__all__ = [
    "MAX_LINE_BYTES",
    "Matching",
    "Record",
    "load_records",
    "match_records",
    "read_jsonl",
    "read_tsv",
    "record_files",
    "row_of",
    "to_jsonl",
    "to_tsv",
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
    """Read the lines at ``path``: a JSONL, TSV, PAGE or ALTO file, or a folder of JSONL or XML.

    In a folder ``page`` is the file's stem where the row names none, and ``doc`` comes from a
    ``manifest.csv`` beside the file, else from the name before ``__``, else from the folder.
    Subfolders are searched where the folder itself holds nothing readable. Lines of an XML that
    hold no transcription at all are left out. Raises `InputError` naming file and line.
    """
    if path.is_dir():
        records = [record for file in _folder_files(path) for record in _read_file(file, True)]
    elif path.exists():
        records = _read_file(path, False)
    else:
        raise InputError(f"{path}: no such file or folder")
    twice = [key for key, n in Counter((r.page, r.id) for r in records).items() if n > 1]
    if twice:
        page, name = twice[0]
        where = f" of page '{page}'" if page else ""
        raise InputError(
            f"{path}: line id '{name}'{where} occurs more than once; ids must be unique in a page "
            "(give the rows of other pages another 'page')"
        )
    return records


def record_files(path: Path) -> list[Path]:
    """The files that `load_records` reads at ``path``; all are page XML or none is.

    Raises `InputError` for a folder that holds nothing readable.
    """
    return _folder_files(path) if path.is_dir() else [path]


def read_jsonl(path: Path, page: str = "", doc: str = "") -> list[Record]:
    """Read a JSONL file; ``page`` and ``doc`` stand in where a row names none.

    Raises `InputError` with file and line for a row that is not as the module says, a line over
    ``MAX_LINE_BYTES``, text that is not UTF-8.
    """
    return [parse_row(line, where, page, doc) for where, line in _lines(path) if line.strip()]


def read_tsv(path: Path) -> list[Record]:
    """Read lines ``id<TAB>text``; a first line ``id<TAB>text`` in these words is a heading.

    Further tabs belong to the text. Raises `InputError` with file and line, as `read_jsonl`.
    """
    records = []
    for number, (where, line) in enumerate(_lines(path)):
        name, tab, text = line.partition("\t")
        if not line.strip() or (number == 0 and (name, text.strip()) == ("id", "text")):
            continue
        if not tab or not name.strip():
            raise InputError(f"{where}: wanted id<TAB>text, found {short(line)}")
        records.append(Record(name.strip(), unicodedata.normalize("NFC", text)))
    return records


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
                    f"{name}: line id '{line.id}' occurs on several pages, and rows without a "
                    "'page' do not say which is meant; add \"page\" to the rows"
                )
            match = rivals[0] if rivals else None
        found.append(match)
    used = {(r.page, r.id) for r in found if r is not None}
    return Matching(tuple(found), tuple(r for r in system if (r.page, r.id) not in used))


def _folder_files(folder: Path) -> list[Path]:
    """The JSONL files of a folder, else its page XML, else those in ``page/``, ``alto/``, below."""
    for files in _levels(folder):
        rows = [f for f in files if f.suffix.lower() == ".jsonl"]
        trees = [f for f in files if f.suffix.lower() == ".xml"]
        if rows and trees:
            _LOG.warning("%s: holds both JSONL and XML: read the JSONL", folder)
        if pages := rows or _page_files(trees):
            return pages
    raise InputError(f"{folder}: no JSONL, PAGE or ALTO file in this folder")


def _levels(folder: Path) -> Iterator[list[Path]]:
    yield list_files(folder)
    yield list_files(folder / "page")
    yield list_files(folder / "alto")
    below = [f for f in folder.rglob("*") if f.is_file() and not _hidden(f.relative_to(folder))]
    yield sorted(below, key=natural_key)


def _page_files(trees: Sequence[Path]) -> list[Path]:
    """PAGE and ALTO among XML files; of a page that has both in one folder the PAGE.

    XML of other kinds (METS) is passed over; broken XML is not, so that reading it says why.
    """
    chosen: dict[tuple[Path, str], Path] = {}
    for path in trees:
        root = sniff_root(path)
        if root is None or root in FORMAT_OF_ROOT:
            kind = FORMAT_OF_ROOT.get(root or "", "")
            key = path.parent, page_stem(path, kind)
            if key not in chosen or kind == "page":
                chosen[key] = path
    return list(chosen.values())


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _read_file(path: Path, in_folder: bool) -> list[Record]:
    if path.suffix.lower() == ".xml":
        return _read_xml(path)
    if in_folder:
        return read_jsonl(path, path.stem, document_of(path.with_suffix(".xml")))
    if path.suffix.lower() in (".tsv", ".tab"):
        return read_tsv(path)
    if path.suffix.lower() in (".jsonl", ".ndjson") or _first_char(path) == "{":
        return read_jsonl(path)
    return read_tsv(path)


def _read_xml(path: Path) -> list[Record]:
    page = read_page(path)
    return [
        Record(line.id, unicodedata.normalize("NFC", line.text), page.stem, page.doc)
        for line in page.lines
        if line.text is not None
    ]


def _first_char(path: Path) -> str:
    return next((line.lstrip()[0] for _, line in _lines(path) if line.strip()), "")


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Lines of a UTF-8 file with ``file:number``; only line feeds (and CR LF) end a line."""
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
