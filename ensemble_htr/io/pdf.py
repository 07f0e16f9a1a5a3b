"""PDF pages as pixels, by PDFium (pypdfium2), one page at a time.

PDFium reads untrusted files in C++, and a PDF of some kilobytes can unfold to gigabytes or draw for
hours. So each call is a process of its own with bounds on memory and time: whatever a file does, it
costs one line, and what PDFium keeps of a document is gone with the process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.errors import ImageError, MissingDependencyError

__all__ = ["MAX_PAGES", "MAX_PIXELS", "is_pdf", "page_counts", "render_page"]

MAX_PAGES = 20_000
MAX_PIXELS = 60_000_000  # of a rendered page: A3 at 600 dpi is 70, at 500 dpi 48
_MAX_IMAGE = 300_000_000  # pixels of a picture in the PDF, as for image files
_MEMORY = 3 << 29  # bytes of address space; PDFium itself may unfold a stream to 1 GiB
_SECONDS = 120.0  # for a page, or to count a file's pages
_CHILD = Path(__file__).with_name("_pdf_child.py")
_TOGETHER = 64  # files that one process counts


def is_pdf(path: Path) -> bool:
    """Whether the file's name says that it is a PDF."""
    return path.suffix.lower() == ".pdf"


def page_counts(paths: Sequence[Path]) -> list[int | ImageError]:
    """The number of pages of each file, or what is wrong with it.

    Raises `MissingDependencyError` without pypdfium2.
    """
    _require()
    counts: list[int | ImageError] = []
    while len(counts) < len(paths):
        batch = paths[len(counts) : len(counts) + _TOGETHER]
        answer, death = _ask(["count", *(_argument(path) for path in batch)])
        rows = [json.loads(row) for row in answer.splitlines()]
        counts += [_count(path, row) for path, row in zip(batch, rows, strict=False)]
        if len(rows) < len(batch):  # it died over this one
            counts.append(ImageError(f"{batch[len(rows)]}: the PDF cannot be read: {death}"))
    return counts


def render_page(path: Path, index: int) -> NDArray[np.uint8]:
    """Page ``index`` (from 0) as gray ``uint8 (H, W)``, 0 = black, 255 = white.

    A scan that fills the page (or strips that do) is rendered at its own resolution, any other page
    at 300 dpi; at most 600 dpi and ``MAX_PIXELS``. Raises `ImageError` for a file that is no PDF,
    damaged, encrypted or too much, `MissingDependencyError` without pypdfium2.
    """
    _require()
    if not path.is_file():
        raise ImageError(f"{path}: the PDF cannot be read: there is no such file")
    answer, death = _ask(["render", _argument(path), str(index), str(_MAX_IMAGE), str(MAX_PIXELS)])
    first, _, data = answer.partition(b"\n")
    head: dict[str, Any] = json.loads(first) if first else {"error": death}
    size = int(head.get("width", 0)) * int(head.get("height", 0))
    if "error" in head or size == 0 or len(data) != size:
        reason = " ".join(str(head.get("error", death)).split())
        raise ImageError(f"{path}: page {index + 1} of the PDF cannot be read: {reason}")
    return np.frombuffer(data, np.uint8).reshape(head["height"], head["width"])


def _count(path: Path, row: dict[str, Any]) -> int | ImageError:
    if "error" in row:
        return ImageError(f"{path}: the PDF cannot be read: {' '.join(row['error'].split())}")
    pages = int(row["pages"])
    if pages < 1:
        return ImageError(f"{path}: the PDF has no pages")
    if pages > MAX_PAGES:
        return ImageError(f"{path}: the PDF has {pages} pages, at most {MAX_PAGES} are read")
    return pages


def _ask(arguments: Sequence[str]) -> tuple[bytes, str]:
    """What the process wrote, and how it ended if that was not well."""
    command = [sys.executable, "-P", str(_CHILD), str(_MEMORY), *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    count = sum(1 for a in arguments[1:] if a) if arguments[0] == "count" else 1
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment,
            timeout=_SECONDS + count, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        return late.stdout or b"", f"PDFium needed more than {_SECONDS:.0f} seconds for it"
    except (OSError, ValueError) as error:
        return b"", str(error)
    if done.returncode:
        return done.stdout, "PDFium failed over it (it asks for too much memory, or is damaged)"
    return done.stdout, "PDFium gave no answer"


def _argument(path: Path) -> str:
    """Never to be taken for an option, nor relative to anything else."""
    return os.path.abspath(path)


def _require() -> None:
    if importlib.util.find_spec("pypdfium2") is None:
        raise MissingDependencyError("pypdfium2", "pdf", "reading PDFs")
