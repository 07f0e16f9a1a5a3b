"""Line images with their text beside them: ``0001.png`` and ``0001.gt.txt`` (kraken, OCRopus,
Calamari, Tesseract's training tools). The line's id is the name before ``.gt.txt``.

Plain text of whole pages has a line in each row; its lines are but numbered (``line-1``)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from ensemble_htr.errors import InputError
from ensemble_htr.io.rows import Record

__all__ = [
    "TEXT_SUFFIXES",
    "line_number",
    "line_stem",
    "numbered_lines",
    "read_line_text",
    "text_beside",
    "text_stem",
]

TEXT_SUFFIXES = (".gt.txt", ".pred.txt")  # a human's, an engine's
_STEPS = (".bin", ".nrm", ".dew", ".raw")  # what an image went through: 0001.bin.png
_MOST = 1 << 20  # bytes
_NUMBERED = "line-"


def text_stem(path: Path) -> str:
    """The line's id that a ``.gt.txt`` or ``.pred.txt`` names; "" for another file."""
    name = path.name
    return next((name[: -len(s)] for s in TEXT_SUFFIXES if name.lower().endswith(s)), "")


def text_beside(image: Path) -> Path | None:
    """The ``.gt.txt`` of a line image, also of one whose name tells a step of its making."""
    for stem in (image.stem, _sans_step(image.stem)):
        path = image.with_name(f"{stem}{TEXT_SUFFIXES[0]}")
        try:
            if path.is_file():
                return path
        except OSError:
            return None
    return None


def line_stem(image: Path, text: Path | None) -> str:
    """The id of the line on an image: that of its text, else the image's own stem."""
    return image.stem if text is None else text_stem(text)


def read_line_text(path: Path) -> str:
    """The text in NFC, its lines joined by spaces; raises `InputError`."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(_MOST + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > _MOST:
        raise InputError(f"{path}: more than {_MOST >> 20} MB for the text of one line")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start + 1} is not UTF-8; save the file as UTF-8"
        ) from None
    return unicodedata.normalize("NFC", " ".join(filter(None, map(str.strip, text.splitlines()))))


def numbered_lines(rows: Iterable[str], page: str, doc: str) -> Iterator[Record]:
    """The rows of a plain text as records called by their numbers from 1, blank ones left out."""
    for number, row in enumerate(rows, 1):
        if text := unicodedata.normalize("NFC", row.strip()):
            yield Record(f"{_NUMBERED}{number}", text, page, doc, numbered=True)


def line_number(name: str) -> int:
    """The number that `numbered_lines` put into an id, 0 for any other."""
    digits = name.removeprefix(_NUMBERED)
    return int(digits) if digits != name and digits.isdecimal() and len(digits) < 10 else 0


def _sans_step(stem: str) -> str:
    return next((stem[: -len(s)] for s in _STEPS if stem.endswith(s)), stem)
