"""The cost of review: what is left after checking the least sure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.metrics import SHARES, TARGETS, review_curve

UNITS = st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.5, 0.9]), st.integers(0, 3)), max_size=12)


@given(UNITS, st.integers(0, 5))
def test_checking_never_makes_worse_and_all_of_it_mends_what_units_hold(
    units: list[tuple[float, int]], elsewhere: int
) -> None:
    sure, edits = [u[0] for u in units], [u[1] for u in units]
    total = sum(edits) + elsewhere
    found = review_curve(sure, edits, total, 100)
    assert found.left[0] == total / 100
    assert found.left[-1] == pytest.approx(elsewhere / 100)
    assert all(a >= b - 1e-12 for a, b in zip(found.left, found.left[1:], strict=False))
    assert 0 <= found.found <= 1
    for target, share in zip(TARGETS, found.needed, strict=True):
        assert (share is None) == (elsewhere > target * 100 and (total > target * 100))


@given(st.permutations([(0.2, 3), (0.4, 0), (0.4, 2), (0.9, 1)]))
def test_the_order_of_equally_sure_units_does_not_matter(units: list[tuple[float, int]]) -> None:
    found = review_curve([u[0] for u in units], [u[1] for u in units], 6, 60)
    points = dict(found.points)
    assert points[0.25] == pytest.approx(3 / 60)
    assert points[0.5] == pytest.approx(2 / 60)  # one of two units with two errors in all
    assert found.needed[TARGETS.index(0.05)] == pytest.approx(0.25)


def test_shares_and_shapes() -> None:
    assert SHARES[0] == 0 and SHARES[-1] == 1 and list(SHARES) == sorted(SHARES)
    assert review_curve([], [], 4, 10).needed == (None, None, None, None)
    with pytest.raises(ValueError, match="1 confidences for 2"):
        review_curve([0.1], [1, 2], 3, 4)
