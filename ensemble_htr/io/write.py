"""The writers by name, the names of what they write, and the one way to put it on disk.

Names never collide: XML of the input's own format keeps the input's file name, any other file is
called after the page and the format, as ``STEM.page.xml`` or ``STEM.txt``. (A stem is the file name
without ``.xml``, and without a ``.page`` or ``.alto`` that says the file's own format.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ensemble_htr import registry
from ensemble_htr.errors import OutputError, UsageError
from ensemble_htr.files import atomic_write
from ensemble_htr.io import (
    write_alto,
    write_hocr,
    write_jsonl,
    write_page,
    write_pdf,
    write_table,
    write_tei,
    write_text,
)
from ensemble_htr.io.results import PLAIN, PageResult, WriteOptions
from ensemble_htr.io.review import REVIEW
from ensemble_htr.types import Page

__all__ = ["FORMATS", "Writer", "output_path", "render_result", "write_result", "writer"]


@dataclass(frozen=True, slots=True)
class Writer:
    """An output format. ``render`` makes the file's bytes from a result; ``extension`` follows the
    stem; ``check`` raises `MissingDependencyError` where a library is missing, before any work."""

    name: str
    extension: str
    render: Callable[[PageResult, WriteOptions], bytes]
    check: Callable[[], object] = lambda: None


def page() -> Writer:
    """PAGE XML 2019-07-15, or the user's own PAGE tree."""
    return Writer("page", ".page.xml", write_page.render)


def alto() -> Writer:
    """ALTO 4, or the user's own ALTO tree."""
    return Writer("alto", ".alto.xml", write_alto.render)


def txt() -> Writer:
    """Plain text, one row a line."""
    return Writer("txt", ".txt", write_text.render)


def jsonl() -> Writer:
    """One JSON row a line, with a confidence for every word and character."""
    return Writer("jsonl", ".jsonl", write_jsonl.render)


def hocr() -> Writer:
    """hOCR 1.2, a web page that shows the text and carries its places."""
    return Writer("hocr", ".hocr", write_hocr.render)


def csv() -> Writer:
    """A table of the lines for pandas and for spreadsheets that separate by commas."""
    return Writer("csv", ".csv", write_table.render_csv)


def xlsx() -> Writer:
    """A table of the lines for any spreadsheet."""
    return Writer("xlsx", ".xlsx", write_table.render_xlsx, write_table.require_openpyxl)


def tei() -> Writer:
    """TEI P5 with the places on the page, what the engines read differently, and doubtful words."""
    return Writer("tei", ".tei.xml", write_tei.render)


def pdf() -> Writer:
    """The page's picture with its text behind it, to be searched and copied."""
    return Writer("pdf", ".pdf", write_pdf.render, write_pdf.require_libraries)


# Our own formats. Others come in through the entry points ``ensemble_htr.formats``, where these are
# registered too: a function that returns a `Writer`.
_EDITED = ("page", "alto")  # copies of the user's own files, which keep their names
FORMATS: dict[str, Writer] = {
    w.name: w for w in (page(), alto(), txt(), jsonl(), hocr(), csv(), xlsx(), tei(), pdf())
}


def writer(name: str) -> Writer:
    """The writer called ``name``; raises `UsageError` with the choices if there is none,
    `MissingDependencyError` if a library that it needs is not installed."""
    found = FORMATS[name] if name in FORMATS else registry.load("formats", name)()
    if not isinstance(found, Writer):
        raise UsageError(f"output format '{name}': its plug-in does not return a Writer")
    found.check()
    return found


def output_path(page: Page, out: Path, name: str) -> Path:
    """Where the output of this format for this page goes."""
    if page.source is not None and page.format == name and name in _EDITED:
        return out / page.source.name
    extension = writer(name).extension
    if f"{page.stem}{extension}".casefold() == REVIEW:
        extension = f".page{extension}"
    return out / f"{page.stem}{extension}"


def write_result(
    result: PageResult, out: Path, formats: Iterable[str], options: WriteOptions = PLAIN
) -> list[Path]:
    """Write one page in each format into the folder ``out`` (made if missing).

    Each file is whole or not there. Returns the paths. Raises `UsageError` for an unknown format,
    `OutputError` if a file cannot be written or ``out`` is the folder of the input, whose files
    are never overwritten, `XMLError` if the input's XML can no longer be read.
    """
    rendered = render_result(result, out, formats, options)
    for path, data in rendered:
        atomic_write(path, data)
    return [path for path, _ in rendered]


def render_result(
    result: PageResult, out: Path, formats: Iterable[str], options: WriteOptions = PLAIN
) -> list[tuple[Path, bytes]]:
    """What `write_result` would write where, as bytes; raises the same but writes nothing."""
    writers = [writer(name) for name in formats]
    page = result.page
    for origin in (page.source, page.image if page.source is None else None):
        if origin is not None and _same_folder(origin.parent, out):
            raise OutputError(
                f"{out}: is the folder of the input {origin.name}, and inputs are never "
                "overwritten; choose another output folder"
            )
    return [(output_path(page, out, each.name), each.render(result, options)) for each in writers]


def _same_folder(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
