"""Laws of calibration measures; AUROC against the O(n^2) definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.metrics import auroc, ece, reliability_bins

PAIRS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.5000001, 0.9, 1.0]), st.booleans()), max_size=30
)


def slow_auroc(pairs: list[tuple[float, bool]]) -> float:
    right = [c for c, ok in pairs if ok]
    wrong = [c for c, ok in pairs if not ok]
    if not right or not wrong:
        return math.nan
    wins = sum((r > w) + 0.5 * (r == w) for r in right for w in wrong)
    return wins / (len(right) * len(wrong))


@given(PAIRS)
def test_auroc_is_the_chance_that_right_outranks_wrong(pairs: list[tuple[float, bool]]) -> None:
    found = auroc([c for c, _ in pairs], [ok for _, ok in pairs])
    assert found == pytest.approx(slow_auroc(pairs), nan_ok=True)


@given(PAIRS, st.randoms(use_true_random=False), st.integers(1, 20))
def test_order_does_not_matter_and_bins_cover_all(pairs, random, bins) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(pairs)
    random.shuffle(shuffled)
    tables = [
        reliability_bins([c for c, _ in rows], [ok for _, ok in rows], bins)
        for rows in (pairs, shuffled)
    ]
    assert [b.count for b in tables[0]] == [b.count for b in tables[1]]
    assert [b.accuracy for b in tables[0]] == pytest.approx([b.accuracy for b in tables[1]])
    assert sum(b.count for b in tables[0]) == len(pairs)
    assert len(tables[0]) <= bins
    edges = [edge for b in tables[0] for edge in (b.low, b.high)]
    assert edges == sorted(edges)
    assert 0.0 <= ece([c for c, _ in pairs], [ok for _, ok in pairs], bins) <= 1.0


def test_honest_confidences_have_a_small_error_and_boasts_a_large_one() -> None:
    rng = np.random.default_rng(0)
    claimed = rng.uniform(0, 1, 20_000)
    honest = rng.uniform(0, 1, 20_000) < claimed
    boast = rng.uniform(0, 1, 20_000) < claimed**3
    assert ece(claimed, honest) < 0.015
    assert ece(claimed, boast) == pytest.approx(0.25, abs=0.02)  # mean of x - x^3


def test_bins_hold_equal_mass() -> None:
    counts = [b.count for b in reliability_bins(np.linspace(0, 1, 150), np.ones(150))]
    assert counts == [10] * 15


def test_one_confidence_for_all_is_one_bin() -> None:
    (only,) = reliability_bins([0.7] * 10, [True] * 6 + [False] * 4)
    assert only.count == 10
    assert ece([0.7] * 10, [True] * 6 + [False] * 4) == pytest.approx(0.1)


@pytest.mark.parametrize("bad", [[1.5], [-0.1], [math.nan]])
def test_confidences_outside_the_unit_interval_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="lie in"):
        ece(bad, [True])
    with pytest.raises(ValueError, match="2 confidences"):
        auroc([0.1, 0.2], [True])
