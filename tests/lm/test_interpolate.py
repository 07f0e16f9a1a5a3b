"""Mixing and pruning keep a model a model: contexts sum to one, edges are exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_htr.errors import InputError, UsageError
from ensemble_htr.lm.interpolate import (
    fit_weights,
    interpolate,
    keep,
    mixed_logprob,
    prune_counts,
    prune_entropy,
)
from ensemble_htr.lm.kneser_ney import estimate, vocabulary
from ensemble_htr.lm.ngrams import NGramModel, encode, stream_logprob

from .shared import LINES, TOKENS, small, sums


def pair(a: list[tuple[str, ...]], b: list[tuple[str, ...]], order: int = 3) -> list[NGramModel]:
    vocab = vocabulary([*a, *b])
    return [estimate(a, order, vocab), estimate(b, order, vocab)]


@settings(max_examples=30, deadline=None)
@given(a=LINES, b=LINES, weight=st.floats(0.05, 0.95), gamma=st.sampled_from([0.0, 0.5, 1.0]))
def test_static_mix_equals_dynamic_on_seen_ngrams(
    a: list[tuple[str, ...]], b: list[tuple[str, ...]], weight: float, gamma: float
) -> None:
    models = pair(a, b)
    weights = (weight, 1 - weight)
    mixed = interpolate(models, weights, gamma)
    np.testing.assert_allclose(sums(mixed), 1.0, atol=1e-7)
    stream = encode([*a, *b], mixed.vocab)  # every n-gram of these lines is in one of the models
    wanted = mixed_logprob(models, weights, stream, gamma)
    np.testing.assert_allclose(stream_logprob(mixed, stream), wanted, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(a=LINES, b=LINES, gamma=st.sampled_from([0.0, 0.5]))
def test_order_of_the_models_does_not_matter(
    a: list[tuple[str, ...]], b: list[tuple[str, ...]], gamma: float
) -> None:
    models = pair(a, b)
    one, other = (
        interpolate(models, (0.3, 0.7), gamma),
        interpolate(models[::-1], (0.7, 0.3), gamma),
    )
    assert one.trie.offsets == other.trie.offsets
    np.testing.assert_allclose(one.logp, other.logp, atol=1e-12)
    np.testing.assert_allclose(one.bow, other.bow, atol=1e-6)


def test_weight_nought_leaves_no_trace() -> None:
    models = pair(TOKENS[:4], TOKENS[4:])
    assert interpolate(models, (1.0, 0.0)) is models[0]
    assert interpolate(models, (0.0, 2.0)) is models[1]


def test_a_model_mixed_with_itself_is_itself() -> None:
    mixed = interpolate([small(), small()], (0.5, 0.5), 0.5)
    assert mixed.trie.offsets == small().trie.offsets
    np.testing.assert_allclose(mixed.logp, small().logp, atol=1e-12)
    contexts = np.unique(mixed.trie.parent[mixed.trie.offsets[2] :])
    np.testing.assert_allclose(mixed.bow[contexts], small().bow[contexts], atol=1e-6)


def test_mixing_orders() -> None:
    vocab = vocabulary(TOKENS)
    mixed = interpolate(
        [estimate(TOKENS[:4], 2, vocab), estimate(TOKENS[4:], 4, vocab)], (0.5, 0.5)
    )
    assert mixed.order == 4
    np.testing.assert_allclose(sums(mixed), 1.0, atol=1e-7)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_fit_finds_the_best_weight(gamma: float) -> None:
    models = pair(TOKENS[:5], TOKENS[5:])
    stream = encode([*TOKENS[:2], *TOKENS[6:8]], models[0].vocab)
    fitted = fit_weights(models, stream, gamma=gamma)
    assert sum(fitted) == pytest.approx(1.0)
    grid = [(w, 1 - w) for w in np.linspace(0.001, 0.999, 200)]
    best = max(mixed_logprob(models, w, stream, gamma).sum() for w in grid)
    assert mixed_logprob(models, fitted, stream, gamma).sum() >= best - 1e-2


def test_fit_gives_a_useless_model_nothing() -> None:
    models = pair(TOKENS, [tuple("zzzz"), tuple("zqzq")])
    weights = fit_weights(models, encode(TOKENS, models[0].vocab))
    assert weights[0] > 0.99


def test_importance_turns_the_fit() -> None:
    models = pair(TOKENS[:4], TOKENS[4:])
    stream = encode([TOKENS[0], TOKENS[7]], models[0].vocab)
    first = np.arange(len(stream)) < len(TOKENS[0]) + 2
    towards = fit_weights(models, stream, np.where(first, 100.0, 1.0))
    away = fit_weights(models, stream, np.where(first, 1.0, 100.0))
    assert towards[0] > away[0]


@settings(max_examples=30, deadline=None)
@given(lines=LINES, order=st.integers(2, 5), threshold=st.floats(1e-6, 0.1))
def test_pruned_models_sum_to_one(
    lines: list[tuple[str, ...]], order: int, threshold: float
) -> None:
    model = estimate(lines, order)
    pruned = prune_entropy(model, threshold)
    np.testing.assert_allclose(sums(pruned), 1.0, atol=1e-7)
    assert sum(pruned.counts()) <= sum(model.counts())
    np.testing.assert_array_equal(pruned.trie.keys, np.sort(pruned.trie.keys))


def test_more_pruning_keeps_less_and_predicts_worse() -> None:
    stream = encode(TOKENS, small().vocab)
    pruned = [prune_entropy(small(), t) for t in (0.0, 1e-4, 1e-3, 1e-2)]
    assert pruned[0] is small()
    sizes = [sum(m.counts()) for m in pruned]
    scores = [stream_logprob(m, stream).sum() for m in pruned]
    assert sizes == sorted(sizes, reverse=True) and scores == sorted(scores, reverse=True)
    assert sizes[-1] < sizes[0]


def test_entropy_of_one_loss_is_the_real_loss() -> None:
    """Stolcke's formula against the definition: the weighted KL divergence of two models."""
    model = small(2)
    trie = model.trie
    victim = trie.offsets[2] + 20
    kept = np.ones(len(model.logp), np.bool_)
    kept[victim] = False
    after = keep(model, kept)
    context = int(trie.parent[victim])
    assert model.mass is not None

    def row(m: NGramModel) -> np.ndarray:
        """p(. | context): unigram nodes have the same number in both models."""
        tokens = np.arange(m.trie.size)
        at = m.trie.find(np.full(m.trie.size, context), tokens)
        p = np.where(at >= 0, np.exp(m.logp[at]), np.exp(m.bow[context] + m.logp[1 + tokens]))
        return np.delete(p, 1)

    p, q = row(model), row(after)
    rise = np.expm1(model.mass[context] * float((p * np.log(p / q)).sum()))
    assert victim_kept(model, victim, rise * 0.99) and not victim_kept(model, victim, rise * 1.01)


