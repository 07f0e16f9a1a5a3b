"""Every step does what it is for and nothing when off; geometry goes there and back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

cv2 = pytest.importorskip("cv2")

from ensemble_htr.config import from_mapping, load_toml  # noqa: E402
from ensemble_htr.errors import ConfigError  # noqa: E402
from ensemble_htr.layout.preprocess import (  # noqa: E402
    LINE_STEPS,
    PAGE_STEPS,
    Preprocess,
    cut_lines,
    cut_whole,
    denoised,
    flattened,
    prepare_page,
    sauvola,
    treat,
)
from ensemble_htr.layout.rectify import rectify_page, whole_image  # noqa: E402
from ensemble_htr.layout.skew import MOST_SKEW, skew_of, turned  # noqa: E402
from ensemble_htr.layout.slant import remove_slant, sheared, slant_of  # noqa: E402
from ensemble_htr.types import Line  # noqa: E402

ALL = Preprocess(denoise="bilateral", flatten=True, deskew=True, deslant=True, binarize="sauvola")
THICK = 40.0


def written_page(height: int = 700, width: int = 900, seed: int = 1) -> np.ndarray:
    """A gray page of level lines: upright strokes and bowls in words."""
    rng, page = np.random.default_rng(seed), np.full((height, width), 210, np.uint8)
    for foot in range(90, height - 40, 60):
        x = 60
        while x < width - 70:
            top = foot - int(rng.choice([16, 16, 28]))
            cv2.line(page, (x, foot), (x, top), 50, 3, cv2.LINE_AA)
            cv2.ellipse(page, (x + 6, foot - 8), (5, 8), 0, 0, 360, 60, 2, cv2.LINE_AA)
            x += int(rng.choice([15, 17, 30]))
    return page


def lines_of(page: np.ndarray) -> list[Line]:
    """Their baselines and polygons."""
    right = float(page.shape[1] - 50)
    return [
        Line(
            id=f"l{foot}",
            text="a",
            baseline=((50.0, float(foot)), (right, float(foot))),
            polygon=((50.0, foot - 30.0), (right, foot - 30.0), (right, foot + 10.0),
                     (50.0, foot + 10.0)),
        )
        for foot in range(90, page.shape[0] - 40, 60)
    ]  # fmt: skip


PAGE = written_page()
LINES = lines_of(PAGE)
CUT = rectify_page(PAGE, LINES)


def same(one: list[Line], two: list[Line]) -> bool:
    return one == two and all(
        np.array_equal(a.image, b.image) for a, b in zip(one, two, strict=True)
    )


# ---- laws ------------------------------------------------------------------------------------


def test_all_off_changes_nothing() -> None:
    assert prepare_page(PAGE, Preprocess()).image is PAGE
    assert same(cut_lines(PAGE, LINES, Preprocess()), CUT)
    assert treat(CUT[0], Preprocess()) is CUT[0]
    strip = PAGE[50:110]
    assert same([cut_whole(strip, "x", Preprocess())], [whole_image(strip, "x")])


@pytest.mark.parametrize("step", [*PAGE_STEPS, *LINE_STEPS, "all"])
def test_lines_keep_their_geometry_and_order(step: str) -> None:
    options = ALL if step == "all" else Preprocess().only(step)
    image, _ = turned(PAGE, -2.0)
    lines = lines_of(image)
    cut = cut_lines(image, lines, options)
    assert cut == lines  # ids, geometry and texts; images are not compared
    for line in cut:
        assert line.image is not None and line.image.dtype == np.uint8
        assert line.image.shape[0] == 48 and line.image.max() > 100


@given(
    angle=st.floats(-MOST_SKEW, MOST_SKEW),
    points=st.lists(st.tuples(st.floats(-50, 950), st.floats(-50, 750)), max_size=9),
)
def test_a_turned_point_comes_back(angle: float, points: list[tuple[float, float]]) -> None:
    _, turn = turned(np.zeros((70, 90), np.uint8), angle)
    back = turn.points_back(turn.points(tuple(points)))
    assert np.allclose(np.reshape(back, (-1, 2)), np.reshape(points, (-1, 2)), atol=1e-6)


@given(angle=st.floats(-MOST_SKEW, MOST_SKEW))
@settings(deadline=None, max_examples=20)
def test_pixels_turn_with_points(angle: float) -> None:
    page = np.full((300, 400), 255, np.uint8)
    cv2.circle(page, (310, 70), 6, 0, -1)
    image, turn = turned(page, angle)
    ((x, y),) = turn.points(((310.0, 70.0),))
    ys, xs = np.nonzero(image < 128)
    assert abs(xs.mean() - x) < 0.7 and abs(ys.mean() - y) < 0.7
    corners = np.array(turn.points(((0, 0), (399, 0), (399, 299), (0, 299))))
    assert corners.min() > -1.5 and (corners.max(0) < np.array(image.shape[::-1]) + 0.5).all()


@given(st.data())
@settings(deadline=None, max_examples=25)
def test_no_image_is_too_small_or_too_plain(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    plain = data.draw(st.sampled_from([0, 128, 255, None]))
    image = (
        rng.integers(0, 256, (height, width)).astype(np.uint8)
        if plain is None
        else np.full((height, width), plain, np.uint8)
    )
    options = dataclasses.replace(ALL, denoise=data.draw(st.sampled_from(["median", "bilateral"])))
    line = cut_whole(image, "x", options)
    assert line.image is not None and line.image.shape[0] == 48
    prepared = prepare_page(image, options)
    assert prepared.image.dtype == np.uint8


# ---- each step -------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [-4.0, -1.3, 0.0, 0.7, 2.0, 5.0])
def test_the_skew_is_found_and_undone(angle: float) -> None:
    image, _ = turned(PAGE, -angle)
    assert skew_of(image, THICK) == pytest.approx(angle, abs=0.15)
    page = prepare_page(image, Preprocess(deskew=True), THICK)
    assert abs(skew_of(page.image, THICK)) <= 0.15
    lines = [dataclasses.replace(x, id="found") for x in LINES]
    assert page.back(page.lines(lines))[3].baseline == pytest.approx(
        np.array(lines[3].baseline), abs=1e-6
    )


def test_shadows_and_borders_are_no_skew() -> None:
    image, _ = turned(PAGE, -1.5)
    shade = np.linspace(0.35, 1.0, image.shape[1])[None, :]
    dark = (image * shade).astype(np.uint8)
    dark[:, :40] = 10
    assert skew_of(dark, THICK) == pytest.approx(1.5, abs=0.2)
    assert skew_of(np.full((400, 400), 200, np.uint8), THICK) == 0.0
    for seed in range(5):
        noise = np.random.default_rng(seed).integers(0, 256, (500, 500)).astype(np.uint8)
        assert skew_of(noise, THICK) == 0.0


def test_upright_boxes_fit_level_text_again() -> None:
    image, turn = turned(PAGE, -2.0)  # as it would lie on the scanner
    line = turn.line(LINES[4])
    (x0, y0), (x1, y1) = np.min(line.polygon, axis=0), np.max(line.polygon, axis=0)
    box = Line(id="b", polygon=((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
    loose, fitted = (cut_lines(image, [box], Preprocess(deskew=d))[0].image for d in (False, True))
    rows = [np.flatnonzero(x.sum(1) > 0.15 * x.sum(1).max()) for x in (loose, fitted)]  # type: ignore[union-attr]
    sharp = [float(np.abs(np.diff(x.sum(1) / x.sum())).max()) for x in (loose, fitted)]  # type: ignore[union-attr]
    assert sharp[1] > 1.5 * sharp[0] and len(rows[1]) < 48


def test_flattening_takes_a_shadow_away_and_keeps_ink() -> None:
    height, width = PAGE.shape
    edge = 1.0 - 0.5 / (1.0 + np.exp((np.arange(width) - 450) / 8.0))
    dark = (PAGE * edge[None, :]).astype(np.uint8)
    flat = flattened(dark, THICK)
    paper = PAGE == 210
    assert dark[paper].std() > 25 and flat[paper].std() < 12
    assert np.median(flat[paper]) > 235 and np.median(flat[PAGE < 70]) < 130


@pytest.mark.parametrize(
    ("how", "noise"), [("bilateral", "grain"), ("nlmeans", "grain"), ("median", "specks")]
)
def test_denoising_brings_a_page_nearer_to_the_clean_one(how: str, noise: str) -> None:
    rng, clean = np.random.default_rng(4), PAGE[:300, :400]
    spoilt = clean + rng.normal(0, 14, clean.shape)
    if noise == "specks":
        spoilt = np.where(rng.random(clean.shape) < 0.02, 0, clean)
    spoilt = np.clip(spoilt, 0, 255).astype(np.uint8)
    better = denoised(spoilt, how, 14.0)  # type: ignore[arg-type]
    error = [float(np.square(x.astype(float) - clean).mean()) for x in (spoilt, better)]
    assert error[1] < 0.7 * error[0]


@pytest.mark.parametrize("angle", [-20.0, 0.0, 15.0, 30.0, 45.0])
def test_the_slant_is_found_and_removed(angle: float) -> None:
    upright = CUT[2].image
    assert upright is not None
    leaning = sheared(upright, -angle)
    assert slant_of(leaning) == pytest.approx(angle, abs=4)
    assert abs(slant_of(remove_slant(leaning))) <= 4


def test_no_ink_is_lost_by_shearing() -> None:
    image = CUT[2].image
    assert image is not None
    for angle in (-25.0, 50.0):
        assert float(sheared(image, angle).sum()) == pytest.approx(float(image.sum()), rel=0.02)
    assert slant_of(np.zeros((48, 300), np.uint8)) == 0.0


def test_sauvola_leaves_black_and_white() -> None:
    image = CUT[1].image
    assert image is not None
    faint = (image * np.linspace(0.3, 1.0, image.shape[1])[None, :]).astype(np.uint8)
    black = sauvola(faint, 0.2)
    assert np.mean((black < 30) | (black > 225)) > 0.85
    assert (black > 127)[image > 200].mean() > 0.9  # strokes, pale ones too
    assert (black > 127)[image < 10].mean() < 0.02  # no dirt
    assert not sauvola(np.zeros((48, 200), np.uint8), 0.2).any()


# ---- configuration ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"denoize": "median"}, "did you mean 'denoise'"),
        ({"denoise": "gauss"}, "choices: bilateral, median, nlmeans, none"),
        ({"deskew": 1}, "wanted bool"),
        ({"grain": 0}, "grain is 0"),
        ({"sauvola_k": 2.0}, "wanted 0 to 1"),
    ],
)
def test_the_table_is_strict(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping(table, Preprocess)


def test_models_and_recipes_have_the_table(tmp_path: Path) -> None:
    from ensemble_htr.pipeline import ModelConfig

    path = tmp_path / "model.toml"
    path.write_text('recognizers = ["crnn"]\n[preprocess]\ndeslant = true\ndenoise = "median"\n')
    steps = load_toml(path, ModelConfig).preprocess
    assert steps == Preprocess(denoise="median", deslant=True)
    assert [s for s in (*PAGE_STEPS, *LINE_STEPS) if steps.acts(s)] == ["denoise", "deslant"]
