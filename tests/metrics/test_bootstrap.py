"""Laws of the clustered bootstrap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.metrics import bootstrap, bootstrap_difference, bootstrap_rate

CLUSTERS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(20, 200)), min_size=1, max_size=8
)


@settings(max_examples=40)
@given(CLUSTERS, st.integers(0, 2**32))
def test_seeded_and_ordered(rows: list[tuple[int, int, int]], seed: int) -> None:
    a, b, n = zip(*rows, strict=True)
    estimate = bootstrap_rate(a, n, seed=seed, draws=300)
    assert estimate == bootstrap_rate(a, n, seed=seed, draws=300)
    assert estimate.low <= estimate.high
    assert estimate.value == sum(a) / sum(n)
    difference = bootstrap_difference(a, b, n, seed=seed, draws=300)
    swapped = bootstrap_difference(b, a, n, seed=seed, draws=300)
    assert difference.value == pytest.approx(-swapped.value)
    assert (difference.low, difference.high) == pytest.approx((-swapped.high, -swapped.low))


@given(CLUSTERS)
def test_a_system_does_not_differ_from_itself(rows: list[tuple[int, int, int]]) -> None:
    a, _, n = zip(*rows, strict=True)
    estimate = bootstrap_difference(a, a, n, draws=50)
    assert (estimate.value, estimate.low, estimate.high) == (0, 0, 0)


def test_interval_against_the_whole_bootstrap_distribution() -> None:
    """Oracle: all 4^4 resamples of four clusters, each equally likely."""
    edits, totals = np.array([1, 5, 9, 30]), np.array([100, 80, 120, 150])
    every = np.array(list(itertools.product(range(4), repeat=4)))
    rates = edits[every].sum(axis=1) / totals[every].sum(axis=1)
    estimate = bootstrap_rate(edits, totals, draws=40_000)
    assert estimate.low == pytest.approx(np.quantile(rates, 0.025), abs=2e-3)
    assert estimate.high == pytest.approx(np.quantile(rates, 0.975), abs=2e-3)


def test_clusters_widen_the_interval() -> None:
    """The same lines, drawn by document, are less certain when documents differ."""
    rng = np.random.default_rng(1)
    difficulty = rng.uniform(0.02, 0.3, 20)
    lines = rng.binomial(40, np.repeat(difficulty, 50))
    by_line = bootstrap_rate(lines, np.full(1000, 40))
    by_document = bootstrap_rate(lines.reshape(20, 50).sum(axis=1), np.full(20, 2000))
    assert by_document.value == by_line.value
    assert by_document.high - by_document.low > 3 * (by_line.high - by_line.low)


@pytest.mark.parametrize("clusters", [0, 1])
def test_too_few_clusters_give_a_point(clusters: int) -> None:
    estimate = bootstrap_rate([3] * clusters, [10] * clusters)
    assert estimate.low == estimate.value == estimate.high == 0.3 * clusters


def test_empty_references_do_not_crash() -> None:
    assert bootstrap_rate([2, 1], [0, 0]).value == 3.0


def test_small_blocks_cover_all_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_CELLS", 10)
    assert bootstrap._drawn_sums(np.ones((4, 2)), 7, 0).tolist() == [[4.0, 4.0]] * 7


def test_unequal_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="equal length"):
        bootstrap_rate([1, 2], [3])
