"""The estimator against the definition, and the law that every context sums to one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.errors import InputError, UsageError
from ensemble_htr.lm.kneser_ney import FALLBACK, discounts, estimate, vocabulary
from ensemble_htr.lm.ngrams import count, encode, stream_logprob

from .oracle import adjusted_counts, probability
from .shared import LINES, TEXT, TOKENS, line_logprob, small, sums


@settings(max_examples=40, deadline=None)
@given(lines=LINES, order=st.integers(1, 4))
def test_agrees_with_the_definition(lines: list[tuple[str, ...]], order: int) -> None:
    model = estimate(lines, order)
    tables = adjusted_counts(lines, order)
    asked = [*lines[:3], ("b", "é", "a", "œ")]
    for line in asked:
        known = [t if t in model.vocab else "<unk>" for t in line]
        padded = ("<s>", *known, "</s>")
        ours = stream_logprob(model, encode([line], model.vocab))
        for i in range(1, len(padded)):
            context = padded[max(0, i - order + 1) : i]
            wanted = probability(tables, context, padded[i], len(model.vocab) - 1)
            assert math.exp(ours[i]) == pytest.approx(wanted, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(lines=LINES, order=st.integers(1, 5))
def test_every_context_sums_to_one(lines: list[tuple[str, ...]], order: int) -> None:
    np.testing.assert_allclose(sums(estimate(lines, order)), 1.0, atol=1e-9)


def test_discounts_of_chen_and_goodman() -> None:
    counts = np.array([1] * 40 + [2] * 10 + [3] * 4 + [4] * 2 + [9])
    y = 40 / 60
    assert discounts(counts) == pytest.approx((1 - 2 * y / 4, 2 - 3 * y * 0.4, 3 - 4 * y * 0.5))


@pytest.mark.parametrize(
    "counts",
    [
        [1, 1, 2, 2],  # no n-gram occurs three times
        [5, 6, 7],  # a saturated order: nothing is rare
        [],  # an order that the text is too short for
        [1] * 40 + [2] * 10 + [3] * 40,  # a discount below zero
        [1] * 4 + [2] * 4 + [3] * 4 + [4] * 9,  # a discount of nought: nothing left for the unseen
    ],
)
def test_discounts_fall_back(counts: list[int]) -> None:
    assert discounts(np.array(counts, np.int64)) == FALLBACK


def test_line_order_does_not_matter() -> None:
    turned = estimate(TOKENS[::-1], 4)
    assert turned.vocab == small().vocab
    np.testing.assert_array_equal(turned.logp, small().logp)


def test_counts_are_the_substrings() -> None:
    vocab = vocabulary(TOKENS)
    trie, counts = count(encode(TOKENS, vocab), len(vocab), 3)
    node = 0
    for token in "not":
        node = int(trie.find(np.array([node]), np.array([vocab.index(token)]))[0])
    assert counts[node] == sum(line.count("not") for line in TEXT)


def test_large_vocabulary_needs_no_room_in_the_key() -> None:
    lines = [tuple(chr(0x4E00 + i) for i in range(s, s + 40)) for s in range(0, 4000, 40)]
    model = estimate(lines, 6)  # 4003 tokens: six of them do not fit in 63 bits
    assert len(model.vocab) == 4003
    assert line_logprob(model, lines[0]) > line_logprob(model, lines[0][::-1])


def test_shared_vocabulary_counts_strangers_as_unknown() -> None:
    narrow = estimate([*TOKENS, ("œ",)], 3, small().vocab)
    assert narrow.vocab == small().vocab
    assert narrow.mass is not None and narrow.mass[1] > 0


def test_errors() -> None:
    with pytest.raises(UsageError, match="order 11: wanted 1 to 10"):
        estimate(TOKENS, 11)
    with pytest.raises(InputError, match="no line"):
        estimate([], 3)
