"""Line images with their text beside them: ``0001.png`` and ``0001.gt.txt`` (kraken, OCRopus,
Calamari, Tesseract's training tools). The line's id is the name before ``.gt.txt``."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from ensemble_htr.errors import InputError

__all__ = ["TEXT_SUFFIXES", "line_stem", "read_line_text", "text_beside", "text_stem"]

TEXT_SUFFIXES = (".gt.txt", ".pred.txt")  # a human's, an engine's
_STEPS = (".bin", ".nrm", ".dew", ".raw")  # what an image went through: 0001.bin.png
_MOST = 1 << 20  # bytes


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


def _sans_step(stem: str) -> str:
    return next((stem[: -len(s)] for s in _STEPS if stem.endswith(s)), stem)
