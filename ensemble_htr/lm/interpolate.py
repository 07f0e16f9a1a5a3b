"""Interpolation of back-off models into one, and pruning.

The mix of models is *static*: the union of their n-grams with interpolated probabilities and
back-off weights recomputed so that every context sums to one (as in SRILM's ``ngram -mix-lm``), so
that one ARPA file holds it and any reader can use it. It equals the dynamic mix on every n-gram
that one of the models has seen.

A component's weight in a context ``h`` is proportional to ``weight * P_component(h) ** gamma``:
``gamma`` 0 is plain linear interpolation, 1 is Bayes' rule (the posterior of the component given
the context; SRILM's ``-bayes``), between them the evidence of overlapping contexts is tempered.
Weights are fitted on held-out lines by an expectation-maximisation step that is exact for gamma 0
(Jelinek and Mercer 1980). Pruning is by relative entropy (A. Stolcke, "Entropy-based pruning of
backoff language models", 1998) and by count cut-offs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.errors import InputError, UsageError
from ensemble_htr.lm.ngrams import (
    BOS_ID,
    Floats,
    Ints,
    NGramModel,
    Trie,
    context_logprob,
    stream_orders,
)

__all__ = [
    "fit_weights",
    "interpolate",
    "keep",
    "mixed_logprob",
    "prune_counts",
    "prune_entropy",
]

Mask = NDArray[np.bool_]


def fit_weights(
    models: Sequence[NGramModel],
    stream: Ints,
    importance: Floats | None = None,
    gamma: float = 0.0,
    steps: int = 200,
) -> tuple[float, ...]:
    """Mixture weights that maximise the likelihood of a held-out stream under the dynamic mix.

    ``importance`` ``(len(stream),)`` weighs tokens (default: all alike). The weights sum to one.
    Raises `InputError` if the stream predicts no token.
    """
    asked = np.flatnonzero(stream != BOS_ID)
    if not len(asked):
        raise InputError("no held-out text to fit the mix on")
    logp, trust = _views(models, stream, gamma)
    p, trust = np.exp(logp[:, asked]), trust[:, asked]
    share = np.ones(len(asked)) if importance is None else importance[asked]
    share = share / share.sum()
    weights = np.full(len(models), 1.0 / len(models))
    for _ in range(steps):
        prior = weights[:, None] * trust
        prior /= prior.sum(axis=0)
        joint = prior * p
        posterior = joint / np.maximum(joint.sum(axis=0), 1e-300)
        updated = weights * (posterior @ share) / np.maximum(prior @ share, 1e-300)
        updated /= updated.sum()
        done = np.abs(updated - weights).max() < 1e-6
        weights = updated
        if done:
            break
    return tuple(float(w) for w in weights)


def _views(models: Sequence[NGramModel], stream: Ints, gamma: float) -> tuple[Floats, Floats]:
    """What each model says of each token, and its trust from the context: (models, tokens)."""
    orders = [stream_orders(m, stream) for m in models]
    contexts = gamma * np.stack([context_logprob(rows, stream) for rows in orders])
    return np.stack([rows[-1] for rows in orders]), np.exp(contexts - contexts.max(axis=0))


def mixed_logprob(
    models: Sequence[NGramModel], weights: Sequence[float], stream: Ints, gamma: float = 0.0
) -> Floats:
    """The dynamic mix, token by token: natural-log probabilities ``(len(stream),)``."""
    logp, trust = _views(models, stream, gamma)
    prior = np.asarray(weights)[:, None] * trust
    mixed: Floats = np.log((prior * np.exp(logp)).sum(axis=0) / prior.sum(axis=0))
    return mixed


def interpolate(
    models: Sequence[NGramModel], weights: Sequence[float], gamma: float = 0.0
) -> NGramModel:
    """The static mix of models that share a vocabulary and were estimated by us.

    A model of weight 0 leaves no trace; a single one left is returned as it is. Raises
    `UsageError` for weights that are negative or do not fit, or for unlike vocabularies.
    """
    if len(weights) != len(models) or min(weights, default=-1.0) < 0 or sum(weights) <= 0:
        raise UsageError(f"cannot mix {len(models)} models with the weights {list(weights)}")
    if any(m.vocab != models[0].vocab for m in models):
        raise UsageError("models to mix must share one vocabulary")
    pairs = [(m, w / sum(weights)) for m, w in zip(models, weights, strict=True) if w > 0]
    if len(pairs) == 1:
        return pairs[0][0]
    trie, inverse = _union([m.trie for m, _ in pairs])
    views = [_probabilities(m, trie, at) for (m, _), at in zip(pairs, inverse, strict=True)]
    contexts = gamma * np.stack([_contexts(trie, view) for view in views])
    prior = np.array([[w] for _, w in pairs]) * np.exp(contexts - contexts.max(axis=0))
    prior /= prior.sum(axis=0)
    p = np.zeros(len(trie.token))
    for view, trust in zip(views, prior, strict=True):
        p += trust[trie.parent] * view
    p[0] = 1.0
    mass: Floats | None = np.zeros(len(p))
    for (model, weight), at in zip(pairs, inverse, strict=True):
        if model.mass is None or mass is None:
            mass = None
        else:
            mass += weight * np.where(at >= 0, model.mass[at], 0.0)
    return _with_backoffs(models[0].vocab, trie, p, mass)


def _contexts(trie: Trie, p: Floats) -> Floats:
    """Natural-log probability of each n-gram as a string, read from its own beginning on."""
    steps = np.log(np.maximum(p, 1e-300))
    steps[0] = steps[1 + BOS_ID] = 0.0
    for n in range(2, trie.order + 1):
        steps[trie.nodes(n)] += steps[trie.parent[trie.nodes(n)]]
    return steps


def _union(tries: Sequence[Trie]) -> tuple[Trie, list[Ints]]:
    """The union of tries, and for each the node of every n-gram of the union in it (or -1)."""
    size, order = tries[0].size, max(t.order for t in tries)
    forward = [np.zeros(len(t.token), np.int64) for t in tries]  # own node -> node of the union
    keys, suffix, offsets = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)], [0, 1]
    for n in range(1, order + 1):
        own = [t.nodes(n) if n <= t.order else slice(0, 0) for t in tries]
        mapped = [
            f[t.parent[o]] * size + t.token[o] for f, t, o in zip(forward, tries, own, strict=True)
        ]
        unique = np.unique(np.concatenate(mapped))
        tails = np.zeros(len(unique), np.int64)
        for f, t, o, k in zip(forward, tries, own, mapped, strict=True):
            at = np.searchsorted(unique, k)
            f[o] = offsets[-1] + at
            tails[at] = f[t.suffix[o]]
        keys.append(unique)
        suffix.append(tails)
        offsets.append(offsets[-1] + len(unique))
    packed = np.concatenate(keys)
    trie = Trie(size, tuple(offsets), packed % size, packed // size, np.concatenate(suffix))
    inverse = []
    for f in forward:
        back = np.full(len(packed), -1, np.int64)
        back[f] = np.arange(len(f))
        inverse.append(back)
    return trie, inverse


def _probabilities(model: NGramModel, trie: Trie, nodes: Ints) -> Floats:
    """What ``model`` says of every n-gram of ``trie`` (``nodes``: where the model holds it)."""
    seen, bow = np.exp(model.logp), np.exp(model.bow)
    p = np.zeros(len(trie.token))
    for n in range(1, trie.order + 1):
        here = trie.nodes(n)
        own, context = nodes[here], nodes[trie.parent[here]]
        weight = np.where(context >= 0, bow[context], 1.0)
        p[here] = np.where(own >= 0, seen[own], weight * p[trie.suffix[here]])
    return p


def _with_backoffs(
    vocab: tuple[str, ...], trie: Trie, p: Floats, mass: Floats | None
) -> NGramModel:
    """The model with probabilities ``p``: what its n-grams leave over goes to shorter contexts."""
    left, shorter = _left_over(trie, p)
    bow = np.zeros(len(p))
    open_ = (left > 1e-12) & (shorter > 1e-12)
    bow[open_] = np.log(left[open_] / shorter[open_])
    bow[0] = 0.0
    with np.errstate(divide="ignore"):
        return NGramModel(vocab, trie, np.log(p), bow, mass)


def _left_over(trie: Trie, p: Floats) -> tuple[Floats, Floats]:
    """For every context: one minus the sum over its seen tokens of p and of the shorter p."""
    deep = slice(trie.offsets[2], None)
    above = trie.parent[deep]
    taken = np.bincount(above, p[deep], len(p)).astype(np.float64)
    shorter = np.bincount(above, p[trie.suffix[deep]], len(p)).astype(np.float64)
    return 1.0 - taken, 1.0 - shorter


def keep(model: NGramModel, kept: Mask) -> NGramModel:
    """The model with only the n-grams in ``kept`` (``bool (nodes,)``) and what these need.

    Unigrams, prefixes and suffixes of kept n-grams stay; back-off weights are recomputed.
    """
    trie = model.trie
    kept = kept.copy()
    kept[: trie.offsets[2]] = True
    for n in range(trie.order, 1, -1):
        here = np.flatnonzero(kept[trie.nodes(n)]) + trie.offsets[n]
        kept[trie.parent[here]] = kept[trie.suffix[here]] = True
    number = np.cumsum(kept) - 1
    offsets = [0] + [int(np.count_nonzero(kept[:o])) for o in trie.offsets[1:]]
    while len(offsets) > 3 and offsets[-1] == offsets[-2]:
        offsets.pop()
    smaller = Trie(
        trie.size,
        tuple(offsets),
        trie.token[kept],
        number[trie.parent[kept]],
        number[trie.suffix[kept]],
    )
    mass = None if model.mass is None else model.mass[kept]
    return _with_backoffs(model.vocab, smaller, np.exp(model.logp[kept]), mass)


def prune_counts(model: NGramModel, tokens: int, cutoffs: Sequence[int]) -> NGramModel:
    """Drop n-grams of order ``i + 1`` that occur at most ``cutoffs[i]`` times in ``tokens`` tokens.

    Of a mix the expected occurrences count. The last cut-off holds for all higher orders; cut-offs
    must not fall with the order.
    """
    if list(cutoffs) != sorted(cutoffs) or min(cutoffs, default=0) < 0:
        raise UsageError(f"count cut-offs {list(cutoffs)} must be 0 or more and must not fall")
    if model.mass is None or not any(cutoffs):
        return model
    kept = np.ones(len(model.logp), np.bool_)
    for n in range(2, model.order + 1):
        limit = cutoffs[min(n, len(cutoffs)) - 1]
        kept[model.trie.nodes(n)] = model.mass[model.trie.nodes(n)] * tokens > limit + 0.5
    return keep(model, kept)


def _histories(model: NGramModel) -> Floats:
    """How probable every context is: from the text where it is known, else by the chain rule."""
    if model.mass is not None:
        return model.mass
    p = np.exp(model.logp)
    p[0] = p[1 + BOS_ID] = 1.0
    for n in range(2, model.order + 1):
        here = model.trie.nodes(n)
        p[here] *= p[model.trie.parent[here]]
    return p


def prune_entropy(model: NGramModel, threshold: float) -> NGramModel:
    """Drop the n-grams whose loss raises the model's perplexity by less than ``threshold``
    (relative, each taken alone; Stolcke 1998, eq. 4), highest order first."""
    if threshold < 0:
        raise UsageError(f"a pruning threshold of {threshold}: wanted 0 or more")
    if threshold == 0 or model.order == 1:
        return model
    trie, p = model.trie, np.exp(model.logp)
    left, shorter = _left_over(trie, p)
    history = _histories(model)
    kept = np.ones(len(p), np.bool_)
    needed = np.zeros(len(p), np.bool_)  # a prefix or suffix of an n-gram that stays
    for n in range(trie.order, 1, -1):
        here = np.arange(trie.offsets[n], trie.offsets[n + 1])
        context, own, lower = trie.parent[here], p[here], p[trie.suffix[here]]
        rest, rest_lower = np.maximum(left[context], 1e-12), np.maximum(shorter[context], 1e-12)
        bow = np.log(rest / rest_lower)
        bow_after = np.log((rest + own) / (rest_lower + lower))
        change = own * (np.log(lower) + bow_after - np.log(own)) + rest * (bow_after - bow)
        small = np.expm1(-history[context] * change) < threshold
        kept[here] = needed[here] | ~small
        stay = here[kept[here]]
        needed[trie.parent[stay]] = needed[trie.suffix[stay]] = True
    return keep(model, kept)
