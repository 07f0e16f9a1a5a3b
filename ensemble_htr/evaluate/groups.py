"""What is known of the lines of a ground truth beside their text: hand and type."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ensemble_htr.errors import InputError
from ensemble_htr.io.pages import page_format, read_page
from ensemble_htr.io.readings import record_files
from ensemble_htr.types import Page

__all__ = ["Facts", "LineFacts", "facts_of"]

_LOG = logging.getLogger("ensemble_htr")
_MOST = 64 << 20  # bytes of a manifest


@dataclass(frozen=True, slots=True)
class LineFacts:
    hand: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """``lines`` by (page, id); ``pages`` are the XML files by stem, for their pictures."""

    lines: Mapping[tuple[str, str], LineFacts]
    hands: Mapping[str, str]  # by page
    pages: Mapping[str, Path]

    def of(self, page: str, line: str) -> LineFacts:
        return self.lines.get((page, line)) or LineFacts(hand=self.hands.get(page, ""))

    def page(self, stem: str) -> Page | None:
        """The page of that stem, read anew; None if there is no such file."""
        path = self.pages.get(stem)
        return None if path is None else read_page(path)


def facts_of(ground_truth: Path) -> Facts:
    """Types of lines from PAGE and ALTO files, hands from a ``manifest.csv`` beside them (columns
    ``xml`` and ``hand``). Other sources know neither. Raises `InputError` as reading them does."""
    files = record_files(ground_truth) if ground_truth.exists() else []
    lines: dict[tuple[str, str], LineFacts] = {}
    hands: dict[str, str] = {}
    pages: dict[str, Path] = {}
    for folder in dict.fromkeys(file.parent for file in files):
        hands |= _hands(folder / "manifest.csv")
    for file in files:
        if file.suffix.lower() != ".xml" or page_format(file) == "hocr":
            continue
        try:
            page = read_page(file)
        except InputError:
            continue  # said by whoever reads the texts
        pages[page.stem] = file
        hand = hands.get(page.stem, "")
        for line in page.lines:
            lines[page.stem, line.id] = LineFacts(hand, line.kind)
    return Facts(lines, hands, pages)


def _hands(path: Path) -> dict[str, str]:
    if not path.is_file() or path.stat().st_size > _MOST:
        return {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = [
                (PurePosixPath((row.get("xml") or "").replace("\\", "/")).stem, row.get("hand"))
                for row in csv.DictReader(stream)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        _LOG.warning("%s: hands ignored: it cannot be read as CSV (%s)", path, error)
        return {}
    return {stem: hand.strip() for stem, hand in rows if stem and hand and hand.strip()}