def victim_kept(model: NGramModel, victim: int, threshold: float) -> bool:
    pruned = prune_entropy(model, threshold).trie
    parent, token = model.trie.parent[[victim]], model.trie.token[[victim]]
    return bool(pruned.find(parent, token)[0] >= 0)


def test_count_cutoffs() -> None:
    tokens = sum(len(line) + 2 for line in TOKENS)
    cut = prune_counts(small(), tokens, (0, 0, 1, 1))
    assert cut.counts()[:2] == small().counts()[:2] and cut.counts()[3] < small().counts()[3]
    assert cut.mass is not None
    assert (cut.mass[cut.trie.nodes(4)] * tokens > 1.5).all()
    np.testing.assert_allclose(sums(cut), 1.0, atol=1e-7)
    assert prune_counts(small(), tokens, ()) is small()


def test_errors() -> None:
    models = pair(TOKENS[:4], TOKENS[4:])
    with pytest.raises(UsageError, match="cannot mix 2 models"):
        interpolate(models, (1.0,))
    with pytest.raises(UsageError, match="cannot mix"):
        interpolate(models, (1.0, -1.0))
    with pytest.raises(UsageError, match="share one vocabulary"):
        interpolate([models[0], small(3)][:1] + [estimate([("x",)], 3)], (0.5, 0.5))
    with pytest.raises(InputError, match="no held-out"):
        fit_weights(models, encode([], models[0].vocab))
    with pytest.raises(UsageError, match="must not fall"):
        prune_counts(small(), 10, (2, 1))
    with pytest.raises(UsageError, match="threshold"):
        prune_entropy(small(), -1.0)
