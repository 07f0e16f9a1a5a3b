"""Which document a page belongs to: manifest.csv, else the file name, else the folder."""

from __future__ import annotations

import csv
import logging
from functools import lru_cache
from pathlib import Path, PurePosixPath

__all__ = ["document_of"]

_LOG = logging.getLogger("ensemble_htr")


def document_of(path: Path, whole: bool = False) -> str:
    """The document of a page or line file, or with ``whole`` of a file of many pages.

    ``manifest.csv`` in the file's folder (columns ``doc``, ``xml``; for images also ``image``)
    comes first, then what stands before ``__`` in the name, then a whole document's own stem, then
    the folder's name (the folder above for ``page/``, ``alto/`` and the groups of a METS).
    """
    named = _manifest(path.parent / "manifest.csv", _stamp(path.parent / "manifest.csv"))
    if path.name in named:
        return named[path.name]
    before, mark, _ = path.stem.partition("__")
    if mark and before:
        return before
    if whole:
        return path.stem
    folder = path.resolve().parent
    grouped = folder.name.lower() in ("page", "alto") or (folder.parent / "mets.xml").is_file()
    return (folder.parent if grouped else folder).name


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=64)
def _manifest(path: Path, stamp: tuple[int, int]) -> dict[str, str]:
    """File name to document; ``stamp`` is only there so that a changed file is read anew."""
    if stamp == (0, 0):
        return {}
    named: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if not {"doc", "xml"} <= set(rows.fieldnames or ()):
                _LOG.warning("%s: ignored: it has no columns 'doc' and 'xml'", path)
                return {}
            for row in rows:
                for column in ("xml", "image"):
                    file = PurePosixPath((row.get(column) or "").strip().replace("\\", "/")).name
                    if file and row["doc"]:
                        named.setdefault(file, row["doc"].strip())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        _LOG.warning("%s: ignored: it cannot be read as CSV (%s)", path, error)
        return {}
    return named
