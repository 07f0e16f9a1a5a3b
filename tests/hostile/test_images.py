"""Images and PDFs that claim much, hold little, or are something else."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from .conftest import Verdict, draw, good_page, page_xml

Transcribe = Callable[..., Verdict]
ROOT = Path(__file__).resolve().parents[2]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(more) + body + chunk(b"IEND", b"")


def saved(kind: str) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((200, 40), 90).save(file, kind)
    return file.getvalue()


def jpeg(width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    data = saved("JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def tiff(width: int, height: int, next_page: int = 0) -> bytes:
    """An uncompressed gray TIFF of one strip, the next page where it is said to be."""
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1),
               (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, 100)]  # fmt: skip
    tags = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    tail = struct.pack("<I", next_page)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + tags + tail


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bad.png", bytes(32 << 20))
    return file.getvalue()


BOMB = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(16 << 20)))
PROFILE = chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(16 << 20)))
HOSTILE: dict[str, tuple[bytes, str]] = {
    "900 megapixels of PNG": (png(30_000, 30_000), "megapixels"),
    "4 billion columns": (png(2**31 - 1, 1), ""),
    "4 gigapixels of JPEG": (jpeg(65_500, 65_500), "megapixels"),
    "900 megapixels of TIFF": (tiff(30_000, 30_000), "megapixels"),
    "100 megapixels of nothing": (png(10_000, 10_000), "truncated"),
    "no columns": (png(0, 40), ""),
    "a comment that unfolds": (png(200, 40, BOMB), ""),
    "a colour profile that unfolds": (png(200, 40, PROFILE), ""),
    "a zip": (zipped(), "not an image"),
    "empty": (b"", "empty"),
    "a signature": (b"\x89PNG\r\n\x1a\n", "not an image"),
    "half a PNG": (saved("PNG")[:2000], "truncated"),
    "half a JPEG": (saved("JPEG")[:2000], "truncated"),
    "text": (b"no image at all\n" * 99, "not an image"),
    "a GIF": (saved("GIF"), "not an image"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n", "not an image"),
    "a drawing": (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/x"/></svg>', "not an"),
    "TIFF without its strip": (tiff(200, 40), ""),
}


FILES = {case: f"x{i:02}" for i, case in enumerate(HOSTILE)}


@pytest.fixture(scope="module")
def crowd(transcribe: Transcribe, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    folder = good_page(tmp_path_factory.mktemp("images"))
    for case, stem in FILES.items():
        (folder / f"{stem}.xml").write_text(page_xml(stem), encoding="utf-8")
        (folder / f"{stem}.png").write_bytes(HOSTILE[case][0])
    return transcribe(folder)


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_images_are_one_line(case: str, crowd: Verdict) -> None:
    crowd.complaint(f"{FILES[case]}.png", HOSTILE[case][1])
    assert crowd.seconds < 40 and crowd.written == {"good"}


def test_hostile_line_images_are_one_line(tmp_path: Path, transcribe: Transcribe) -> None:
    draw(tmp_path / "good.png")
    cases = ("900 megapixels of PNG", "half a PNG", "empty", "a zip", "no columns")
    for i, case in enumerate(cases):
        (tmp_path / f"bad{i}.png").write_bytes(HOSTILE[case][0])
    found = transcribe(tmp_path, out=tmp_path / "out", options=("--images", "lines"))
    for i, _ in enumerate(cases):
        found.complaint(f"bad{i}.png")


def test_a_tiff_whose_pages_go_round_in_a_circle(tmp_path: Path, transcribe: Transcribe) -> None:
    folder = good_page(tmp_path / "pages")
    (folder / "bad.tif").write_bytes(tiff(2, 2, next_page=8))
    found = transcribe(folder / "good.xml", folder / "bad.tif")
    assert found.seconds < 20 and len(found.complaints) <= 1 and "good" in found.written


_MEASURE = """
import resource, sys
from ensemble_htr.cli.main import main
def peak(folder, out):
    try:
        main(["transcribe", folder, "-o", out, "--format", "txt", "--model", "tiny", "--no-lm",
              "--jobs", "1"])
    except SystemExit as end:
        return end.code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(one, before), (two, after) = peak(sys.argv[1], sys.argv[3]), peak(sys.argv[2], sys.argv[4])
