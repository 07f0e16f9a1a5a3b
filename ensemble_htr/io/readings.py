"""What engines of any make (and humans) have read, with all that their files say of it.

Rows: JSONL (`ensemble_htr.io.rows`), TSV, CTM (``.ctm``). Pages: PAGE, ALTO and hOCR with their
confidences and n-best lists, and the lines that nobody has read (``silent``). Plain text: a line of
text per row of a ``.txt`` (its lines are but ``numbered``), or a ``.gt.txt`` or ``.pred.txt`` per
line.
"""

from __future__ import annotations

import logging
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ensemble_htr.errors import InputError, printable
from ensemble_htr.io.ctm import read_ctm
from ensemble_htr.io.documents import document_of
from ensemble_htr.io.finding import list_files, page_stem
from ensemble_htr.io.folders import DEEPEST, descend, page_files, pages_in
from ensemble_htr.io.linetexts import TEXT_SUFFIXES, numbered_lines, read_line_text, text_stem
from ensemble_htr.io.pages import page_format, read_heard, read_hocr
from ensemble_htr.io.records import Record, iter_jsonl, iter_tsv, numbered_rows, twice_error
from ensemble_htr.io.sure import spread
from ensemble_htr.text import graphemes

__all__ = ["is_plain", "iter_records", "load_records", "record_files"]

_ROWS = (".ctm", ".tsv", ".txt")  # what a folder without JSONL or pages is read for, in this order
_LOG = logging.getLogger("ensemble_htr")

Look = Callable[[Path, Path | None], list[Path]]  # what a folder holds, but for its ``out``


def load_records(path: Path) -> list[Record]:
    """The lines at ``path`` that somebody has read: what `iter_records` gives, without silent ones.

    Raises `InputError` as that does, and for an id that occurs twice in a page.
    """
    records = [record for record in iter_records(path) if not record.silent]
    twice = [key for key, n in Counter((r.page, r.id) for r in records).items() if n > 1]
    if twice:
        files = [f for f in record_files(path) if f.stem == twice[0][0]]
        if len(files) > 1:
            raise InputError(
                f"{files[0]} and {files[1]}: pages of one name with a line id "
                f"'{printable(twice[0][1], 80)}' each; rename one, or take one folder at a time"
            )
        raise twice_error(path, *twice[0])
    return records


def iter_records(
    path: Path,
    on_error: Callable[[Path, InputError], None] | None = None,
    out: Path | None = None,
) -> Iterator[Record]:
    """The lines of a file, or of the files that `record_files` finds in a folder, one at a time.

    In a folder ``page`` is the file's stem where a row of JSONL names none (rows of TSV and CTM and
    texts of lines stand for any page), and ``doc`` comes from a ``manifest.csv`` beside the file,
    else from the name before ``__``, else from the folder. Raises `InputError` naming file and
    line; with ``on_error`` a folder's page files that cannot be read are handed over with their
    error, and the others go on.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    whole = path.is_dir()
    for file in record_files(path, out):
        try:
            records = _read(file, whole)  # page files whole, rows as they are asked for
        except InputError as error:
            if on_error is None or not whole:
                raise
            on_error(file, error)
        else:
            yield from records


def record_files(path: Path, out: Path | None = None) -> list[Path]:
    """The files that `iter_records` reads at ``path``, all of one kind: of a folder the JSONL, else
    pages (its layout as in `ensemble_htr.io.folders`), else texts of lines, CTM, TSV, plain text.

    Subfolders but ``out`` are searched where the folder itself holds nothing readable; raises
    `InputError` if there is nothing at all.
    """
    if not path.is_dir():
        return [path]
    for look in (_pages_or_lines, _rows):  # a stray text beside folders of pages is not meant
        if found := _first(path, look, out, 0):
            return found
    raise InputError(
        f"{path}: no JSONL, PAGE, ALTO, hOCR, CTM, TSV or TXT file in this folder or below"
    )


def is_plain(path: Path) -> bool:
    """Whether a file is plain text: its first row neither JSON nor ``id<TAB>text``."""
    if path.suffix.lower() != ".txt" or text_stem(path):
        return False
    first = _first_row(path)
    return "\t" not in first and not first.lstrip().startswith("{")


def _first_row(path: Path) -> str:
    return next((row for _, row in numbered_rows(path) if row.strip()), "")


def _first(folder: Path, look: Look, out: Path | None, depth: int) -> list[Path]:
    """What ``look`` finds in the folder, else in those below."""
    found = look(folder, out)
    if found or depth == DEEPEST:
        return found
    return [file for below in descend(folder, out) for file in _first(below, look, out, depth + 1)]


def _pages_or_lines(folder: Path, out: Path | None) -> list[Path]:
    files = list_files(folder)
    if rows := [f for f in files if f.suffix.lower() == ".jsonl"]:
        if page_files([f for f in files if f.suffix.lower() == ".xml"], quiet=True):
            _LOG.warning("%s: holds both JSONL and XML: read the JSONL", folder)
        return rows
    if pages := [path for path, _ in pages_in(folder, True, out)]:
        return pages
    kinds = [_ending(files, suffix) for suffix in TEXT_SUFFIXES]
    if all(kinds):
        _LOG.warning("%s: holds both .gt.txt and .pred.txt: read the .gt.txt", folder)
    return next((kind for kind in kinds if kind), [])


def _rows(folder: Path, _: Path | None) -> list[Path]:
    files = list_files(folder)
    return next((found for suffix in _ROWS if (found := _ending(files, suffix))), [])


def _ending(files: Sequence[Path], suffix: str) -> list[Path]:
    return [file for file in files if file.name.lower().endswith(suffix)]


def _read(path: Path, in_folder: bool) -> Iterable[Record]:
    suffix, kind = path.suffix.lower(), page_format(path)
    if text_stem(path):
        return [Record(text_stem(path), read_line_text(path), doc=document_of(path))]
    if kind == "hocr":
        return _read_hocr(path)
    if kind or suffix == ".xml":
        return _read_xml(path, page_stem(path, kind))
    if suffix == ".ctm":
        return read_ctm(numbered_rows(path))
    if in_folder and suffix not in _ROWS:
        return iter_jsonl(path, path.stem, document_of(path.with_suffix(".xml")))
    if is_plain(path):
        rows = (row for _, row in numbered_rows(path))
        return numbered_lines(rows, path.stem, document_of(path))
    rowed = suffix in (".jsonl", ".ndjson") or _first_row(path).lstrip().startswith("{")
    return iter_jsonl(path) if rowed and suffix not in (".tsv", ".tab") else iter_tsv(path)


def _read_xml(path: Path, stem: str) -> list[Record]:
    doc = document_of(path)
    return [
        Record(name, "", stem, doc, silent=True)
        if line is None
        else Record(name, line.text, stem, doc, line.confidences, line.nbest)
        for name, line in read_heard(path)
    ]


def _read_hocr(path: Path) -> list[Record]:
    records, doc = [], document_of(path)
    for stem, page in read_hocr(path):
        for line in page.raw.lines:
            if line.text is None:
                records.append(Record(line.id, "", stem, doc, silent=True))
                continue
            words = page.words[line.id]
            sure, text = spread(words), unicodedata.normalize("NFC", line.text)
            if sure is not None and len(sure) != len(graphemes(text)):
                sure = None  # a mark at a word's start joined what is before it
            whole = tuple((w, math.prod(c)) for w, c in words if c is not None)
            whole = whole if len(whole) == len(words) else ()
            records.append(Record(line.id, text, stem, doc, sure if words else None, words=whole))
    return records
