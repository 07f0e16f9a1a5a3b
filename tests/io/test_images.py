"""Images: the size before the pixels, one line for a bad file, geometry scaled to the image."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps, features

from ensemble_htr.errors import ImageError
from ensemble_htr.io import images
from ensemble_htr.io.images import (
    image_frames,
    image_size,
    load_page,
    read_image,
    rescale_page,
)
from ensemble_htr.types import Line, Page

Maker = Callable[..., Path]


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.png", "a.tif", "a.webp", "a.JPEG", "a.TIFF", "a.jp2", "a.j2k"]
)
def test_every_kind_is_read(picture: Maker, name: str) -> None:
    if name.endswith(("jp2", "j2k")) and not features.check("jpg_2000"):
        pytest.skip("Pillow was built without JPEG 2000")
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


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_paper(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0)).convert(mode)
    image.putpixel((1, 1), {"RGBA": (0, 0, 0, 255), "LA": (0, 255), "P": 7}[mode])
    more = {"transparency": image.getpixel((0, 0))} if mode == "P" else {}
    image.save(tmp_path / "a.png", **more)
    gray = read_image(tmp_path / "a.png")
    assert gray[0, 0] == 255 and gray[1, 1] < 255


@pytest.mark.parametrize("compression", [None, "group4", "tiff_lzw"])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_one_bit_tiff(tmp_path: Path, compression: str | None, white_is_zero: bool) -> None:
    ink = np.zeros((16, 24), dtype=bool)
    ink[4:8, 4:20] = True
    image = Image.fromarray(~ink)
    info = {262: 0} if white_is_zero else {}
    image.save(tmp_path / "a.tif", compression=compression, tiffinfo=info)
    assert np.array_equal(read_image(tmp_path / "a.tif"), np.where(ink, 0, 255))


def test_sixteen_bits_of_gray(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 5000 * 400).astype(np.uint16).reshape(400, 5000)
    for name in ("a.png", "a.tif"):
        Image.fromarray(deep).save(tmp_path / name)
        assert np.abs(read_image(tmp_path / name) - deep / 257.0).max() <= 0.5


def test_floats_that_are_no_numbers(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif").max() == 0


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 0, 0, 255)).save(tmp_path / "a.jpg")
    Image.new("CMYK", (8, 8), (0, 0, 0, 0)).save(tmp_path / "b.jpg")
    assert read_image(tmp_path / "a.jpg").max() < 60 and read_image(tmp_path / "b.jpg").min() > 250


def test_frames_of_a_tiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.new("L", (4 + i, 4), 10 * i) for i in range(4)]
    path = tmp_path / "a.tif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert image_frames(path) == (0, 1, 2, 3)
    for i in range(4):
        assert image_size(path, frame=i) == (4 + i, 4)
        assert np.array_equal(read_image(path, frame=i), np.full((4, 4 + i), 10 * i))
    for function in (image_size, read_image):
        with pytest.raises(ImageError, match="a.tif"):
            function(path, frame=4)
    page, pixels = load_page(Page("p", (), image=path, frame=2))
    assert pixels.shape == (4, 6) and page.width == 6
    monkeypatch.setattr(images, "MAX_FRAMES", 3)
    with pytest.raises(ImageError, match="more than 3 pages in one TIFF"):
        image_frames(path)


def test_frames_of_other_images(tmp_path: Path, picture: Maker) -> None:
    assert image_frames(picture("a.png")) == (0,)
    (tmp_path / "b.tif").write_bytes(picture("a.jpg").read_bytes())  # not what its name says
    assert image_frames(tmp_path / "b.tif") == (0,)
    (tmp_path / "c.tif").write_bytes(b"II*\0")
    with pytest.raises(ImageError, match="c.tif"):
        image_frames(tmp_path / "c.tif")


def test_frames_that_go_round_in_a_circle(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.new("L", (4, 4)).save(path)
    data = bytearray(path.read_bytes())
    (start,) = struct.unpack("<I", data[4:8])
    (entries,) = struct.unpack("<H", data[start : start + 2])
    place = start + 2 + 12 * entries
    data[place : place + 4] = struct.pack("<I", start)  # the next directory is this one
    path.write_bytes(data)
    assert image_frames(path) == (0,)


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


_MEMORY = """
import resource, sys
from pathlib import Path
from ensemble_htr.errors import ImageError
from ensemble_htr.io.images import image_size, read_image
good, bad = map(Path, sys.argv[1:])
read_image(good)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for function in (image_size, read_image):
    try:
        function(bad)
    except ImageError:
        continue
    raise SystemExit("was not refused")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_a_claim_of_900_megapixels_costs_no_memory(tmp_path: Path, picture: Maker) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(_png_header(30_000, 30_000))
    words = [sys.executable, "-c", _MEMORY, str(picture("a.png")), str(bomb)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    assert int(done.stdout) < 50 * 1024  # KiB


def test_the_size_of_a_png_is_known_without_its_pixels(tmp_path: Path, picture: Maker) -> None:
    whole = picture("a.png", 400, 300).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: whole.index(b"IDAT") + 8])
    assert image_size(tmp_path / "cut.png") == (400, 300)


def test_missing_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        image_size(tmp_path / "none.png")
    with pytest.raises(ImageError, match="no image was found"):
        load_page(Page("p", (), source=tmp_path / "p.xml"))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed_where_coordinates_allow(
    tmp_path: Path, orientation: int, name: str
) -> None:
    stored = np.arange(6 * 4, dtype=np.uint8).reshape(4, 6) * 10
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / name
    image = Image.fromarray(stored)
    if name == "a.tif":
        image.save(path, tiffinfo={0x0112: orientation})
    else:
        image.save(path, exif=exif, lossless=True)
    image.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(read_image(path), upright)
    assert image_size(path) == upright.shape[::-1]
    assert np.array_equal(read_image(path, (6, 4)), stored)  # the XML says: as stored
    turned = read_image(path, (4, 6))  # the XML says: lying down
    assert np.array_equal(turned, upright if orientation >= 5 else stored)
    assert image_size(path, (4, 6)) == turned.shape[::-1]


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_an_xml_made_for_a_smaller_copy_decides_too(tmp_path: Path, name: str) -> None:
    image = Image.new("L", (600, 400))
    if name == "a.tif":
        image.save(tmp_path / name, tiffinfo={0x0112: 6})
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(tmp_path / name, exif=exif)
    assert image_size(tmp_path / name, (100, 150)) == (400, 600)  # it saw the page upright
    assert image_size(tmp_path / name, (150, 100)) == (600, 400)
    assert read_image(tmp_path / name, (100, 150)).shape == (600, 400)
    assert read_image(tmp_path / name, (150, 100)).shape == (400, 600)


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
