"""From what a user names on the command line to the list of pages that it means."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ensemble_htr.errors import ImageError, InputError, UsageError, XMLError, did_you_mean
from ensemble_htr.io.finding import frame_stem, list_files, natural_key, page_stem
from ensemble_htr.io.folders import DEEPEST, Found, descend, page_files, pages_in, subfolders
from ensemble_htr.io.images import IMAGE_SUFFIXES, TIFF_SUFFIXES, image_frames, image_size
from ensemble_htr.io.linetexts import line_stem, text_beside
from ensemble_htr.io.pages import (
    HOCR_SUFFIXES,
    hocr_stem,
    page_count,
    read_image_page,
    read_page,
    read_whole_page,
)
from ensemble_htr.io.pdf import is_pdf, page_counts
from ensemble_htr.types import Page

__all__ = ["ImagesAre", "PageSource", "find_pages", "images_argument", "require_distinct_stems"]

_LOG = logging.getLogger("ensemble_htr")
_LONG, _LOW = 4.0, 128  # an image so many times wider than high, or of so few rows, is a line
_HIGH, _NARROW = 600, 2.0  # one with more rows and less than so many times wider is a page

ImagesAre = Literal["auto", "lines", "pages"]


@dataclass(frozen=True, slots=True)
class PageSource:
    """One page that was found but not yet read: of a PAGE, ALTO or hOCR file, or an image.

    ``part`` (from 0) is the page's place in a file that holds several: an hOCR file, a PDF, a TIFF.
    ``whole`` tells the image of a page, whose lines nobody has marked, from that of one line.
    """

    stem: str
    xml: Path | None = None
    image: Path | None = None
    format: str = ""  # "page", "alto", "hocr", "image"; "" where the XML could not be looked into
    part: int = 0
    whole: bool = False

    def __post_init__(self) -> None:
        if (self.xml is None) == (self.image is None):
            raise ValueError("a page source is an XML file or an image, not both")

    @property
    def path(self) -> Path:
        return self.xml or self.image or Path()

    @property
    def is_line(self) -> bool:
        """Whether this is an image of one line."""
        return self.xml is None and not self.whole

    def read(self) -> Page:
        """Read the page; raises `XMLError`, `ImageError` or `InputError`."""
        if self.xml is not None:
            return read_page(self.xml, self.part)
        if self.whole:
            return read_whole_page(self.path, self.stem, self.part)
        return read_image_page(self.path, self.stem)


def find_pages(
    inputs: Sequence[Path],
    on_error: Callable[[InputError], None] | None = None,
    images: ImagesAre = "auto",
    out: Path | None = None,
) -> list[PageSource]:
    """The pages that ``inputs`` mean, in the order given, natural order within a folder.

    An input is a PAGE, ALTO or hOCR file, an image with such a file of the same stem (beside it or
    in ``page/``, ``alto/``), a bare image, a PDF, or a folder: `ensemble_htr.io.folders` knows its
    layouts. A folder that has any page file is read by these, its bare images and PDFs are passed
    over with a notice (unless ``images`` says what they are). METS and other metadata are skipped
    with a notice; a page named twice is taken once. Of a folder's own folders ``out`` is left out:
    what a run writes is not what the next one reads.

    The pages of a PDF and the frames of a TIFF that has several are whole pages, ``STEM__p001`` and
    so on. A bare image (``images`` "auto") is a line if a ``.gt.txt`` lies beside it, if it is at
    least 4 times wider than high or at most 128 pixels high; a page if it is over 600 pixels high
    and less than 2 times wider than high; between these it is what most of the others in its folder
    are, and a page if there are none. One notice says how each folder's were taken.

    Raises `InputError` for an input that does not exist, an empty folder or another kind of file;
    with ``on_error`` the error is handed over instead and the other inputs go on. Raises
    `MissingDependencyError` if there is a PDF and nothing to read it.
    """
    found: dict[tuple[Path, int], PageSource | Path] = {}
    for path in inputs:
        try:
            for each in _sources(path, images, out):
                place = each if isinstance(each, Path) else each.path
                part = 0 if isinstance(each, Path) else each.part
                found.setdefault((_identity(place), part), each)
        except InputError as error:
            if on_error is None:
                raise
            on_error(error)
    bare = [each for each in found.values() if isinstance(each, Path)]
    known = _bare_sources(bare, images)
    return [s for e in found.values() for s in (known[e] if isinstance(e, Path) else [e])]


def images_argument(value: str) -> ImagesAre:
    """``auto``, ``lines`` or ``pages``; raises `UsageError`."""
    if value not in get_args(ImagesAre):
        raise UsageError(f"--images '{value}'{did_you_mean(value, get_args(ImagesAre))}")
    return value  # type: ignore[return-value]


def require_distinct_stems(sources: Iterable[PageSource]) -> None:
    """Raise `InputError` if two pages would write the same output files."""
    seen: dict[str, PageSource] = {}
    for source in sources:
        other = seen.setdefault(source.stem.casefold(), source)
        if (other.path, other.part) != (source.path, source.part):
            raise InputError(
                f"two pages are called '{source.stem}': {other.path} and {source.path}; "
                "their results would overwrite each other: read them in two runs"
            )


def _sources(path: Path, images: ImagesAre, out: Path | None) -> list[PageSource | Path]:
    """Pages, and paths of bare images and PDFs, which are looked at together later."""
    if path.is_dir():
        return _folder(path, images, out)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file or folder")
    suffix = path.suffix.lower()
    if suffix == ".xml" or suffix in HOCR_SUFFIXES:
        if pages := list(_of_files(page_files([path]))):
            return [*pages]
        if suffix == ".xml":
            return []  # metadata, said
    if suffix in IMAGE_SUFFIXES:
        return [*_of_image(path, out)]
    if is_pdf(path):
        return [path]
    raise InputError(
        f"{path}: neither PAGE, ALTO or hOCR nor a PDF or an image "
        f"({', '.join(IMAGE_SUFFIXES)}) nor a folder"
    )


def _folder(folder: Path, images: ImagesAre, out: Path | None) -> list[PageSource | Path]:
    if found := _below(folder, images, out):
        return found
    raise InputError(
        f"{folder}: no pages in this folder ({len(list_files(folder))} other files); wanted PAGE, "
        "ALTO or hOCR with its images, images of pages or lines, or PDFs"
    )


def _below(
    folder: Path, images: ImagesAre, out: Path | None, level: int = 0
) -> list[PageSource | Path]:
    found = _one_folder(folder, images, out)
    if found or level == DEEPEST:
        return found
    return [e for below in descend(folder, out) for e in _below(below, images, out, level + 1)]


def _one_folder(folder: Path, images: ImagesAre, out: Path | None) -> list[PageSource | Path]:
    pages = sorted(_of_files(pages_in(folder, out=out)), key=lambda s: natural_key(s.path.name))
    stems = {page_stem(s.path, s.format).casefold() for s in pages}
    bare = [
        f
        for f in list_files(folder)
        if (f.suffix.lower() in IMAGE_SUFFIXES or is_pdf(f)) and f.stem.casefold() not in stems
    ]
    if pages and bare and images == "auto":
        _LOG.warning(
            "%s: %d images have no XML of the same name (the first: %s) and are passed over; "
            "--images pages reads them too",
            folder,
            len(bare),
            bare[0].name,
        )
        return [*pages]
    return [*pages, *bare]


def _of_files(files: Iterable[Found]) -> Iterator[PageSource]:
    for file, kind in files:
        try:
            count = page_count(file, kind)
        except XMLError:
            count = 1  # said, in full, when it is read
        for part in range(count):
            stem = hocr_stem(file, part, count) if kind == "hocr" else page_stem(file, kind)
            yield PageSource(stem, xml=file, format=kind, part=part)


def _of_image(image: Path, out: Path | None) -> Sequence[PageSource | Path]:
    """The page of an image: the XML of the same stem beside it or in a subfolder, else itself."""
    endings = (".xml", ".page.xml", ".alto.xml", *HOCR_SUFFIXES)
    for folder in (image.parent, *subfolders(image.parent, out)):
        files = [f for e in endings if (f := folder / f"{image.stem}{e}").is_file()]
        if pages := list(_of_files(page_files(files)))[:1]:
            return pages
    return [image]


# ---- bare images ---------------------------------------------------------------------------


def _bare_sources(paths: Sequence[Path], images: ImagesAre) -> dict[Path, list[PageSource]]:
    """What each bare image or PDF is, looked at folder by folder."""
    pdfs = [path for path in paths if is_pdf(path)]
    counts = page_counts(pdfs) if pdfs else []
    known = {path: _pdf_pages(path, n) for path, n in zip(pdfs, counts, strict=True)}
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        if path not in known:
            folders.setdefault(path.parent, []).append(path)
    for folder, files in folders.items():
        known |= _bare_folder(folder, files, images)
    return known


def _pdf_pages(path: Path, count: int | ImageError) -> list[PageSource]:
    if isinstance(count, ImageError):  # said, in full, when it is read
        return [PageSource(path.stem, image=path, format="image", whole=True)]
    return [
        PageSource(frame_stem(path.stem, i + 1, count), None, path, "image", i, whole=True)
        for i in range(count)
    ]


def _bare_folder(
    folder: Path, files: Sequence[Path], images: ImagesAre
) -> dict[Path, list[PageSource]]:
    frames = {file: _frames(file) for file in files}
    single = [file for file in files if len(frames[file]) == 1]
    texts = {file: text_beside(file) for file in single}
    looks = {file: _looks(file, texts[file] is not None, images) for file in single}
    count = Counter(looks.values())
    usual = "line" if count["line"] > count["page"] else "page"
    lines = [file for file in single if (looks[file] or usual) == "line"]
    if images == "auto" and single and not all(texts.values()):
        _LOG.warning(
            "%s: of the images without XML %d were taken for single lines, %d for whole pages "
            "(--images lines or --images pages decides otherwise)",
            folder,
            len(lines),
            len(single) - len(lines),
        )
    stems: set[str] = set()
    chosen = set(lines)
    sources: dict[Path, list[PageSource]] = {}
    for file in files:
        stem = line_stem(file, texts[file]) if file in chosen else file.stem
        stem = file.name if stem.casefold() in stems else stem
        stems.add(stem.casefold())
        pages = frames[file]
        if len(pages) == 1:
            sources[file] = [
                PageSource(stem, None, file, "image", pages[0], whole=file not in chosen)
            ]
        else:
            sources[file] = [
                PageSource(frame_stem(stem, i + 1, len(pages)), None, file, "image", f, whole=True)
                for i, f in enumerate(pages)
            ]
    return sources


def _frames(file: Path) -> tuple[int, ...]:
    if file.suffix.lower() not in TIFF_SUFFIXES:
        return (0,)
    try:
        return image_frames(file)
    except ImageError:
        return (0,)  # said, in full, when it is read


def _looks(file: Path, has_text: bool, images: ImagesAre) -> str:
    """What the image is by its looks: "line", "page", or "" if it could be either."""
    if images != "auto":
        return images.removesuffix("s")
    if has_text:
        return "line"
    try:
        width, height = image_size(file)
    except ImageError:
        return ""
    if width >= _LONG * height or height <= _LOW:
        return "line"
    return "page" if height > _HIGH and width < _NARROW * height else ""


def _identity(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a loop of links
        return path.absolute()
