"""Bare pages cut into lines: of the bundled letter every line, in order, whatever its light, its
size and its angle; of pages without text none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

cv2 = pytest.importorskip("cv2")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from ensemble_htr.assets import resolve  # noqa: E402
from ensemble_htr.io.images import load_page  # noqa: E402
from ensemble_htr.io.pages import read_page  # noqa: E402
from ensemble_htr.layout.rectify import page_thickness  # noqa: E402
from ensemble_htr.layout.segmenter import build  # noqa: E402
from ensemble_htr.layout.segmenter.ink import find_ink, line_distance  # noqa: E402
from ensemble_htr.layout.segmenter.order import reading_order  # noqa: E402
from ensemble_htr.layout.segmenter.trace import UNIT  # noqa: E402
from ensemble_htr.layout.skew import turned  # noqa: E402
from ensemble_htr.protocols import Segmenter  # noqa: E402
from ensemble_htr.types import Line, Page  # noqa: E402

Image = NDArray[np.uint8]
WORDS = "Monsieur le maire je vous prie de bien vouloir agreer mes salutations les plus sinceres"


@pytest.fixture(scope="module")
def letter() -> tuple[Page, Image]:
    return load_page(read_page(resolve("sample", "letter") / "page.xml"))


def written(lines: int = 8, distance: int = 60, at: tuple[int, int] = (60, 90)) -> Image:
    """A page of print with as many lines, its first baseline at ``at``."""
    page = np.full((at[1] + lines * distance, 900), 225, np.uint8)
    for i in range(lines):
        words = WORDS.split()[i:] + WORDS.split()[:i]
        text = " ".join(words)[:44]
        where = (at[0], at[1] + i * distance)
        cv2.putText(page, text, where, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, distance / 60, 40, 2)
    return page


def middles(lines: Sequence[Line]) -> list[float]:
    """Heights of the baselines, in the order given."""
    return [float(np.median(np.asarray(line.baseline)[:, 1])) for line in lines]


def found(page: Page, lines: Sequence[Line]) -> list[int]:
    """For each line of ``page`` the line whose baseline runs along it, or -1."""
    near = 0.35 * page_thickness(page.lines)
    result = []
    for line in page.lines:
        x, y = np.asarray(line.baseline).T
        at = np.linspace(x.min(), x.max(), 50)
        best = -1
        for i, other in enumerate(lines):
            ox, oy = np.asarray(other.baseline).T
            inside = (at >= ox.min() - near) & (at <= ox.max() + near)
            close = np.abs(np.interp(at, x, y) - np.interp(at, ox, oy)) < near
            if (inside & close).mean() >= 0.7:
                best = i
        result.append(best)
    return result


def test_all_lines_of_the_letter_are_found_in_order(letter: tuple[Page, Image]) -> None:
    page, pixels = letter
    lines = build().segment(pixels)
    assert isinstance(build(), Segmenter)
    assert found(page, lines) == list(range(len(page.lines))) and len(lines) == len(page.lines)
    assert lines == build().segment(pixels)
    assert len({line.id for line in lines}) == len(lines)


def filled(lines: Sequence[Line], shape: tuple[int, ...]) -> list[NDArray[np.bool_]]:
    masks = [np.zeros(shape, np.uint8) for _ in lines]
    for line, mask in zip(lines, masks, strict=True):
        cv2.fillPoly(mask, [np.round(np.asarray(line.polygon)).astype(np.int32)], 1)
    return [mask > 0 for mask in masks]


def test_outlines_hold_the_ink_of_their_line_and_no_other(letter: tuple[Page, Image]) -> None:
    page, pixels = letter
    lines = build().segment(pixels)
    ink = find_ink(pixels, 74.0).mask > 0
    for ours, theirs in zip(
        filled(lines, pixels.shape), filled(page.lines, pixels.shape), strict=True
    ):
        assert (ink & ours & theirs).sum() > 0.97 * (ink & theirs).sum()
        assert (ink & ours & theirs).sum() > 0.9 * (ink & ours).sum()
    for line in lines:
        xy = np.asarray([*line.baseline, *line.polygon])
        assert (xy >= 0).all() and (xy < pixels.shape[::-1]).all()
        assert (np.diff(np.asarray(line.baseline)[:, 0]) > 0).all()


@pytest.mark.parametrize("factor", [0.5, 1.6])
def test_the_size_of_the_scan_does_not_matter(letter: tuple[Page, Image], factor: float) -> None:
    page, pixels = letter
    scaled = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    lines = build().segment(np.asarray(scaled, np.uint8))
    back = [
        Line(x.id, tuple((a / factor, b / factor) for a, b in x.baseline), x.polygon) for x in lines
    ]
    assert found(page, back) == list(range(len(page.lines)))


@pytest.mark.parametrize("angle", [-5.0, 3.0])
def test_pages_laid_askew(letter: tuple[Page, Image], angle: float) -> None:
    page, pixels = letter
    askew, turn = turned(pixels, angle)
    lines = build().segment(askew)
    assert found(page, [turn.line_back(line) for line in lines]) == list(range(len(page.lines)))


def test_a_phone_photo(letter: tuple[Page, Image]) -> None:
    """On a dark table, half in the shadow, with noise."""
    page, pixels = letter
    height, width = pixels.shape
    light = 0.5 + 0.5 / (1 + np.exp((np.arange(width) - 0.6 * width) / (0.05 * width)))
    photo = np.random.default_rng(1).normal(pixels * light, 3.0)
    table = np.full((height + 160, width + 160), 30.0)
    table[80:-80, 80:-80] = photo
    lines = build().segment(np.clip(table, 0, 255).astype(np.uint8))
    back = [Line(x.id, tuple((a - 80, b - 80) for a, b in x.baseline), x.polygon) for x in lines]
    assert found(page, back) == list(range(len(page.lines))) and len(lines) == len(page.lines)


def test_ruled_paper_with_a_frame() -> None:
    plain = written()
    ruled = plain.copy()
    for y in range(35, len(ruled), 60):
        cv2.line(ruled, (0, y), (899, y + 4), 150, 2)
    cv2.line(ruled, (40, 0), (44, len(ruled)), 120, 2)
    ruled[:, :8] = 20
    expected = middles(build().segment(plain))
    assert len(expected) == 8
    assert middles(build().segment(ruled)) == pytest.approx(expected, abs=5)


def test_lines_touch_where_letters_hang_into_the_next() -> None:
    page = written(6, 50)
    for x in (150, 400, 620):
        cv2.line(page, (x, 120), (x - 10, 290), 40, 3)  # a stroke through four lines
    lines = build().segment(page)
    assert np.diff(middles(lines)) == pytest.approx([50] * 5, abs=4)


def test_columns_are_read_one_after_the_other() -> None:
    left, right = written(6), written(6, at=(60, 112))[: 90 + 6 * 60]
    page = np.hstack([left, np.full((len(left), 60), 225, np.uint8), right])
    lines = build().segment(np.asarray(page, np.uint8))
    assert [min(x for x, _ in line.baseline) > 900 for line in lines] == [False] * 6 + [True] * 6
    assert middles(lines[:6]) == sorted(middles(lines[:6]))


def test_an_empty_page_has_no_lines() -> None:
    assert reading_order([]) == []
    for page in (
        np.full((800, 600), 255, np.uint8),
        np.zeros((800, 600), np.uint8),
        np.zeros((1, 1), np.uint8),
        np.full((30, 4000), 200, np.uint8),
    ):
        assert build().segment(page) == ()


def test_a_single_line_and_a_short_word() -> None:
    page = np.full((500, 900), 230, np.uint8)
    cv2.putText(page, "Testament", (300, 260), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 2.0, 40, 3)
    (line,) = build().segment(page)
    assert middles([line])[0] == pytest.approx(260, abs=12)
    xs = [x for x, _ in line.polygon]
    assert 270 < min(xs) < 310 and 550 < max(xs) < 700


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_any_image_gives_lines_on_the_page(height: int, width: int, kind: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if kind == 0:
        page = rng.integers(0, 256, (height * 5, width * 5), np.uint8)
    else:
        page = np.full((height * 5, width * 5), rng.integers(256), np.uint8)
        for _ in range(kind * 10):
            ends = rng.integers(0, 5 * max(height, width), 4).tolist()
            cv2.line(page, ends[:2], ends[2:], int(rng.integers(256)), int(rng.integers(1, 9)))
    lines = build().segment(page)
    assert len({line.id for line in lines}) == len(lines)
    for line in lines:
        assert len(line.baseline) >= 2 and len(line.polygon) >= 3
        xy = np.asarray([*line.baseline, *line.polygon])
        assert np.isfinite(xy).all() and (xy >= 0).all() and (xy < (width * 5, height * 5)).all()


@pytest.mark.parametrize("distance", [30, 60, 120])
def test_the_distance_of_lines_is_measured(distance: int) -> None:
    page = written(max(4, 480 // distance), distance)
    assert line_distance(page) == pytest.approx(distance, rel=0.08)


def test_ink_leaves_paper_and_rulings_alone() -> None:
    page = cv2.resize(written(), None, fx=UNIT / 60, fy=UNIT / 60, interpolation=cv2.INTER_AREA)
    ruled = np.asarray(page, np.uint8).copy()
    cv2.line(ruled, (0, 45), (599, 45), 150, 2)
    plain, other = (find_ink(np.asarray(x, np.uint8), UNIT).mask for x in (page, ruled))
    assert 0.02 < plain.mean() < 0.3
    assert (plain != other).mean() < 0.004
