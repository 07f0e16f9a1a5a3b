"""What engines of any make have read, file by file, with all that they say of it.

Beside what `ensemble_htr.io.records` reads there is CTM (``.ctm``) and plain text (``.txt``, a row
a line, whose lines are but numbered), and PAGE and ALTO bring their confidences, their n-best
lists, and the lines that nobody has read (``silent``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ensemble_htr.errors import InputError
from ensemble_htr.io.ctm import read_ctm
from ensemble_htr.io.documents import document_of
from ensemble_htr.io.finding import list_files, page_stem
from ensemble_htr.io.folders import DEEPEST, descend
from ensemble_htr.io.linetexts import numbered_lines, text_stem
from ensemble_htr.io.pages import page_format, read_heard
from ensemble_htr.io.records import (
    Record,
    numbered_rows,
    read_file,
    read_hocr_lines,
    record_files,
)

__all__ = ["engine_files", "is_plain", "iter_engine"]

_KINDS = (
    ".ctm",
    ".tsv",
    ".txt",
)  # what a folder without anything better is read for, in this order


def engine_files(path: Path) -> list[Path]:
    """The files that `iter_engine` reads at ``path``; raises `InputError` if there are none."""
    if not path.is_dir():
        return [path]
    try:
        return record_files(path)
    except InputError:
        if found := _level(path, 0):
            return found
    raise InputError(
        f"{path}: no JSONL, PAGE, ALTO, hOCR, CTM, TSV or TXT file in this folder or below"
    )


def iter_engine(
    path: Path, on_error: Callable[[Path, InputError], None] | None = None
) -> Iterator[Record]:
    """The records at ``path`` one at a time, as `iter_records` gives them."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    whole = path.is_dir()
    for file in engine_files(path):
        try:
            records = _read(file, whole)
        except InputError as error:
            if on_error is None or not whole:
                raise
            on_error(file, error)
        else:
            yield from records


def is_plain(path: Path) -> bool:
    """Whether a file is plain text: its first row neither JSON nor ``id<TAB>text``."""
    if path.suffix.lower() != ".txt" or text_stem(path):
        return False
    first = next((row for _, row in numbered_rows(path) if row.strip()), "")
    return "\t" not in first and not first.lstrip().startswith("{")


def _level(folder: Path, depth: int) -> list[Path]:
    files = list_files(folder)
    kinds = [[f for f in files if f.suffix.lower() == suffix] for suffix in _KINDS]
    if (found := next((kind for kind in kinds if kind), [])) or depth == DEEPEST:
        return found
    return [file for below in descend(folder) for file in _level(below, depth + 1)]


def _read(path: Path, in_folder: bool) -> Iterable[Record]:
    kind = page_format(path)
    if kind == "hocr":
        return read_hocr_lines(path, silent=True)
    if kind:
        return _heard(path, page_stem(path, kind))
    if path.suffix.lower() == ".ctm":
        return read_ctm(numbered_rows(path))
    if is_plain(path):
        rows = (row for _, row in numbered_rows(path))
        return numbered_lines(rows, path.stem, document_of(path))
    return read_file(path, in_folder and path.suffix.lower() not in _KINDS)


def _heard(path: Path, stem: str) -> list[Record]:
    doc, records = document_of(path), []
    for name, line in read_heard(path):
        if line is None:
            records.append(Record(name, "", stem, doc, silent=True))
        else:
            records.append(Record(name, line.text, stem, doc, line.confidences, line.nbest))
    return records
