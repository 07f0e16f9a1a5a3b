"""What a folder holds: the layouts that eScriptorium, Transkribus, OCR-D and kraken export.

* PAGE, ALTO or hOCR beside the images (eScriptorium, kraken), with or without METS;
* the same in ``page/`` or ``alto/``, the images one folder up (Transkribus);
* a METS workspace (OCR-D): one folder for each file group, the XML naming its image relative to
  the workspace. The group that METS names last among those whose pages have lines is taken;
* images of pages or lines, PDFs;
* else its subfolders, each as if it had been named (exports of several documents); these may
  not be links, so loops of links do no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from ensemble_htr.errors import XMLError
from ensemble_htr.io.finding import list_files, list_folders, page_stem
from ensemble_htr.io.pages import HOCR_SUFFIXES, page_format
from ensemble_htr.io.xml import parse_xml, sniff_root

__all__ = ["DEEPEST", "descend", "page_files", "pages_in", "subfolders", "workspace_group"]

_LOG = logging.getLogger("ensemble_htr")
_METADATA_ROOTS = {"mets", "trpDocMetadata", "metadata", "mods", "record", "dc", "RDF"}
_METADATA_NAMES = {"mets.xml", "metadata.xml"}
_SIDECARS = (".tei.xml", "_tei.xml")  # of pages that are here in another format
_SUBFOLDERS = ("page", "alto")
_THUMBNAILS = {"thumb", "thumbs", "thumbnail", "thumbnails"}
DEEPEST = 4  # levels below the folder that was named
_PEEK = 1 << 20  # bytes in which a page's first line should come
_LINES = (b"TextLine", b"ocr_line", b"ocrx_line")

Found = tuple[Path, str]  # a page file and its format, "" where it could not be looked into


def page_files(files: Sequence[Path], quiet: bool = False) -> list[Found]:
    """The page XML and hOCR among ``files``. METS and other metadata are passed over with a notice
    (unless ``quiet``); XML that is broken or of another schema is not, so that reading it says
    why."""
    found = []
    for file in files:
        suffix = file.suffix.lower()
        if suffix != ".xml" and suffix not in HOCR_SUFFIXES:
            continue
        kind = page_format(file)
        if suffix == ".xml" and not kind and (root := _metadata(file)):
            if not quiet:
                _LOG.warning("%s: skipped: metadata <%s>, not a page", file, root)
        elif kind or suffix == ".xml":
            found.append((file, kind))
    return found


def pages_in(folder: Path, quiet: bool = False, out: Path | None = None) -> list[Found]:
    """The page files that a folder means, each page once: in the folder itself and in ``page/`` and
    ``alto/`` (unless that is ``out``, which holds our own), else in a group of its METS."""
    places = [folder, *subfolders(folder, out)]
    found = _once([f for place in places for f in page_files(list_files(place), quiet)], quiet)
    if not found and (group := workspace_group(folder, quiet, out)) is not None:
        found = _once(page_files(list_files(group), quiet), quiet)
    return found


def subfolders(folder: Path, out: Path | None = None) -> list[Path]:
    """``page/`` and ``alto/`` of a folder but ``out``, whatever their case; links count here."""
    try:
        named = {f.name.lower(): f for f in sorted(folder.iterdir(), reverse=True) if f.is_dir()}
    except OSError:
        return []
    return _without(out, [named[name] for name in _SUBFOLDERS if name in named])


def workspace_group(folder: Path, quiet: bool = False, out: Path | None = None) -> Path | None:
    """The folder of the METS file group that is read, None where there is no METS or no group."""
    mets = folder / "mets.xml"
    if not mets.is_file():
        return None
    places = _without(out, list_folders(folder))
    groups = {g.name: g for g in places if page_files(list_files(g)[:50], True)}
    if not groups:
        return None
    order = {name: i for i, name in enumerate(_file_groups(mets))}
    ranked = sorted(groups, key=lambda name: order.get(name, -1))
    chosen = next((n for n in reversed(ranked) if _has_lines(groups[n])), ranked[-1])
    if len(ranked) > 1 and not quiet:
        others = ", ".join(n for n in ranked if n != chosen)
        _LOG.warning("%s: read from %s (name the folder to read %s)", folder, chosen, others)
    return groups[chosen]


def descend(folder: Path, out: Path | None = None) -> list[Path]:
    """The folders in a folder, but for links, hidden ones, thumbnails and ``out``."""
    return _without(out, [f for f in list_folders(folder) if f.name.lower() not in _THUMBNAILS])


def _without(out: Path | None, folders: list[Path]) -> list[Path]:
    """The folders but the one that a run writes into: what it holds is no input of the next."""
    return folders if out is None else [f for f in folders if not f.samefile(out)]


def _metadata(file: Path) -> str:
    """The root element of a file that says something about pages but is none, else ""."""
    root = sniff_root(file) or ""
    name = file.name.lower()
    known = root in _METADATA_ROOTS or name in _METADATA_NAMES
    tei = root in ("TEI", "teiCorpus") and name.endswith(_SIDECARS)
    return (root or "unreadable") if known or tei else ""


def _once(found: Sequence[Found], quiet: bool) -> list[Found]:
    """Each page once: in the first place where it is found, there in the file of its plain name,
    PAGE before ALTO before hOCR."""
    rank = {"page": 0, "alto": 1, "hocr": 2, "": 3}
    places = list(dict.fromkeys(path.parent for path, _ in found))

    def order(item: Found) -> tuple[int, bool, int]:
        path, kind = item
        return places.index(path.parent), path.stem != page_stem(path, kind), rank[kind]

    pages: dict[str, Found] = {}
    doubles = []
    for path, kind in sorted(found, key=order):
        first = pages.setdefault(page_stem(path, kind).casefold(), (path, kind))[0]
        if first != path:
            doubles.append((path, first))
    if doubles and not quiet:
        path, first = doubles[0]
        more = f" ({len(doubles)} files like it)" if len(doubles) > 1 else ""
        _LOG.warning("%s: skipped: the same page as %s%s", path, first, more)
    return list(pages.values())


def _file_groups(mets: Path) -> list[str]:
    """The names of the file groups in the order of the METS; [] if it cannot be read."""
    try:
        root = parse_xml(mets).getroot()
    except XMLError as error:
        _LOG.warning("%s", error)
        return []
    return [group.get("USE", "") for group in root.iter("{*}fileGrp")]


def _has_lines(group: Path) -> bool:
    for file, _ in page_files(list_files(group)[:50], True)[:3]:
        try:
            with open(file, "rb") as stream:
                head = stream.read(_PEEK)
        except OSError:
            continue
        if any(mark in head for mark in _LINES):
            return True
    return False
