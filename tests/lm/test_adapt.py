"""A model that takes in own lines: probabilities stay such, the own text gets likelier."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.errors import InputError
from ensemble_htr.lm.adapt import adapt, widened
from ensemble_htr.lm.kneser_ney import estimate, vocabulary
from ensemble_htr.lm.ngrams import UNK_ID, NGramModel, encode, stream_logprob

LINES = st.lists(st.text("abc ", min_size=1, max_size=12).map(tuple), min_size=1, max_size=8)


def _model(lines: list[tuple[str, ...]], order: int) -> NGramModel:
    return estimate(lines, order, vocabulary(lines))


@settings(max_examples=40, deadline=None)
@given(LINES, st.integers(1, 4), st.text("abcxyz", max_size=5))
def test_a_wider_vocabulary_changes_nothing_else(
    lines: list[tuple[str, ...]], order: int, tokens: str
) -> None:
    before = _model(lines, order)
    after = widened(before, tokens)
    assert set(after.vocab) == set(before.vocab) | set(tokens)
    assert (np.diff(after.trie.keys) > 0).all()
    heard = [stream_logprob(m, encode(lines, m.vocab)) for m in (before, after)]
    np.testing.assert_allclose(heard[0], heard[1], atol=1e-12)
    new = [1 + after.vocab.index(t) for t in set(after.vocab) - set(before.vocab)]
    shared = np.exp(after.logp[[1 + UNK_ID, *new]]).sum()
    if np.isfinite(before.logp[1 + UNK_ID]):
        assert shared == pytest.approx(np.exp(before.logp[1 + UNK_ID]))


@settings(max_examples=25, deadline=None)
@given(LINES, LINES, st.integers(2, 4))
def test_every_context_sums_to_one(
    lines: list[tuple[str, ...]], own: list[tuple[str, ...]], order: int
) -> None:
    own = [(*line, "é") for line in own]
    found = adapt(_model(lines, order), own, own, order)
    assert found.after <= found.before + 1e-9
    vocab = found.model.vocab
    for history in ((), ("a",), ("é",), ("b", "c")):
        streams = [encode([(*history, t)], vocab) for t in vocab[3:]]
        total = sum(np.exp(stream_logprob(found.model, s)[len(history) + 1]) for s in streams)
        ended = np.exp(stream_logprob(found.model, encode([history], vocab))[-1])
        unknown = np.exp(stream_logprob(found.model, encode([(*history, "∅")], vocab))[-2])
        assert total + ended + unknown == pytest.approx(1.0, abs=1e-6)


def test_the_share_follows_the_lines_held_back() -> None:
    french = [tuple("le chat de la maison")] * 5 + [tuple("la porte du chateau")] * 5
    latin = [tuple("in nomine domini amen")] * 4
    foreign = adapt(_model(french, 3), latin, latin, 3)
    alike = adapt(_model(french, 3), latin, french, 3)
    assert foreign.share > 0.9 > 0.2 > alike.share
    assert foreign.after < 0.5 * foreign.before


def test_without_a_model_the_lines_make_one_and_without_lines_there_is_none() -> None:
    line = tuple("amen")
    assert adapt(None, [line], [line]).share == 1.0
    with pytest.raises(InputError, match="lines to count"):
        adapt(None, [()], [line])
