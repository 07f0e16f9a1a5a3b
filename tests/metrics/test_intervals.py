"""Intervals over clusters and the permutation test."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.metrics import (
    difference_interval,
    effective_clusters,
    rate_interval,
    sign_flip_test,
)

CLUSTERS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 40)), min_size=1, max_size=12)


@given(CLUSTERS, st.randoms())
def test_an_interval_holds_its_value_whatever_the_order(
    clusters: list[tuple[int, int]], random: object
) -> None:
    edits, totals = zip(*clusters, strict=True)
    found = rate_interval(edits, totals)
    assert found.value == sum(edits) / max(1, sum(totals))
    assert 0 <= found.low <= found.value <= found.high
    turned = rate_interval(edits[::-1], totals[::-1])
    assert [turned.low, turned.high] == pytest.approx([found.low, found.high])
    if len(clusters) == 1:
        assert found.low == found.high


@given(CLUSTERS, st.data())
def test_a_difference_is_turned_round(clusters: list[tuple[int, int]], data: st.DataObject) -> None:
    edits, totals = zip(*clusters, strict=True)
    other = [data.draw(st.integers(0, 20)) for _ in edits]
    one = difference_interval(edits, totals, other, totals)
    two = difference_interval(other, totals, edits, totals)
    assert one.value == pytest.approx(-two.value)
    assert [one.low, one.high] == pytest.approx([-two.high, -two.low])
    same = difference_interval(edits, totals, edits, totals)
    assert (same.value, same.low, same.high) == (0, 0, 0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8))
def test_the_permutation_test_counts_all_flips(pairs: list[tuple[int, int]]) -> None:
    one, two = [p[0] for p in pairs], [p[1] for p in pairs]
    d = [a - b for a, b in pairs if a != b]
    sums = [abs(sum(x * s for x, s in zip(d, signs, strict=True)))
            for signs in product((1, -1), repeat=len(d))]  # fmt: skip
    wanted = sum(s >= abs(sum(d)) for s in sums) / len(sums)
    assert sign_flip_test(one, two) == pytest.approx(wanted)
    assert sign_flip_test(two, one) == pytest.approx(wanted)


def test_drawn_flips_agree_with_the_normal_approximation() -> None:
    rng = np.random.default_rng(5)
    d = rng.normal(0.4, 1.0, 40)
    p = sign_flip_test(d, np.zeros(40))
    z = abs(d.sum()) / np.sqrt((d**2).sum())
    assert p == pytest.approx(math.erfc(z / math.sqrt(2)), abs=0.01)
    assert p == sign_flip_test(d, np.zeros(40))
    many = rng.normal(0.04, 1.0, 2_500)
    drawn = np.mean(
        [abs((many * rng.choice((-1, 1), 2_500)).sum()) >= abs(many.sum()) for _ in range(4_000)]
    )
    assert sign_flip_test(many, np.zeros(2_500)) == pytest.approx(drawn, abs=0.03)


def test_a_huge_document_among_small_ones_is_hardly_more_than_one() -> None:
    assert effective_clusters([10] * 8) == pytest.approx(8)
    assert effective_clusters([1000, *[1] * 19]) < 1.1
    equal = rate_interval([2, 4, 3, 5], [40] * 4)
    skewed = rate_interval([2, 4, 3, 50], [40, 40, 40, 400])
    assert equal.high / equal.value < skewed.high / skewed.value


@pytest.mark.parametrize(("documents", "least", "most"), [(6, 0.9, 1.0), (40, 0.93, 0.97)])
def test_coverage(documents: int, least: float, most: float) -> None:
    """Documents as different in size as an archive's; with 40 somewhat less."""
    rng = np.random.default_rng(11)
    spread = 1.2 if documents < 10 else 0.8
    rounds = 1500
    sizes = np.maximum(50, np.exp(7 + spread * rng.normal(size=(rounds, documents)))).astype(int)
    rates = 1 / (1 + np.exp(2.2 - 0.6 * rng.normal(size=(rounds, documents))))
    edits = rng.binomial(sizes, rates)
    wanted = (1 / (1 + np.exp(2.2 - 0.6 * rng.normal(size=1_000_000)))).mean()
    found = [rate_interval(x, n) for x, n in zip(edits, sizes, strict=True)]
    assert least <= np.mean([e.low <= wanted <= e.high for e in found]) <= most
