"""Distances of long texts: the bound is one, the distance is exact."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from ensemble_htr.metrics import alignment_pairs, edit_counts, edit_distance
from ensemble_htr.metrics.bound import distance_bound
from ensemble_htr.metrics.distance import coded

PIECES = st.lists(
    st.sampled_from(["abcdefghijklmnop", "qrstuvwxyz0123456", "le roi ", "x", "x" * 20, ""]),
    max_size=8,
).map("".join)


@given(PIECES, PIECES)
def test_the_bound_is_never_too_small(one: str, two: str) -> None:
    bound = distance_bound(one, two)
    assert Levenshtein.distance(one, two) <= bound <= max(len(one), len(two))
    assert distance_bound(one, one) == 0


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_long_texts(rate: float) -> None:
    rng = random.Random(3)
    one = "".join(rng.choices("abcdefghij éà", k=30_000))
    two = "".join(c if rng.random() > rate else rng.choice(["", "x", c + "e"]) for c in one)
    exact = Levenshtein.distance(one, two)
    assert edit_distance(one, two) == exact
    assert edit_counts(one, two).edits == exact
    if rate < 0.1:
        assert distance_bound(one, two) <= 1.05 * exact
    pairs = alignment_pairs(one, two)
    assert "".join(w for w, _ in pairs) == one and "".join(r for _, r in pairs) == two


@given(st.lists(st.lists(st.sampled_from(["a", "é", "q\u0303", "𝒳"]), max_size=6), max_size=4))
def test_codes_are_equal_where_tokens_are(sequences: list[list[str]]) -> None:
    texts = coded(sequences)
    assert [len(t) for t in texts] == [len(s) for s in sequences]
    for s, t in zip(sequences, texts, strict=True):
        for u, v in zip(sequences, texts, strict=True):
            assert (s == u) == (t == v)
