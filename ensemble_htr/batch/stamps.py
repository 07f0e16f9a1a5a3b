"""When a page is the same as before: by content (fingerprints) and at a glance (stamps).

A fingerprint hashes all that decides a page's output. A stamp holds size, time and inode of the
files instead: where it is unchanged the content is taken to be unchanged, as make and git do it,
and nothing is read. Files younger than `_RACY` seconds are not to be trusted yet, since they could
change once more within one tick of the file system's clock.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from ensemble_htr import __version__
from ensemble_htr.batch.run import RunOptions
from ensemble_htr.errors import InputError
from ensemble_htr.io.documents import document_of
from ensemble_htr.io.sources import PageSource
from ensemble_htr.types import Page

__all__ = ["fingerprint", "seed_of", "settled", "stamp", "stamp_of", "unchanged"]

_RACY = 2.0  # seconds; the coarsest clock of a file system in use (FAT)


def seed_of(models: str, options: RunOptions, *more: object) -> str:
    """What decides the output files of every page alike: ``models`` is the pipeline's
    fingerprint."""
    formats = ",".join(options.formats or ("default",))
    facts = "\0".join(map(str, (__version__, models, formats, options.write, *more)))
    return hashlib.sha256(facts.encode("utf-8", "surrogateescape")).hexdigest()


def fingerprint(seed: str, page: Page, *more: str) -> str:
    """sha256 over ``seed``, the bytes of the page's XML and image, its document and ``more``.

    An image of one line is another page than the same image of lines that nobody has marked.
    Raises `InputError` for a file that cannot be read; an image that is missing counts as empty.
    """
    parts = [seed, page.stem, page.doc, str(page.frame), *more]
    parts += ["line"] if page.format == "image" and page.lines else []
    for path in (page.source, page.image):
        try:
            parts.append("" if path is None else _digest(*_seen(path)))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def stamp_of(seed: str, source: PageSource, image: Path | None) -> str:
    """The stamp of a page that is made of ``source`` and ``image`` ("" = it cannot be taken)."""
    values = [getattr(source, field.name) for field in dataclasses.fields(source)]
    told = repr([value for value in values if not isinstance(value, Path)])
    files = [source.path] if image in (None, source.path) else [source.path, image]
    return stamp(files, seed, told, document_of(source.path))


def stamp(files: Iterable[Path | None], *facts: str) -> str:
    """A stamp of any files, with what else decides; "" if one of them is not there."""
    try:
        seen = [_seen(path) for path in files if path is not None]
    except OSError:
        return ""
    return json.dumps([*facts, seen])


def settled(stamp: str) -> str:
    """``stamp`` if its files have been at rest for long enough to trust it, else ""."""
    if not stamp:
        return ""
    latest = max((entry[2] for entry in json.loads(stamp)[-1]), default=0)
    return stamp if latest < (time.time() - _RACY) * 1e9 else ""


def unchanged(old: str, seed: str, source: PageSource) -> bool:
    """Whether the page still has the stamp that it had."""
    try:
        files: Sequence[Sequence[str]] = json.loads(old)[-1] if old else ()
        image = Path(files[-1][0]) if files else None
    except (ValueError, LookupError, TypeError):
        return False  # of another version
    return bool(files) and old == stamp_of(seed, source, image)


@functools.lru_cache(maxsize=4)
def _digest(path: str, *seen: int) -> str:
    """sha256 of a file that is as it was ``seen``: all pages of a PDF have it in common."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _seen(path: Path) -> tuple[str, int, int, int]:
    status = os.stat(path)
    return str(path), status.st_size, status.st_mtime_ns, status.st_ino
