"""Laws of the agreement of errors; phi against NumPy's correlation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.metrics import ErrorAgreement, error_agreement, written_at

LINE = st.text(alphabet="abc", max_size=12)


@given(LINE, LINE, LINE)
def test_phi_is_the_correlation_of_the_error_indicators(ref: str, one: str, two: str) -> None:
    found = error_agreement(ref, one, two)
    a = np.array([x != r for r, x in zip(ref, written_at(ref, one), strict=True)], dtype=float)
    b = np.array([x != r for r, x in zip(ref, written_at(ref, two), strict=True)], dtype=float)
    if len(ref) and a.std() and b.std():
        assert found.phi == pytest.approx(np.corrcoef(a, b)[0, 1])
    else:
        assert found.phi == 0.0
    assert 0.0 <= found.identical <= found.shared <= 1.0


@given(LINE, LINE, LINE)
def test_symmetric_and_additive(ref: str, one: str, two: str) -> None:
    found, swapped = error_agreement(ref, one, two), error_agreement(ref, two, one)
    assert (found.phi, found.shared) == pytest.approx((swapped.phi, swapped.shared))
    assert found + ErrorAgreement() == found
    assert (found + swapped).characters == 2 * len(ref)


@given(LINE, LINE)
def test_a_system_agrees_with_itself(ref: str, reading: str) -> None:
    found = error_agreement(ref, reading, reading)
    assert found.first == found.second == found.both == found.same
    if 0 < found.first < len(ref):
        assert found.phi == pytest.approx(1.0)


def test_known_line() -> None:
    found = error_agreement("abcdef", "axcdyf", "axc_ef!")
    assert found == ErrorAgreement(characters=6, first=2, second=2, both=1, same=1)
    assert found.shared == found.identical == pytest.approx(1 / 3)
