"""Compiling: what a leaf is compiled with, and without numba's option for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="compiles with numba")

from ensemble_htr import jit  # noqa: E402


def _total(values: Any) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


def test_a_leaf_is_the_same_function() -> None:
    assert jit.leaf(_total)(np.arange(5.0)) == _total(np.arange(5.0)) == 10.0


@pytest.mark.parametrize("has", [True, False])
def test_a_numba_without_the_option_compiles_it_all_the_same(
    has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    njit, asked = numba.njit, []

    def noted(**options: Any) -> Any:
        asked.append("_nrt" in options)
        return njit(**options)

    monkeypatch.setattr(numba, "njit", noted)
    monkeypatch.setattr(jit, "_counts_on_request", lambda: has)
    assert jit.leaf(_total)(np.arange(3.0)) == 3.0
    assert asked == [has]
