"""Laws of the distortions: deterministic, same height, same kind, never a crash."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("cv2")

from ensemble_htr.train.augment import augment  # noqa: E402
from ensemble_htr.train.recipe import AugmentOptions  # noqa: E402

ALWAYS = AugmentOptions(probability=1.0, stroke=1.0, blur=1.0, erase=1.0)
WILD = AugmentOptions(
    probability=1.0, slant=90, rotation=45, scale=2, stretch=2, shift=1, elastic=0.5, noise=1
)
widths = st.one_of(st.integers(1, 80), st.integers(81, 4096))


def line(width: int, seed: int, height: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(
    widths,
    st.sampled_from([16, 40, 48]),
    st.integers(0, 2**32),
    st.sampled_from([ALWAYS, WILD]),
)
def test_same_height_same_kind_never_a_crash(
    width: int, height: int, seed: int, options: AugmentOptions
) -> None:
    image = line(width, seed, height)
    before = image.copy()
    out = augment(image, options, np.random.default_rng(seed))
    assert out.dtype == np.uint8
    assert out.shape[0] == height
    assert 1 <= out.shape[1] <= 4 * width + 2 * height
    assert np.array_equal(image, before)  # the original is left alone


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 600), st.integers(0, 2**32))
def test_a_function_of_the_generator(width: int, seed: int) -> None:
    image = line(width, seed)
    first = augment(image, ALWAYS, np.random.default_rng([seed, 1]))
    assert np.array_equal(first, augment(image, ALWAYS, np.random.default_rng([seed, 1])))


def test_different_draws_differ_and_strength_zero_changes_nothing() -> None:
    image = line(200, 1)
    one, two = (augment(image, ALWAYS, np.random.default_rng(s)) for s in (1, 2))
    assert one.shape != two.shape or not np.array_equal(one, two)
    off = AugmentOptions(
        1.0,
        **dict.fromkeys(("slant", "rotation", "scale", "stretch", "shift", "elastic"), 0.0),
        **dict.fromkeys(("stroke", "contrast", "noise", "blur", "erase"), 0.0),
    )
    assert np.abs(augment(image, off, np.random.default_rng(0)).astype(int) - image).max() <= 1
    never = AugmentOptions(probability=0.0)
    assert augment(image, never, np.random.default_rng(0)) is image


def test_blank_paper_stays_blank_without_noise() -> None:
    quiet = AugmentOptions(probability=1.0, noise=0.0)
    blank = np.zeros((48, 300), np.uint8)
    assert not augment(blank, quiet, np.random.default_rng(5)).any()
