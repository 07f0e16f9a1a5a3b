"""A forest is what scikit-learn grew, and nothing that a hostile file makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.combine.forest import Forest
from ensemble_htr.config import from_mapping, to_mapping
from ensemble_htr.train.arcs import exported

LEAF = [-1, 0, 0, 0, 0.5]


@pytest.mark.parametrize("leaves", [2, 7, 31])
def test_a_forest_says_what_the_library_says(leaves: int) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    draw = np.random.default_rng(0)
    x = draw.normal(size=(600, 3)).round(1)  # many values lie on a threshold's two sides exactly
    y = (x[:, 0] * x[:, 1] + 0.3 * x[:, 2] + draw.normal(size=600) > 0).astype(int)
    model = HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=leaves).fit(x, y)
    forest = exported(model, ("a", "b", "c"))
    assert np.allclose(forest(x), model.predict_proba(x)[:, 1], atol=1e-5)
    again = from_mapping(to_mapping(forest), Forest)
    assert np.array_equal(again(x), forest(x)) and forest(x[:0]).shape == (0,)


@pytest.mark.parametrize(
    "nodes, roots",
    [
        ([[0, 0.5, 0, 1, 0], LEAF], [0]),  # leads to itself
        ([[0, 0.5, 1, 9, 0], LEAF], [0]),  # leads out of the table
        ([[0, 0.5, 1, -1, 0], LEAF], [0]),
        ([[7, 0.5, 1, 2, 0], LEAF, LEAF], [0]),  # a feature that nobody computes
        ([[0.5, 0.5, 1, 2, 0], LEAF, LEAF], [0]),
        ([[0, float("nan"), 1, 2, 0], LEAF, LEAF], [0]),
        ([LEAF], [1]),
        ([LEAF], [-1]),
        ([[0, 1]], [0]),  # rows too short
        ([["x", 0, 0, 0, 0]], [0]),
        (5, [0]),
        ([[[[0]]]], [0]),
        ([LEAF] * 200_001, [0]),
        ([[0, 0, i + 1, i + 1, 0] for i in range(100)] + [LEAF], [0]),  # too deep
    ],
)
def test_what_is_no_forest_is_refused(nodes: Any, roots: list[int]) -> None:
    with pytest.raises(ValueError):
        Forest(("a",), nodes=nodes, roots=tuple(roots))


def test_weights_go_with_features() -> None:
    with pytest.raises(ValueError, match="2 weights for 1 features"):
        Forest(("a",), weights=(1.0, 2.0))


@given(st.lists(st.lists(st.floats(-9, 9), min_size=5, max_size=5), max_size=4))
def test_any_numbers_are_a_forest_or_an_error(nodes: list[list[float]]) -> None:
    try:
        forest = Forest(("a", "b"), nodes=nodes, roots=tuple(range(len(nodes))))
    except ValueError:
        return
    assert np.all((forest(np.zeros((3, 2))) >= 0) & (forest(np.zeros((3, 2))) <= 1))
