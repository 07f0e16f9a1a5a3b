"""Searchable PDF: other people's readers find every word, and find it where it stands."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ensemble_htr.errors import ImageError
from ensemble_htr.io.geometry import bounding_box
from ensemble_htr.io.results import PLAIN, PageResult, WriteOptions
from ensemble_htr.io.write import FORMATS
from ensemble_htr.types import Line, Page, Point

from .test_write import reading

pytest.importorskip("reportlab")
pytest.importorskip("fontTools")
Picture = Callable[..., Path]


def ribbon(baseline: list[Point], thickness: float = 30.0) -> tuple[Point, ...]:
    """The outline of a line that stands on ``baseline``."""
    (x0, y0), (x1, y1) = baseline[0], baseline[-1]
    length = math.dist(baseline[0], baseline[-1])
    up = (y1 - y0) / length * thickness, -(x1 - x0) / length * thickness
    above = [(x + up[0], y + up[1]) for x, y in baseline]
    return (*baseline, *reversed(above))


BASELINES: dict[str, list[Point]] = {
    "flat": [(20.0, 60.0), (380.0, 60.0)],
    "slanted": [(20.0, 140.0), (380.0, 100.0)],
    "bent": [(20.0, 200.0), (110.0, 180.0), (200.0, 175.0), (290.0, 180.0), (380.0, 200.0)],
    "upwards": [(450.0, 380.0), (450.0, 20.0)],
    "downwards": [(500.0, 20.0), (500.0, 380.0)],
    "upside-down": [(380.0, 300.0), (20.0, 300.0)],
}
TEXTS = {
    "flat": "l’œuvre du cœur", "slanted": "ſaint Chryſostome", "bent": "ÉTÉ à Noël, 1813",
    "upwards": "Ἀθῆναι Москва", "downwards": "<a&b> (c) \\d", "upside-down": "ꝑro ꝯtra \ue8bf",
}  # fmt: skip


def page_of(image: Path | None, **options: Any) -> PageResult:
    lines = tuple(Line(name, tuple(points), ribbon(points)) for name, points in BASELINES.items())
    page = Page("the page", lines, 600, 400, image=image, doc="a letter", **options)
    return PageResult(page, {name: reading(text) for name, text in TEXTS.items()})


def write(result: PageResult, options: WriteOptions = PLAIN) -> bytes:
    return FORMATS["pdf"].render(result, options)


def test_one_reader_finds_all_words_in_order(picture: Picture) -> None:
    pypdf = pytest.importorskip("pypdf")
    reader = pypdf.PdfReader(io.BytesIO(write(page_of(picture("p.jpg", 600, 400)))))
    [page] = reader.pages
    found = page.extract_text()
    assert found.split() == " ".join(TEXTS.values()).split()
    assert TEXTS["flat"] in found.splitlines()
    box = page.mediabox
    assert (float(box.width), float(box.height)) == pytest.approx((600 * 72 / 300, 400 * 72 / 300))
    about = reader.metadata
    assert (about.title, about.subject) == ("the page", "a letter")
    assert about.creator.startswith("ensemble-htr ") and not about.author


def test_another_reader_finds_words_where_they_stand(picture: Picture) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    document = pdfium.PdfDocument(write(page_of(picture("p.png", 600, 400, dpi=(150, 150)))))
    text = document[0].get_textpage()
    unit = 72 / 150
    for name, words in TEXTS.items():
        if name == "upside-down":
            continue  # its search does not put turned words together
        polygon = ribbon(BASELINES[name])
        left, top, right, bottom = bounding_box(polygon) or (0, 0, 0, 0)
        for word in words.split():
            match = text.search(word, match_case=True).get_next()
            assert match is not None, (name, word)
            for i in range(match[0], match[0] + match[1]):
                x0, y0, x1, y1 = (v / unit for v in text.get_charbox(i))
                x, y = (x0 + x1) / 2, 400 - (y0 + y1) / 2
                assert left - 8 <= x <= right + 8 and top - 8 <= y <= bottom + 8, (name, word)


def test_words_share_out_their_line(picture: Picture) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    document = pdfium.PdfDocument(write(page_of(picture("p.jpg", 600, 400))))
    text = document[0].get_textpage()
    index, count = text.search("cœur").get_next()
    first, last = text.get_charbox(index), text.get_charbox(index + count - 1)
    unit = 72 / 300
    whole = 360.0 / len(TEXTS["flat"])
    assert first[0] / unit == pytest.approx(20 + whole * TEXTS["flat"].index("cœur"), abs=2)
    assert last[2] / unit == pytest.approx(380, abs=2)


def test_the_text_is_not_to_be_seen(picture: Picture) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    path = picture("p.png", 600, 400)
    shown = pdfium.PdfDocument(write(page_of(path)))[0].render(scale=300 / 72).to_numpy()
    there = np.asarray(Image.open(path))
    assert shown.shape[:2] == there.shape
    assert np.abs(shown[..., 0].astype(int) - there).mean() < 2


def test_an_upright_jpeg_goes_in_as_it_is(picture: Picture) -> None:
    path = picture("p.jpg", 600, 400, dpi=(200, 200))
    data = write(page_of(path))
    assert path.read_bytes() in data


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "RGBA", "I;16", "LA"])
def test_pictures_of_every_kind(tmp_path: Path, mode: str) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    gray = np.tile(np.linspace(0, 255, 600).astype(np.uint8), (400, 1))
    image = Image.fromarray(gray)
    if mode == "I;16":
        image = Image.fromarray(gray.astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    image.save(tmp_path / "p.tif")
    shown = pdfium.PdfDocument(write(page_of(tmp_path / "p.tif")))[0].render(scale=300 / 72)
    pixels = shown.to_numpy()
    assert pixels.shape[:2] == (400, 600)
    assert pixels[:, :100].mean() < 100 < 150 < pixels[:, -100:].mean()


def test_a_photograph_is_turned_as_its_coordinates_are(tmp_path: Path) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    stored = np.zeros((600, 400, 3), np.uint8)
    stored[:, :200] = (200, 30, 30)  # the left half: on top, once turned
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "p.jpg", exif=exif)
    shown = pdfium.PdfDocument(write(page_of(tmp_path / "p.jpg")))[0].render(scale=300 / 72)
    pixels = shown.to_numpy()[..., ::-1]  # BGR to RGB
    assert pixels.shape[:2] == (400, 600)
    red, black = pixels[50:150, 100:500].mean((0, 1)), pixels[250:350, 100:500].mean((0, 1))
    bright = max(red.tolist(), black.tolist())
    assert bright[0] > 150 and bright[1] < 80  # still in colour


def test_coordinates_of_another_size_are_scaled(picture: Picture) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    result = page_of(picture("p.jpg", 1200, 800))
    text = pdfium.PdfDocument(write(result))[0].get_textpage()
    index, _ = text.search("cœur").get_next()
    assert text.get_charbox(index)[0] / (72 / 300) == pytest.approx(2 * (20 + 24 * 11), abs=4)


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.lists(st.tuples(st.floats(0, 600), st.floats(0, 400)), max_size=5),
    st.lists(st.tuples(st.floats(0, 600), st.floats(0, 400)), max_size=5),
)
def test_no_text_and_no_geometry_breaks_it(
    picture: Picture, text: str, baseline: list[Point], polygon: list[Point]
) -> None:
    pypdf = pytest.importorskip("pypdf")
    line = Line("l", tuple(baseline), tuple(polygon))
    page = Page("p", (line,), 600, 400, image=picture("p.jpg", 600, 400))
    data = write(PageResult(page, {"l": reading(text)}))
    assert len(pypdf.PdfReader(io.BytesIO(data)).pages) == 1


def test_letters_beyond_the_basic_plane_have_a_stand_in(picture: Picture) -> None:
    pypdf = pytest.importorskip("pypdf")
    line = Line("l", ((10.0, 50.0), (500.0, 50.0)))
    page = Page("p", (line,), 600, 400, image=picture("p.jpg", 600, 400))
    data = write(PageResult(page, {"l": reading("a𝒳b 🜚")}))
    assert pypdf.PdfReader(io.BytesIO(data)).pages[0].extract_text().split() == ["aXb", "\ufffd"]


def test_a_page_without_its_picture_is_one_line_of_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="needs the page's image"):
        write(page_of(None))
    (tmp_path / "p.jpg").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"p\.jpg"):
        write(page_of(tmp_path / "p.jpg"))


def test_a_confirmed_text_gives_way_only_when_told(picture: Picture) -> None:
    pypdf = pytest.importorskip("pypdf")
    line = Line("l", ((10.0, 50.0), (500.0, 50.0)), text="wahr", confirmed=True)
    page = Page("p", (line,), 600, 400, image=picture("p.jpg", 600, 400))
    for overwrite, text in ((False, "wahr"), (True, "falsch")):
        data = write(PageResult(page, {"l": reading("falsch")}), WriteOptions(overwrite))
        assert pypdf.PdfReader(io.BytesIO(data)).pages[0].extract_text().strip() == text
