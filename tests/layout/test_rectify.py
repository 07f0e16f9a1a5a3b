"""Lines come out straight and clean, whatever their shape; no geometry crashes the cutting."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

cv2 = pytest.importorskip("cv2")

from ensemble_htr.layout.rectify import (  # noqa: E402
    RectifyOptions,
    page_thickness,
    rectify,
    rectify_page,
    whole_image,
)
from ensemble_htr.types import Line  # noqa: E402

T = 46.0  # line thickness, px
PAPER, INK = 215, 40
Place = Callable[[float, float], tuple[float, float]]  # (s, n) -> page x, y


# ---- a page with one written line, laid anywhere -------------------------------------------


def strokes(length: float, seed: int = 3) -> list[np.ndarray]:
    """Poly-lines in (s, n): letters that stand on n = 0, some with ascenders and descenders."""
    rng = np.random.default_rng(seed)
    found, s = [], 8.0
    while s < length - 20:
        top = float(rng.choice([16.0, 16.0, 26.0]))
        bottom = float(rng.choice([0.0, 0.0, -9.0]))
        lean = float(rng.uniform(-3, 3))
        up = np.linspace(bottom, top, 12)
        found.append(np.column_stack([s + lean * up / 20, up]))
        across = np.linspace(0, 9, 8)
        found.append(np.column_stack([s + across, np.full(8, rng.choice([0.0, 8.0, 15.0]))]))
        s += float(rng.choice([13.0, 15.0, 22.0]))
    return found


def page(shape: tuple[int, int], place: Place, length: float, seed: int = 3) -> np.ndarray:
    """``uint8`` page with the strokes drawn where ``place`` lays them."""
    image = np.full(shape, PAPER, np.uint8)
    for stroke in strokes(length, seed):
        points = np.array([place(s, n) for s, n in stroke])
        corners = np.round(points * 16).astype(np.int32)
        cv2.polylines(image, [corners], False, INK, 3, cv2.LINE_AA, shift=4)
    return image


def line_at(place: Place, length: float) -> Line:
    """Its baseline and a polygon of thickness T around it."""
    along = np.linspace(0, length, 25)
    top, foot = [place(s, 0.68 * T) for s in along], [place(s, -0.32 * T) for s in along]
    baseline = tuple(place(s, 0.0) for s in along)
    return Line(id="l", baseline=baseline, polygon=(*top, *foot[::-1]))


def straight(s: float, n: float) -> tuple[float, float]:
    return 60 + s, 300 - n


def slanted(s: float, n: float) -> tuple[float, float]:
    a = np.radians(20)
    return 60 + s * np.cos(a) + n * np.sin(a), 150 + s * np.sin(a) - n * np.cos(a)


def upwards(s: float, n: float) -> tuple[float, float]:
    return 300 - n, 760 - s  # a note in the margin, read with the head to the left


def downwards(s: float, n: float) -> tuple[float, float]:
    return 300 + n, 60 + s


def upside_down(s: float, n: float) -> tuple[float, float]:
    return 760 - s, 300 + n


def curved(s: float, n: float) -> tuple[float, float]:
    """An arc of 900 px radius, arc length kept on the baseline."""
    angle = (s - 340) / 900
    radius = 900 + n
    return 400 + radius * np.sin(angle), 1250 - radius * np.cos(angle)


SHAPES = [  # place, how like the straight line its crop must be (correlation)
    (straight, 0.999),
    (slanted, 0.97),  # drawn anew at an angle: anti-aliasing differs
    (upwards, 0.97),
    (downwards, 0.97),
    (upside_down, 0.97),
    (curved, 0.93),  # letters fan out by up to 3 %
]
LENGTH = 680.0
names = pytest.mark.parametrize(("place", "alike"), SHAPES, ids=[s[0].__name__ for s in SHAPES])


def crop_of(place: Place) -> np.ndarray:
    image = rectify(page((900, 900), place, LENGTH), line_at(place, LENGTH), T).image
    assert image is not None
    return image


def alike(one: np.ndarray, two: np.ndarray) -> float:
    """Correlation of two crops brought to one width."""
    two = cv2.resize(two, one.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return float(np.corrcoef(one.ravel().astype(float), two.ravel().astype(float))[0, 1])


def feet(crop: np.ndarray, parts: int = 6) -> np.ndarray:
    """Mean row of the ink in each of ``parts`` pieces of the line."""
    pieces = np.array_split(crop.astype(float), parts, axis=1)
    rows = np.arange(crop.shape[0])
    return np.array([(p.sum(1) * rows).sum() / p.sum() for p in pieces])


@names
def test_every_line_comes_out_straight(place: Place, alike: float) -> None:
    crop, plain = crop_of(place), crop_of(straight)
    assert crop.dtype == np.uint8
    assert crop.shape[0] == 48
    assert abs(crop.shape[1] - plain.shape[1]) <= 0.03 * plain.shape[1]
    assert globals()["alike"](plain, crop) > alike
    assert np.abs(feet(crop) - feet(plain)).max() < 1.5  # px: the ink does not climb or sink


@names
def test_the_letters_stand_on_one_row(place: Place, alike: float) -> None:
    """In each fifth of the line the ink lies on the rows where it lies in the straight one."""

    def rows(crop: np.ndarray) -> list[np.ndarray]:
        return [part.astype(float).sum(1) for part in np.array_split(crop, 5, axis=1)]

    for found, wanted in zip(rows(crop_of(place)), rows(crop_of(straight)), strict=True):
        fits = [np.corrcoef(np.roll(found, shift), wanted)[0, 1] for shift in range(-5, 6)]
        assert abs(int(np.argmax(fits)) - 5) <= 1  # px


def test_neighbours_disappear() -> None:
    """Two lines closer than a line is high: each crop is as if the other were not there."""
    alone = page((900, 900), straight, LENGTH)
    low: Place = lambda s, n: (60 + s, 334 - n)  # noqa: E731
    other = page((900, 900), low, LENGTH, seed=9)
    # What the neighbour's ascenders cover of the own polygon cannot be told apart: leave it out.
    polygon = np.round(np.array(line_at(straight, LENGTH).polygon)).astype(np.int32)
    inside = cv2.fillPoly(np.zeros((900, 900), np.uint8), [polygon], 1)
    inside = cv2.dilate(inside, np.ones((9, 9), np.uint8)) > 0
    both = np.where(inside, alone, np.minimum(alone, other))
    assert (both != alone).any()
    line = line_at(straight, LENGTH)
    expected, found = rectify(alone, line, T).image, rectify(both, line, T).image
    assert expected is not None and found is not None
    assert np.array_equal(expected, found)


def test_ink_outside_the_polygon_is_paper() -> None:
    line = line_at(straight, LENGTH)
    image = np.full((900, 900), PAPER, np.uint8)
    image[:262] = INK  # all that is above the polygon (268.7) less its margin
    image[322:] = INK
    found = rectify(image, line, T).image
    assert found is not None
    assert found.max() == 0


# ---- lines of which less is known ----------------------------------------------------------


def test_a_baseline_alone_and_a_box_alone_find_the_same_ink() -> None:
    image, line = page((900, 900), straight, LENGTH), line_at(straight, LENGTH)
    whole = rectify(image, line, T).image
    only_baseline = rectify(image, dataclasses.replace(line, polygon=()), T).image
    xs, ys = zip(*line.polygon, strict=True)
    corners = ((min(xs), min(ys)), (max(xs), min(ys)), (max(xs), max(ys)), (min(xs), max(ys)))
    only_box = rectify(image, Line(id="b", polygon=corners), T).image
    assert whole is not None and only_baseline is not None and only_box is not None
    assert alike(whole, only_box) > 0.95
    for crop in (whole, only_baseline, only_box):
        columns = (crop > 100).any(0).mean()
        assert columns > 0.5
        assert crop.shape[1] == pytest.approx(whole.shape[1], rel=0.35)


def test_a_tall_box_is_read_downwards() -> None:
    """Like a line that has a baseline from the head to the foot of the box."""
    image = page((900, 900), downwards, LENGTH)
    xs, ys = zip(*line_at(downwards, LENGTH).polygon, strict=True)
    box = ((min(xs), min(ys)), (max(xs), min(ys)), (max(xs), max(ys)), (min(xs), max(ys)))
    line = Line(id="v", polygon=box)
    assert page_thickness([line]) == pytest.approx(T, rel=0.05)
    found, wanted = rectify(image, line, T).image, crop_of(downwards)
    assert found is not None
    assert alike(wanted, found) > 0.95


def test_thickness_of_a_page_of_baselines() -> None:
    """Cells beside one another and notes in the margin do not make the lines look thin."""

    def row(x: float, y: float) -> Line:
        return Line(id=f"{x},{y}", baseline=((x, y), (x + 300.0, y)))

    left, right = [[row(x, y0 + 60.0 * i) for i in range(8)] for x, y0 in ((0, 50), (400, 77))]
    note = Line(id="note", baseline=((900.0, 700.0), (900.0, 90.0)))
    assert page_thickness(left) == pytest.approx(45)
    assert page_thickness([*left, *right, note]) == pytest.approx(45)
    assert page_thickness(left[:1]) == page_thickness([note]) == page_thickness([]) == 46.0


def test_a_line_without_geometry_is_empty() -> None:
    image = np.full((60, 90), PAPER, np.uint8)
    found = rectify(image, Line(id="x"), T).image
    assert found is not None
    assert found.shape == (48, 1)
    assert found.max() == 0


def test_a_polygon_of_no_area_leaves_the_baseline_to_speak() -> None:
    image, line = page((900, 900), straight, LENGTH), line_at(straight, LENGTH)
    flat = dataclasses.replace(line, polygon=line.baseline)
    bare = dataclasses.replace(line, polygon=())
    found, wanted = rectify(image, flat, T).image, rectify(image, bare, T).image
    assert found is not None and wanted is not None
    assert np.array_equal(found, wanted)


def test_how_densely_a_baseline_is_written_does_not_matter() -> None:
    image, line = page((900, 900), straight, LENGTH), line_at(straight, LENGTH)
    first, last = line.baseline[0], line.baseline[-1]
    wanted = rectify(image, line, T).image
    assert wanted is not None
    for count in (2, 3, 1000):
        along = np.linspace(first, last, count)
        dense = tuple((float(x), float(y)) for x, y in np.repeat(along, 2, axis=0))  # doubled
        found = rectify(image, dataclasses.replace(line, baseline=dense), T).image
        assert found is not None
        assert alike(wanted, found) > 0.999


# ---- contrast and scale --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "offset", "slope"),
    [(0.6, 0, 0.0), (0.5, 100, 0.0), (1.0, 30, 0.0), (1.0, -30, 0.0), (1.0, 0, -0.06)],
)
def test_contrast_does_not_depend_on_the_light(gain: float, offset: float, slope: float) -> None:
    """Gain, offset and a shadow that falls across the page (``slope`` levels a pixel)."""
    plain = page((900, 900), straight, LENGTH)
    light = plain.astype(float) * gain + offset + slope * np.arange(900)[None, :]
    line = line_at(straight, LENGTH)
    wanted = rectify(plain, line, T).image
    found = rectify(np.clip(light, 0, 255).astype(np.uint8), line, T).image
    assert wanted is not None and found is not None
    assert wanted.max() == 255
    assert np.abs(wanted.astype(int) - found).mean() < 3.0
    assert alike(wanted, found) > 0.995


@pytest.mark.parametrize("factor", [0.5, 1.5, 2.0, 3.0])
def test_page_and_geometry_rescaled_together_give_the_same_crop(factor: float) -> None:
    plain, line = page((900, 900), straight, LENGTH), line_at(straight, LENGTH)
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    larger = cv2.resize(plain, None, fx=factor, fy=factor, interpolation=how)
    scaled = dataclasses.replace(
        line,
        baseline=tuple((x * factor, y * factor) for x, y in line.baseline),
        polygon=tuple((x * factor, y * factor) for x, y in line.polygon),
    )
    (wanted,), (found,) = rectify_page(plain, [line]), rectify_page(larger, [scaled])
    assert wanted.image is not None and found.image is not None
    assert abs(wanted.image.shape[1] - found.image.shape[1]) <= 2
    assert alike(wanted.image, found.image) > 0.93


@pytest.mark.parametrize("height", [32, 40, 48, 96])
def test_the_aspect_ratio_is_kept(height: int) -> None:
    line = line_at(straight, LENGTH)
    image = page((900, 900), straight, LENGTH)
    found = rectify(image, line, T, RectifyOptions(height=height)).image
    assert found is not None
    assert found.shape[0] == height
    assert found.shape[1] / height == pytest.approx(LENGTH / T, rel=0.02)


def test_longer_lines_are_squeezed() -> None:
    image, options = page((900, 900), straight, LENGTH), RectifyOptions(max_width=99)
    found = rectify(image, line_at(straight, LENGTH), T, options).image
    assert found is not None
    assert found.shape == (48, 99)


@pytest.mark.parametrize("shape", [(48, 700), (96, 1400), (10, 10), (300, 2), (1, 1), (5, 90_000)])
def test_ready_cut_lines(shape: tuple[int, int]) -> None:
    image = np.full(shape, PAPER, np.uint8)
    image[:, : max(1, shape[1] // 9)] = INK
    line = whole_image(image, "cut")
    assert line.image is not None
    assert line.image.shape[0] == 48
    assert 1 <= line.image.shape[1] <= 4096
    assert line.polygon[2] == (float(shape[1]), float(shape[0]))


# ---- geometry that means harm --------------------------------------------------------------

coordinate = st.one_of(
    st.floats(-50, 350),
    st.integers(-5, 305).map(float),
    st.sampled_from([1e6, -1e6, 1e300, float("nan"), float("inf"), float("-inf")]),
)
points = st.lists(st.tuples(coordinate, coordinate), max_size=9).map(tuple)


@settings(max_examples=150, deadline=None)
@given(points, points, st.sampled_from([(300, 300), (1, 1), (0, 0), (3, 299), (299, 1)]))
def test_no_geometry_crashes(
    baseline: tuple[tuple[float, float], ...],
    polygon: tuple[tuple[float, float], ...],
    shape: tuple[int, int],
) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    lines = [Line(id="1", baseline=baseline, polygon=polygon), Line(id="2", baseline=baseline)]
    with np.errstate(all="raise", under="ignore"):
        assert np.isfinite(page_thickness(lines))
        found = rectify_page(image, lines)
    for line in found:
        assert line.image is not None
        assert line.image.dtype == np.uint8
        assert line.image.shape[0] == 48
        assert 1 <= line.image.shape[1] <= 4096


@pytest.mark.parametrize(
    "polygon",
    [
        ((-500.0, 10.0), (-100.0, 10.0), (-100.0, 60.0), (-500.0, 60.0)),  # left of the image
        ((5000.0, 10.0), (5400.0, 10.0), (5400.0, 60.0), (5000.0, 60.0)),  # far right
        ((-50.0, -90.0), (400.0, -90.0), (400.0, 400.0), (-50.0, 400.0)),  # all around it
    ],
)
def test_polygons_outside_the_image(polygon: tuple[tuple[float, float], ...]) -> None:
    image = np.full((300, 300), PAPER, np.uint8)
    found = rectify(image, Line(id="o", polygon=polygon), T).image
    assert found is not None
    assert found.max() == 0


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ((40, 40), (10, 10, 13, 12)),  # a speck
        ((120, 20_000), (5, 20, 19_990, 90)),  # one line across a panorama
        ((60, 40_000), (5, 5, 39_990, 55)),  # wider than OpenCV can index
        ((6000, 6000), (10, 10, 5990, 5990)),  # letters as large as a page
    ],
)
def test_specks_and_giants_in_bounded_memory(
    shape: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    image = np.full(shape, PAPER, np.uint8)
    left, top, right, foot = (float(v) for v in box)
    along = np.linspace(left, right, 400)
    polygon = (*((x, top) for x in along), *((x, foot) for x in along[::-1]))
    baseline = tuple((x, foot - 0.3 * (foot - top)) for x in along)
    tracemalloc.start()
    (line,) = rectify_page(image, [Line(id="g", baseline=baseline, polygon=polygon)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert line.image is not None
    assert line.image.shape[0] == 48
    assert peak < 250e6