print(one, two, (after - before) // 1024)
"""


@pytest.mark.slow
def test_900_megapixels_add_less_than_50_mb(tiny_home: Path, tmp_path: Path) -> None:
    """Refused from the header: the peak of a process that has read a good page hardly rises."""
    alone, both = good_page(tmp_path / "alone"), good_page(tmp_path / "both")
    for stem, data in {"a": png(30_000, 30_000), "b": jpeg(30_000, 30_000)}.items():
        (both / f"{stem}.xml").write_text(page_xml(stem), encoding="utf-8")
        (both / f"{stem}.png").write_bytes(data)
    words = [alone, both, tmp_path / "out1", tmp_path / "out2"]
    environment = {**os.environ, "ENSEMBLE_HTR_HOME": str(tiny_home)}
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *map(str, words)], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    one, two, megabytes = map(int, done.stdout.split())
    assert (one, two) == (0, 1), done.stderr
    assert done.stderr.count("megapixels") >= 2 and (tmp_path / "out2" / "good.txt").exists()
    assert megabytes < 50


def pdf(*objects: bytes) -> bytes:
    """A PDF of these objects, the first its catalogue, with a table of their places."""
    data, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return data + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\n"
        b"startxref\n%d\n%%%%EOF" % (size, table, size, len(data))
    )


def stream(body: bytes, head: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (head, len(body), body)


def one_page(content: bytes, box: bytes = b"0 0 300 100", more: bytes = b"") -> bytes:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents 4 0 R%s>>" % (box, more)
    return pdf(
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>", page, content
    )


def unfolding() -> bytes:
    """A content stream that is packed twice and unfolds to 4 GB."""
    packed = zlib.compress(zlib.compress(b" " * (64 << 20)) * 60, 9)
    return one_page(stream(packed, b"/Filter[/FlateDecode/FlateDecode]"))


PDFS: dict[str, bytes] = {
    "cut": one_page(stream(b"0 0 m"))[:150],
    "a zip": zipped(),
    "empty": b"",
    "no pages": pdf(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>"),
    "2 billion pages": pdf(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 2000000000>>"),
    "pages that hold themselves": pdf(
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R]/Count 1>>"
    ),
}


@pytest.fixture(scope="module")
def pdfs(transcribe: Transcribe, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    pytest.importorskip("pypdfium2", reason="reading PDFs needs the extra [pdf]")
    folder = good_page(tmp_path_factory.mktemp("pdfs"))
    for i, data in enumerate(PDFS.values()):
        (folder / f"d{i}.pdf").write_bytes(data)
    return transcribe(folder / "good.xml", *sorted(folder.glob("*.pdf")))


@pytest.mark.parametrize("case", PDFS)
def test_hostile_pdfs_are_one_line(case: str, pdfs: Verdict) -> None:
    pdfs.complaint(f"d{list(PDFS).index(case)}.pdf")


@pytest.mark.parametrize("data", [unfolding(), one_page(stream(b""), b"0 0 9e9 9e9")])
def test_a_pdf_bomb_is_bounded(data: bytes, tmp_path: Path, transcribe: Transcribe) -> None:
    pytest.importorskip("pypdfium2", reason="reading PDFs needs the extra [pdf]")
    folder = good_page(tmp_path / "pages")
    (folder / "bad.pdf").write_bytes(data)
    begun = time.monotonic()
    found = transcribe(folder / "good.xml", folder / "bad.pdf")
    assert time.monotonic() - begun < 60
    assert len(found.complaints) <= 1 and "good" in found.written
