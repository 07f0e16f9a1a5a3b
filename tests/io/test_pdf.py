"""PDFs: pages one at a time, at the resolution of their scan, and whatever they do, one line."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from ensemble_htr.errors import ImageError, MissingDependencyError
from ensemble_htr.io import pdf
from ensemble_htr.io.images import load_page
from ensemble_htr.io.pdf import MAX_PIXELS, page_counts, render_page
from ensemble_htr.types import Page

pytest.importorskip("pypdfium2", reason="reading PDFs needs the extra [pdf]")


def document(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A PDF 1.4 of these objects, the first of which is the catalogue."""
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return data + (
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer<</Size %d/Root 1 0 R%b>>\n"
        b"startxref\n%d\n%%%%EOF" % (len(places) + 1, table, len(places) + 1, trailer, len(data))
    )


def stream(data: bytes, head: bytes = b"", packed: bool = False) -> bytes:
    data = data if packed else zlib.compress(data)
    return b"<<%b/Filter/FlateDecode/Length %d>>stream\n%b\nendstream" % (head, len(data), data)


def picture(width: int, height: int, pixels: bytes) -> bytes:
    head = (
        b"/Type/XObject/Subtype/Image/ColorSpace/DeviceGray/BitsPerComponent 8/Width %d/Height %d"
    )
    return stream(pixels, head % (width, height))


def pages(
    *contents: bytes, box: bytes = b"0 0 595 842", extra: Sequence[bytes] = (), more: bytes = b""
) -> bytes:
    """One page for each content stream; ``extra`` are images I0, I1... of them all."""
    images = b"".join(b"/I%d %d 0 R" % (i, 3 + i) for i in range(len(extra)))
    first = 3 + len(extra)
    kids = b" ".join(b"%d 0 R" % (first + 2 * i) for i in range(len(contents)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%b]/Count %d/MediaBox[%b]>>" % (kids, len(contents), box),
        *extra,
    ]
    for i, content in enumerate(contents):
        place = first + 2 * i + 1
        resources = b"<</XObject<<%b>>>>" % images
        objects.append(
            b"<</Type/Page/Parent 2 0 R/Contents %d 0 R/Resources%b%b>>" % (place, resources, more)
        )
        objects.append(stream(content))
    return document(objects)


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes], Path]:
    def make(data: bytes) -> Path:
        path = tmp_path / "box.pdf"
        path.write_bytes(data)
        return path

    return make


SQUARE = b"72 700 100 100 re f"  # black, its left edge an inch from the page's


def test_a_drawn_page_at_300_dpi(put: Callable[[bytes], Path]) -> None:
    path = put(pages(SQUARE, b""))
    assert page_counts([path]) == [2]
    gray = render_page(path, 0)
    assert gray.shape == (3509, 2480) and gray.dtype == np.uint8
    assert gray[400, 310] == 0 and gray[400, 290] == 255  # 300 px = 1 inch
    assert render_page(path, 1).min() == 255
    with pytest.raises(ImageError, match=r"page 3 of the PDF.*only 2 pages"):
        render_page(path, 2)


def test_a_scan_at_its_own_resolution(put: Callable[[bytes], Path]) -> None:
    rng = np.random.default_rng(0)
    scan = rng.integers(0, 256, (421, 298), dtype=np.uint8)  # about 36 dpi on A4
    image = picture(298, 421, scan.tobytes())
    gray = render_page(put(pages(b"595 0 0 842 0 0 cm /I0 Do", extra=[image])), 0)
    assert abs(gray.shape[0] - 421) <= 1 and abs(gray.shape[1] - 298) <= 1
    small = b"100 0 0 100 0 0 cm /I0 Do"  # a picture on a page is no scan of the page
    assert render_page(put(pages(small, extra=[image])), 0).shape == (3509, 2480)


def test_a_scan_in_strips(put: Callable[[bytes], Path]) -> None:
    strip = picture(600, 212, bytes(600 * 212))
    content = b"".join(b"q 595 0 0 210.5 0 %f cm /I0 Do Q " % (210.5 * i) for i in range(4))
    gray = render_page(put(pages(content, extra=[strip])), 0)
    assert abs(gray.shape[1] - 600) <= 3 and gray.max() < 128


