"""The picture of every step: made for any page and model, of bounded size, never over an input."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")

from ensemble_htr.assets import resolve  # noqa: E402
from ensemble_htr.errors import InputError, OutputError, UsageError  # noqa: E402
from ensemble_htr.io.images import load_page  # noqa: E402
from ensemble_htr.io.pages import read_page  # noqa: E402
from ensemble_htr.layout.preprocess import Preprocess  # noqa: E402
from ensemble_htr.preview import WIDTH, preview, render_preview  # noqa: E402
from ensemble_htr.types import Line, Page  # noqa: E402

Run = Callable[..., tuple[int, str, str]]
ALL = Preprocess(denoise="median", flatten=True, deskew=True, deslant=True, binarize="sauvola")
ON = (33, 118, 92)  # the colour of what is on


@pytest.fixture(autouse=True)
def shelf(votes_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(votes_home))
    monkeypatch.chdir(tmp_path)


def sample() -> tuple[Page, np.ndarray]:
    return load_page(read_page(resolve("sample", "letter") / "page.xml"))


def painted(picture: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(picture) == colour).all(2).sum())


def test_every_step_is_in_the_picture_and_marked() -> None:
    page, pixels = sample()
    off = render_preview(page, pixels, Preprocess(), "model x")
    on = render_preview(page, pixels, ALL, "model x")
    assert off.width == on.width == WIDTH and max(off.height, on.height) < 3000
    assert painted(on, ON) > painted(off, ON) + 2000  # the marks of 3 + 6 x 2 steps
    assert np.asarray(off).std() > 10


@pytest.mark.parametrize(
    ("shape", "count"), [((60, 900), 1), ((3000, 200), 3), ((200, 3000), 2), ((9, 9), 1)]
)
def test_odd_pages_fit(shape: tuple[int, int], count: int) -> None:
    pixels = np.full(shape, 200, np.uint8)
    high, wide = float(shape[0]), float(shape[1])
    lines = tuple(
        Line(f"l{i}", polygon=((0.0, 0.0), (wide, 0.0), (wide, high), (0.0, high)))
        for i in range(count)
    )
    page = Page("an odd page with a very long name " * 9, lines, shape[1], shape[0])
    for kind in ("page", "image") if count == 1 else ("page",):
        picture = render_preview(dataclasses.replace(page, format=kind), pixels, ALL, "m")
        assert picture.width == WIDTH and picture.height < 3000


def test_lines_without_geometry_and_pages_without_lines() -> None:
    page, pixels = sample()
    bare = dataclasses.replace(page, lines=(Line("l"),))
    assert render_preview(bare, pixels, Preprocess(), "m").width == WIDTH
    with pytest.raises(InputError, match="no lines"):
        render_preview(dataclasses.replace(page, lines=()), pixels, Preprocess(), "m")


def test_the_command(here: Run, small_page: Callable[..., Path], tmp_path: Path) -> None:
    first, second = small_page("p1"), small_page("p2", 3)
    code, shown, talk = here("preview", first)
    assert code == 0 and shown == "p1.preview.png\n" and talk == ""
    with Image.open(tmp_path / "p1.preview.png") as picture:
        assert picture.size[0] == WIDTH and picture.format == "PNG"
    code, shown, _ = here("preview", first.parent, "--page", 2, "-o", "sub/x.png")
    assert code == 0 and shown == "sub/x.png\n" and (tmp_path / "sub/x.png").exists()
    assert not (tmp_path / "p2.preview.png").exists() and second.exists()


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (("--page", 3), 2, "holds 2 pages"),
        (("-o", "x.jpg"), 2, "ends in .png"),
        (("--model", "defalt"), 2, "defalt"),
    ],
)
def test_what_cannot_be_shown_is_said_in_a_line(
    more: tuple[object, ...], status: int, message: str, here: Run, small_page: Callable[..., Path]
) -> None:
    folder = small_page("p1").parent
    small_page("p2", 3)
    code, shown, talk = here("preview", folder, *more)
    assert (code, shown) == (status, "") and message in talk and len(talk.splitlines()) == 1


def test_inputs_are_never_overwritten(tmp_path: Path) -> None:
    image = tmp_path / "line.png"
    Image.fromarray(np.full((60, 500), 220, np.uint8)).save(image)
    with pytest.raises(OutputError, match="never overwritten"):
        preview(image, image)
    with pytest.raises(UsageError):
        preview(image, None, number=2)


def test_the_lines_of_a_bare_page_are_found(here: Run, tmp_path: Path) -> None:
    image = tmp_path / "bare.jpg"
    image.write_bytes((resolve("sample", "letter") / "page.jpg").read_bytes())
    code, shown, _ = here("preview", image)
    assert code == 0 and shown == "bare.preview.png\n"
    with Image.open(tmp_path / "bare.preview.png") as picture:
        assert picture.height > 1500  # with strips of lines
