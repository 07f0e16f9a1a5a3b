"""From what a user names on the command line to the list of pages that it means."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ensemble_htr.errors import InputError
from ensemble_htr.io.finding import list_files, natural_key, page_stem
from ensemble_htr.io.images import IMAGE_SUFFIXES
from ensemble_htr.io.pages import FORMAT_OF_ROOT, read_image_page, read_page
from ensemble_htr.io.xml import sniff_root
from ensemble_htr.types import Page

__all__ = ["PageSource", "find_pages", "require_distinct_stems"]

_LOG = logging.getLogger("ensemble_htr")
_METADATA_ROOTS = {"mets", "trpDocMetadata", "metadata", "mods", "record", "dc", "RDF"}
_METADATA_NAMES = {"mets.xml", "metadata.xml"}
_SUBFOLDERS = ("page", "alto")  # Transkribus, eScriptorium and OCR-D exports


@dataclass(frozen=True, slots=True)
class PageSource:
    """One page that was found but not yet read: an XML file, or else one ready-cut line image."""

    stem: str
    xml: Path | None = None
    image: Path | None = None
    format: str = ""  # "page", "alto", "image"; "" where the XML could not be looked into

    def __post_init__(self) -> None:
        if (self.xml is None) == (self.image is None):
            raise ValueError("a page source is an XML file or an image, not both")

    @property
    def path(self) -> Path:
        return self.xml or self.image or Path()

    def read(self) -> Page:
        """Read the page; raises `XMLError` or `ImageError`."""
        if self.xml is not None:
            return read_page(self.xml)
        return read_image_page(self.path, self.stem)


def find_pages(
    inputs: Sequence[Path], on_error: Callable[[InputError], None] | None = None
) -> list[PageSource]:
    """The pages that ``inputs`` mean, in the order given, natural order within a folder.

    An input is an XML file, a page image with an XML of the same stem (beside it or in ``page/``,
    ``alto/``), a ready-cut line image, or a folder of these; of a folder's subfolders only
    ``page/`` and ``alto/`` are looked into, so loops of links do no harm. A folder that has any
    page XML is a folder of pages, else each of its images is one line. METS and other metadata are
    skipped with a notice; a page named twice is taken once.

    Raises `InputError` for an input that does not exist, an empty folder or another kind of file;
    with ``on_error`` the error is handed over instead and the other inputs go on.
    """
    found: dict[Path, PageSource] = {}
    for path in inputs:
        try:
            for source in _sources(path):
                found.setdefault(_identity(source.path), source)
        except InputError as error:
            if on_error is None:
                raise
            on_error(error)
    return list(found.values())


def require_distinct_stems(sources: Iterable[PageSource]) -> None:
    """Raise `InputError` if two pages would write the same output files."""
    seen: dict[str, Path] = {}
    for source in sources:
        other = seen.setdefault(source.stem.casefold(), source.path)
        if other != source.path:
            raise InputError(
                f"two pages are called '{source.stem}': {other} and {source.path}; "
                "their results would overwrite each other: read them in two runs"
            )


def _sources(path: Path) -> list[PageSource]:
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file or folder")
    suffix = path.suffix.lower()
    if suffix == ".xml":
        return list(_xml_sources([path]))
    if suffix in IMAGE_SUFFIXES:
        return [_of_image(path)]
    raise InputError(
        f"{path}: neither PAGE or ALTO XML nor an image ({', '.join(IMAGE_SUFFIXES)}) nor a folder"
    )


def _folder(folder: Path) -> list[PageSource]:
    files = list_files(folder)
    pages: dict[str, PageSource] = {}
    for place in (files, *map(list_files, _subfolders(folder))):
        found = _xml_sources(f for f in place if f.suffix.lower() == ".xml")
        for source in sorted(found, key=lambda s: s.path.stem != s.stem):  # a.xml, then a.alto.xml
            first = pages.setdefault(source.stem.casefold(), source)
            if first is not source:
                _LOG.warning("%s: skipped: the same page as %s", source.path, first.path)
    images = [f for f in files if f.suffix.lower() in IMAGE_SUFFIXES]
    if pages:
        bare = [f for f in images if f.stem.casefold() not in pages]
        if bare:
            _LOG.warning(
                "%s: %d images have no XML of the same name (the first: %s)",
                folder,
                len(bare),
                bare[0].name,
            )
        return sorted(pages.values(), key=lambda s: natural_key(s.path.name))
    if not images:
        raise InputError(
            f"{folder}: no pages in this folder ({len(files)} other files); wanted PAGE or ALTO "
            "XML with its images, here or in page/ or alto/, or images of lines"
        )
    stems: set[str] = set()
    lines = []
    for image in images:
        stem = image.name if image.stem.casefold() in stems else image.stem
        stems.add(stem.casefold())
        lines.append(PageSource(stem, image=image, format="image"))
    return lines


def _xml_sources(files: Iterable[Path]) -> Iterator[PageSource]:
    for file in files:
        root = sniff_root(file)
        if root in _METADATA_ROOTS or (
            root not in FORMAT_OF_ROOT and file.name.lower() in _METADATA_NAMES
        ):
            _LOG.warning("%s: skipped: metadata <%s>, not a page", file, root)
            continue
        kind = FORMAT_OF_ROOT.get(root or "", "")
        yield PageSource(page_stem(file, kind), xml=file, format=kind)


def _of_image(image: Path) -> PageSource:
    """The page of an image: the XML of the same stem beside it or in a subfolder, else a line."""
    for folder in (image.parent, *_subfolders(image.parent)):
        for name in (f"{image.stem}.xml", f"{image.stem}.page.xml", f"{image.stem}.alto.xml"):
            if (folder / name).is_file():
                for source in _xml_sources([folder / name]):
                    return source
    return PageSource(image.stem, image=image, format="image")


def _subfolders(folder: Path) -> list[Path]:
    try:
        named = {f.name.lower(): f for f in sorted(folder.iterdir(), reverse=True) if f.is_dir()}
    except OSError:
        return []
    return [named[name] for name in _SUBFOLDERS if name in named]


def _identity(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a loop of links
        return path.absolute()