def test_a_page_lying_on_its_side(put: Callable[[bytes], Path]) -> None:
    gray = render_page(put(pages(SQUARE, more=b"/Rotate 90")), 0)
    assert gray.shape == (2480, 3509)


def test_a_page_of_a_kilometre_is_scaled(put: Callable[[bytes], Path]) -> None:
    assert render_page(put(pages(b"", box=b"0 0 99999 99999")), 0).size <= MAX_PIXELS


def bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()


BAD = [
    (b"", "no PDF, or damaged"),
    (b"\x00\xff" * 5_000_000, "no PDF, or damaged"),
    (pages(SQUARE)[:200], "no PDF, or damaged"),
    (b"%PDF-1.7\n%%EOF", "no PDF, or damaged"),
]


@pytest.mark.parametrize(("data", "reason"), BAD)
def test_what_is_no_pdf_is_one_line(put: Callable[[bytes], Path], data: bytes, reason: str) -> None:
    path = put(data)
    [count] = page_counts([path])
    with pytest.raises(ImageError) as caught:
        render_page(path, 0)
    for error in (count, caught.value):
        assert "box.pdf" in str(error) and reason in str(error) and "\n" not in str(error)


def test_encrypted(put: Callable[[bytes], Path]) -> None:
    lock = b"<</Filter/Standard/V 1/R 2/O<%b>/U<%b>/P -4>>" % (b"41" * 32, b"42" * 32)
    data = document(
        [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>", lock],
        b"/Encrypt 3 0 R/ID[<00><00>]",
    )
    [error] = page_counts([put(data)])
    assert isinstance(error, ImageError) and "encrypted and wants a password" in str(error)


def test_no_pages_and_too_many(
    put: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    [none] = page_counts([put(pages())])
    assert isinstance(none, ImageError) and "it has no pages" in str(none)
    monkeypatch.setattr(pdf, "MAX_PAGES", 2)
    [many] = page_counts([put(pages(b"", b"", b""))])
    assert isinstance(many, ImageError) and "has 3 pages, at most 2" in str(many)


def test_a_picture_of_900_megapixels(put: Callable[[bytes], Path]) -> None:
    path = put(pages(b"595 0 0 842 0 0 cm /I0 Do", extra=[picture(30_000, 30_000, b"")]))
    with pytest.raises(ImageError, match="picture of 30000x30000 pixels, more than 300"):
        render_page(path, 0)


def test_a_stream_that_unfolds_beyond_the_bound(
    put: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("resource", reason="no bounds on memory here")
    monkeypatch.setattr(pdf, "_MEMORY", 300 << 20)
    data = document([
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1/MediaBox[0 0 9 9]>>",
        b"<</Type/Page/Parent 2 0 R/Contents 4 0 R>>",
        stream(bomb(400), packed=True),
    ])  # fmt: skip
    assert len(data) < 500_000
    with pytest.raises(ImageError, match="asks for too much memory"):
        render_page(put(data), 0)


def test_a_page_that_draws_for_hours(
    put: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf, "_SECONDS", -0.999)
    with pytest.raises(ImageError, match="needed more than"):
        render_page(put(pages(SQUARE)), 0)


def test_a_bad_file_among_good_ones(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.pdf" for i in range(4)]
    for i, path in enumerate(paths):
        path.write_bytes(b"junk" if i == 1 else pages(*[b""] * (i + 1)))
    counts = page_counts(paths)
    assert [c if isinstance(c, int) else "bad" for c in counts] == [1, "bad", 3, 4]


def test_load_page_takes_the_frame(put: Callable[[bytes], Path]) -> None:
    path = put(pages(b"", SQUARE))
    page, pixels = load_page(Page("box__p002", (), image=path, frame=1))
    assert pixels.min() == 0 and (page.width, page.height) == (2480, 3509)


def test_without_the_library(put: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"ensemble-htr\[pdf\]"):
        page_counts([put(pages(b""))])
