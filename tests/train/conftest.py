"""A writing of five signs, drawn: enough to learn from in seconds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ensemble_htr.train.data import Sample
from ensemble_htr.train.recipe import (
    AugmentOptions,
    DataOptions,
    Recipe,
    Source,
    TrainOptions,
)

HEIGHT = 16  # px
SIGNS = {  # rectangles of ink: top, bottom, left, right in px of a cell 10 wide
    "a": [(2, 14, 2, 4)],
    "b": [(2, 5, 1, 8)],
    "c": [(11, 14, 1, 8)],
    "d": [(2, 14, 1, 3), (2, 14, 6, 8)],
    "e": [(2, 4, 1, 8), (7, 9, 1, 8), (12, 14, 1, 8)],
}


def draw(text: str, rng: np.random.Generator) -> np.ndarray:
    """``uint8 (16, W)`` with a little unrest."""
    cells = []
    for sign in text:
        cell = np.zeros((HEIGHT, 10 + int(rng.integers(0, 3))), np.uint8)
        for top, bottom, left, right in SIGNS[sign]:
            cell[top:bottom, left:right] = rng.integers(190, 256)
        cells.append(cell)
    return np.hstack([np.zeros((HEIGHT, 4), np.uint8), *cells, np.zeros((HEIGHT, 4), np.uint8)])


@pytest.fixture
def lines() -> Callable[[int, int, str], list[Sample]]:
    """``lines(count, seed, source)``: drawn lines of 3 to 7 signs by two hands."""

    def make(count: int, seed: int, source: str) -> list[Sample]:
        rng = np.random.default_rng(seed)
        made = []
        for number in range(count):
            text = "".join(rng.choice(list(SIGNS), int(rng.integers(3, 8))))
            hand = f"hand{number % 2}"
            name = f"{source}/{number}"
            made.append(Sample(name, hand, hand, source, text, draw(text, rng)))
        return made

    return make


@pytest.fixture
def recipe() -> Recipe:
    """A network of a few thousand weights and a run of a few seconds."""
    return Recipe(
        architecture="crnn",
        network={
            "height": HEIGHT,
            "stem": 8,
            "channels": [8, 12, 16],
            "blocks": [1, 1, 1],
            "hidden": 24,
            "layers": 1,
            "dropout": 0.05,
        },
        data=DataOptions(train=(Source("train"),), val="val", height=HEIGHT, letterless=1.0),
        augment=AugmentOptions(probability=0.3, slant=2.0, erase=0.0),
        train=TrainOptions(
            seed=3,
            epochs=6,
            lines_per_epoch=192,
            batch_pixels=600,
            rate=1e-2,
            ema=0.9,
            short_first=0.0,
        ),
    )
