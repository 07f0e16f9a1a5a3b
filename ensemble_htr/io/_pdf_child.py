"""Runs by itself, as a process of its own (see `ensemble_htr.io.pdf`); imports no other part of us.

``LIMIT count PATH...`` prints one JSON row a file: its number of pages, or what is wrong with it.
``LIMIT render PATH INDEX MAX_IMAGE MAX_PIXELS`` prints a JSON row and the page's gray bytes.
LIMIT is the memory that may be asked for, in bytes.
"""

from __future__ import annotations

import json
import sys
from typing import Any

USUAL_DPI = 300.0  # for pages that are drawn or written rather than scanned
MAX_DPI = 600.0
_WHOLE = 0.5  # share of the page that a picture must cover to count as its scan
_STRIPS = 0.7  # the same, for all pictures together
_POINT = 72.0  # points an inch
_REASONS = {  # PDFium's FPDF_GetLastError
    0: "it has no pages",
    2: "it cannot be opened",
    3: "it is no PDF, or damaged or cut short",
    4: "it is encrypted and wants a password",
    5: "its encryption is not known",
}


def main(arguments: list[str]) -> None:
    _limit(int(arguments[0]))
    import pypdfium2  # type: ignore[import-untyped, unused-ignore]

    if arguments[1] == "count":
        for path in arguments[2:]:
            _say(_counted(pypdfium2, path))
        return
    path, index, most_image, most = arguments[2], *map(int, arguments[3:6])
    try:
        head, data = _rendered(pypdfium2, path, index, most_image, most)
    except (RuntimeError, ValueError, OverflowError, OSError, MemoryError) as error:
        _say({"error": _reason(error)})
        return
    _say(head)
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _limit(size: int) -> None:
    try:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (size, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):  # not on Windows
        pass


def _counted(pdfium: Any, path: str) -> dict[str, Any]:
    try:
        with pdfium.PdfDocument(path) as document:
            return {"pages": len(document)}
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        return {"error": _reason(error)}


def _rendered(
    pdfium: Any, path: str, index: int, most_image: int, most: int
) -> tuple[dict[str, Any], bytes]:
    with pdfium.PdfDocument(path) as document:
        if index >= len(document):
            raise ValueError(f"it has only {len(document)} pages")
        page = document[index]
        width, height = (float(side) for side in page.get_size())  # points, turned as /Rotate says
        if not (0.0 < width < 1e6 and 0.0 < height < 1e6):
            raise ValueError(f"its page is {width:g} x {height:g} points large")
        dpi = _resolution(pdfium, page, width * height, most_image)
        scale = min(dpi / _POINT, (most / (width * height)) ** 0.5 * 0.999)
        bitmap = page.render(scale=scale, grayscale=True, fill_color=(255, 255, 255, 255))
        columns, rows, stride = bitmap.width, bitmap.height, bitmap.stride
        view = memoryview(bitmap.buffer).cast("B")
        data = b"".join(view[row * stride : row * stride + columns] for row in range(rows))
        return {"width": columns, "height": rows, "dpi": scale * _POINT}, data


def _resolution(pdfium: Any, page: Any, area: float, most_image: int) -> float:
    """Dots per inch of the scan that the page is, else the usual; refuses huge pictures."""
    pixels, covered, best = 0.0, 0.0, 0.0
    for picture in page.get_objects(filter=[pdfium.raw.FPDF_PAGEOBJ_IMAGE], max_depth=8):
        wide, high = picture.get_px_size()
        if wide * high > most_image:
            raise ValueError(
                f"it holds a picture of {wide}x{high} pixels, more than "
                f"{most_image // 1_000_000} megapixels are not read"
            )
        left, bottom, right, top = picture.get_bounds()
        inside = max(0.0, right - left) * max(0.0, top - bottom)
        if inside > 0.0 and wide * high > 0:
            pixels, covered = pixels + wide * high, covered + inside
            if inside >= _WHOLE * area:
                best = max(best, (wide * high / inside) ** 0.5 * _POINT)
    if not best and covered >= _STRIPS * area:
        best = (pixels / covered) ** 0.5 * _POINT
    return min(best or USUAL_DPI, MAX_DPI)


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "it asks for too much memory"
    return _REASONS.get(getattr(error, "err_code", -1)) or str(error) or "it is damaged"


def _say(row: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(row).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
