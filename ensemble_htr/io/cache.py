"""Cut lines kept from one run to the next: a file a page, lossless, named by what made it.

A file is the magic, sha256 of the rest, the length of a JSON head, the head (page size; id,
geometry and image shape of every line) and the images' rows, deflated. The name is a hash of all
that decides the content, so an entry is never stale, only missing; what is damaged or foreign
counts as missing, with a notice. Files are written whole to a temporary name and renamed, and two
workers that make the same entry write the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ensemble_htr.errors import InputError, OutputError
from ensemble_htr.files import atomic_write
from ensemble_htr.types import Line, Page, Point

__all__ = ["LineCache"]

_MAGIC = b"EHTRLINES1\n"
_SUFFIX = ".lines"
_MOST = 1 << 28  # bytes of pixels, or of a file; a page that needs more is not kept
_TALLEST, _WIDEST = 512, 1 << 14  # px of a line's image
_DAMAGE = (OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError, zlib.error)
_LOG = logging.getLogger("ensemble_htr")

Cut = tuple[Page, list[Line]]


@dataclass(slots=True)
class LineCache:
    """Entries in ``folder`` (made if missing; raises `OutputError`). ``seed`` is what all pages
    have in common: version and options. ``hits`` and ``misses`` count this object's pages."""

    folder: Path
    seed: str
    hits: int = 0
    misses: int = 0
    _writable: bool = True

    def __post_init__(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self.folder}: cannot be a folder for cut lines: {error.strerror}; "
                "choose another --cache"
            ) from None

    def cut(self, page: Page, make: Callable[[Page], Cut]) -> Cut:
        """The page in its image's pixels and its cut lines: as ``make`` makes them, or as an
        earlier call kept them. Raises what ``make`` raises."""
        if page.image is None:
            return make(page)
        path = self.folder / (self.name(page) + _SUFFIX)
        if (found := self._kept(path, page)) is not None:
            self.hits += 1
            return found
        self.misses += 1
        made = make(page)
        if self._writable and (data := _encode(*made)) is not None:
            try:
                atomic_write(path, data)
            except OutputError as error:
                self._writable = False
                _LOG.warning("%s (going on without keeping cut lines)", error)
        return made

    def name(self, page: Page) -> str:
        """sha256 over the seed, the bytes of the page's image and its geometry.

        Raises `InputError` for an image that cannot be read.
        """
        assert page.image is not None
        shapes = [[x.id, x.kind, x.baseline, x.polygon] for x in page.lines]
        facts = [self.seed, page.stem, page.frame, page.format, page.width, page.height, shapes]
        digest = hashlib.sha256(json.dumps(facts).encode())
        try:
            with open(page.image, "rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise InputError(f"{page.image}: cannot be read: {error.strerror}") from None
        return digest.hexdigest()

    def _kept(self, path: Path, page: Page) -> Cut | None:
        try:
            if path.stat().st_size > _MOST + (1 << 24):
                raise ValueError("it is too large")
            return _decode(path.read_bytes(), page)
        except FileNotFoundError:
            return None
        except _DAMAGE as error:
            reason = " ".join(str(error).split())
            _LOG.warning("%s: kept lines are damaged (%s) and are cut again", path, reason)
            return None


def _encode(page: Page, lines: Sequence[Line]) -> bytes | None:
    """An entry's bytes; None where the page cannot or need not be kept."""
    images = [line.image for line in lines if line.image is not None]
    if len(images) < len(lines) or sum(image.size for image in images) > _MOST:
        return None
    rows = [
        [line.id, line.kind, line.baseline, line.polygon, *image.shape]
        for line, image in zip(lines, images, strict=True)
    ]
    head = json.dumps({"page": [page.width, page.height], "lines": rows}).encode()
    deflate = zlib.compressobj(1)
    pixels = b"".join(deflate.compress(image.tobytes()) for image in images)
    rest = len(head).to_bytes(8, "little") + head + pixels + deflate.flush()
    return _MAGIC + hashlib.sha256(rest).digest() + rest


def _decode(data: bytes, page: Page) -> Cut:
    """The entry as it was put; raises `ValueError` and its like for anything else."""
    start = len(_MAGIC) + 32
    rest = memoryview(data)[start:]
    if not data.startswith(_MAGIC) or hashlib.sha256(rest).digest() != data[len(_MAGIC) : start]:
        raise ValueError("its checksum does not fit")
    stop = 8 + int.from_bytes(rest[:8], "little")
    head = json.loads(bytes(rest[8:stop]))
    shapes = [(int(row[4]), int(row[5])) for row in head["lines"]]
    total = sum(height * width for height, width in shapes)
    if total > _MOST or any(not 0 < h <= _TALLEST or not 0 < w <= _WIDEST for h, w in shapes):
        raise ValueError("its images are too large or empty")
    inflate = zlib.decompressobj()
    pixels = np.frombuffer(inflate.decompress(rest[stop:], max(total, 1)), np.uint8)
    if len(pixels) != total:
        raise ValueError("its images end too early")
    width, height = (int(side) for side in head["page"])
    return _restored(page, width, height, head["lines"], pixels)


def _restored(page: Page, width: int, height: int, rows: Any, pixels: Any) -> Cut:
    """Page and lines from an entry's head; texts and all else are those of ``page``."""
    same = [line.id for line in page.lines] == [row[0] for row in rows]
    lines, at = [], 0
    for i, (name, kind, baseline, polygon, high, wide) in enumerate(rows):
        image = np.array(pixels[at : at + high * wide]).reshape(high, wide)
        at += high * wide
        base = page.lines[i] if same else Line(id=str(name), kind=str(kind))
        line = replace(base, baseline=_points(baseline), polygon=_points(polygon), image=image)
        lines.append(line)
    bare = tuple(replace(line, image=None) for line in lines)
    return replace(page, width=width, height=height, lines=bare), lines


def _points(points: Any) -> tuple[Point, ...]:
    found = tuple((float(x), float(y)) for x, y in points)
    if not all(math.isfinite(value) for point in found for value in point):
        raise ValueError("its geometry holds what is no number")
    return found
