"""Where things lie: the image of an XML file, the natural order of names, stems."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path, PurePosixPath

from ensemble_htr.io.images import IMAGE_SUFFIXES

__all__ = [
    "find_image",
    "frame_stem",
    "list_files",
    "list_folders",
    "natural_key",
    "page_number",
    "page_stem",
]

_NUMBERED = re.compile(r"(?P<stem>.+)__p(?P<number>\d{3,9})")
_NAMED = (*IMAGE_SUFFIXES, ".pdf")
_DIGITS = re.compile(r"(\d+)")


def natural_key(path: Path | str) -> tuple[tuple[tuple[int, str], ...], str]:
    """Sort key that puts ``p2`` before ``p10``; ties are settled by the plain name."""
    name = str(path)
    parts = _DIGITS.split(name.casefold())
    key = tuple((int(p), "") if i % 2 else (-1, p) for i, p in enumerate(parts))
    return key, name


def page_stem(path: Path, format: str = "") -> str:
    """The file's stem, without the ``.page`` or ``.alto`` that says its own format."""
    stem = path.stem
    shorter = stem[: -len(format) - 1]
    return shorter if format and shorter and stem.lower().endswith(f".{format}") else stem


def frame_stem(stem: str, number: int, count: int) -> str:
    """The stem of page ``number`` (from 1) of a file that has ``count``: ``STEM__p001``."""
    return f"{stem}__p{number:0{max(3, len(str(count)))}d}"


def page_number(stem: str, container: str) -> int:
    """The number that `frame_stem` put into ``stem`` for a file of stem ``container``, else 0."""
    match = _NUMBERED.fullmatch(stem)
    return int(match["number"]) if match and match["stem"] == container else 0


def list_folders(folder: Path) -> list[Path]:
    """The folders in ``folder`` that are neither hidden nor links, in natural order."""
    try:
        with os.scandir(folder) as entries:
            names = [
                e.name
                for e in entries
                if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []
    return [folder / name for name in sorted(names, key=natural_key)]


def list_files(folder: Path) -> list[Path]:
    """The files in ``folder`` that are not hidden, in natural order; [] if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if not e.name.startswith(".") and _is_file(e)]
    except OSError:
        return []
    return [folder / name for name in sorted(names, key=natural_key)]


def find_image(xml: Path, name: str, stem: str) -> Path | None:
    """The image of an XML file, or None.

    Looked for beside the XML, one folder up (Transkribus ``page/``) and in ``images/`` of both:
    first under the name that the XML gives, then under that name's stem and the XML's own stem
    with the other image suffixes; case does not matter. A relative path in the XML counts only if
    it stays within the folder above the XML's. A PDF counts only if the XML names it.
    """
    name = name.strip().replace("\\", "/")
    if (direct := _inside(xml, name)) is not None:
        return direct
    base = PurePosixPath(name).name
    folders = _image_folders(xml)
    if base and PurePosixPath(base).suffix.lower() in _NAMED:
        for folder in folders:
            if _is_file(folder / base):
                return folder / base
    stems = {s.casefold(): None for s in (PurePosixPath(base).stem, stem, xml.stem) if s}
    wanted = [base.casefold(), *(s + suffix for s in stems for suffix in IMAGE_SUFFIXES)]
    rank = {w: i for i, w in reversed(list(enumerate(wanted))) if w.endswith(IMAGE_SUFFIXES)}
    found = [
        (rank[name], place, file)
        for place, folder in enumerate(folders)
        for names in (_names(folder, _changed(folder)),)
        for name in names.keys() & rank.keys()
        for file in names[name]
    ]
    return min(found, key=lambda f: (f[0], f[1], natural_key(f[2])))[2] if found else None


@lru_cache(maxsize=16)
def _names(folder: Path, changed: int) -> dict[str, list[Path]]:
    """The files of a folder by case-folded name; ``changed`` is only there so that a folder that
    was changed is listed anew (a folder of 10,000 pages must not be listed 10,000 times)."""
    names: dict[str, list[Path]] = {}
    for file in list_files(folder) if changed else ():
        names.setdefault(file.name.casefold(), []).append(file)
    return names


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


def _image_folders(xml: Path) -> list[Path]:
    here = xml.parent
    above = here.resolve().parent if here.name in ("", ".", "..") else here.parent
    return [here, above, here / "images", above / "images"]


def _inside(xml: Path, name: str) -> Path | None:
    if not name or PurePosixPath(name).is_absolute() or "/" not in name:
        return None
    above = xml.resolve().parent.parent
    for folder in (xml.parent, xml.parent.parent):
        candidate = folder / name
        try:
            if candidate.is_file() and candidate.resolve().is_relative_to(above):
                return candidate if candidate.suffix.lower() in _NAMED else None
        except (OSError, ValueError, RuntimeError):
            continue
    return None


def _is_file(entry: os.DirEntry[str] | Path) -> bool:
    try:
        return entry.is_file()
    except (OSError, ValueError):  # a loop of links, a name with a NUL
        return False
