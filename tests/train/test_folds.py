"""Folds: nothing is judged by what its own document taught, and every fold has something."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ensemble_htr.train.folds import FOLDS, folds

lines = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 60)), max_size=80)


@given(lines)
def test_documents_stay_whole_and_nobody_learns_from_himself(found: list[tuple[str, int]]) -> None:
    fold = folds(found)
    assert len(fold) == len(found) and set(fold) <= set(range(FOLDS))
    if len(found) > 1:
        assert len(set(fold)) > 1
    docs = {doc for doc, _ in found}
    if len(docs) >= FOLDS:
        assert all(len({k for k, (d, _) in zip(fold, found, strict=True) if d == doc}) == 1
                   for doc in docs)  # fmt: skip
    if len(found) >= FOLDS:
        assert len(set(fold)) == FOLDS
