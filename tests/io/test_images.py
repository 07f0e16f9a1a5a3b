"""Images: the size before the pixels, one line for a bad file, geometry scaled to the image."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ensemble_htr.errors import ImageError
from ensemble_htr.io.images import image_size, load_page, read_image, rescale_page
from ensemble_htr.types import Line, Page

Maker = Callable[..., Path]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp", "a.JPEG", "a.TIFF"])
def test_every_kind_is_read(picture: Maker, name: str) -> None:
    path = picture(name, 64, 32)
    assert image_size(path) == (64, 32)
    gray = read_image(path)
    assert gray.shape == (32, 64) and gray.dtype == np.uint8 and gray.flags.c_contiguous
    assert gray[0, 0] < 20 and gray[0, -1] > 235


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_becomes_gray(tmp_path: Path, mode: str) -> None:
    gray = np.zeros((8, 8), dtype=np.uint8)
    gray[:, 4:] = 255
    if mode in ("I;16", "I"):
        image = Image.fromarray(gray.astype(np.uint16) * 257)
        image = image if mode == "I;16" else image.convert("I")
    else:
        image = Image.fromarray(gray).convert(mode)
    image.save(tmp_path / "a.tif")
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - gray).max() <= 1


def test_transparency_is_paper(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").min() == 255


def _png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(chunk))
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + chunk
        + crc
        + b"\x00\x00\x00\x00IEND\xaeB`\x82"
    )


def test_a_small_file_that_claims_900_megapixels(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_png_header(30_000, 30_000))
    for function in (image_size, read_image):
        with pytest.raises(ImageError, match="30000x30000 pixels, more than 300 megapixels"):
            function(path)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_truncated_images_are_one_line(tmp_path: Path, kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 80), dtype=np.uint8)
    path = tmp_path / f"a.{kind}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ImageError, match=f"a.{kind}") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


@given(st.binary(min_size=1, max_size=40))
def test_garbage_is_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n"[: len(data) % 9] + data)
    with pytest.raises(ImageError):
        read_image(path)


def test_missing_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        image_size(tmp_path / "none.png")
    with pytest.raises(ImageError, match="no image was found"):
        load_page(Page("p", (), source=tmp_path / "p.xml"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed_where_coordinates_allow(
    tmp_path: Path, orientation: int
) -> None:
    stored = np.arange(6 * 4, dtype=np.uint8).reshape(4, 6) * 10
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(stored).save(path, exif=exif)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(read_image(path), upright)
    assert image_size(path) == upright.shape[::-1]
    assert np.array_equal(read_image(path, (6, 4)), stored)  # the XML says: as stored
    turned = read_image(path, (4, 6))  # the XML says: lying down
    assert np.array_equal(turned, upright if orientation >= 5 else stored)
    assert image_size(path, (4, 6)) == turned.shape[::-1]


def _page(width: int, height: int, **more: Any) -> Page:
    line = Line("a", ((0.0, 5.0), (10.0, 5.0)), ((0.0, 0.0), (10.0, 0.0), (10.0, 8.0)))
    return Page("p", (line,), width, height, **more)


@given(st.integers(20, 3000), st.integers(20, 3000), st.floats(0.1, 10))
def test_uniform_rescaling_goes_there_and_back(width: int, height: int, factor: float) -> None:
    page = _page(width, height)
    wide, high = max(round(width * factor), 1), max(round(height * factor), 1)
    scaled = rescale_page(page, wide, high)
    assert (scaled.width, scaled.height) == (wide, high)
    back = rescale_page(scaled, width, height)
    for a, b in zip(back.lines[0].polygon, page.lines[0].polygon, strict=True):
        assert a == pytest.approx(b)


def test_rescaling_says_so(caplog: pytest.LogCaptureFixture) -> None:
    scaled = rescale_page(_page(100, 200), 50, 100)
    assert scaled.lines[0].baseline == ((0.0, 2.5), (5.0, 2.5))
    assert len(caplog.records) == 1 and "scaled by 0.5" in caplog.text
    same = _page(100, 200)
    assert rescale_page(same, 100, 200) is same


@pytest.mark.parametrize(
    ("width", "height", "hint"),
    [(100, 300, "give the image"), (200, 100, "turned by 90 degrees"), (104, 200, "no uniform")],
)
def test_an_image_of_another_shape_is_refused(width: int, height: int, hint: str) -> None:
    with pytest.raises(ImageError, match=hint):
        rescale_page(_page(100, 200), width, height)


def test_an_xml_silent_about_its_size_is_clamped(caplog: pytest.LogCaptureFixture) -> None:
    page = rescale_page(_page(0, 0), 5, 5)
    assert (page.width, page.height) == (5, 5)
    assert max(x for x, _ in page.lines[0].polygon) == 5
    assert "clamped" in caplog.text


def test_load_page(picture: Maker) -> None:
    page, pixels = load_page(_page(100, 50, image=picture("a.png", 200, 100)))
    assert pixels.shape == (100, 200) and (page.width, page.height) == (200, 100)
    assert page.lines[0].baseline == ((0.0, 10.0), (20.0, 10.0))
