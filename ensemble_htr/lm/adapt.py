"""A language model that takes in some lines of one's own.

The lines become a model of their own, which is mixed into the one at hand, n-gram by n-gram
(`interpolate`); how much it may say is fitted on lines that were held back (Jelinek and Mercer,
1980). What the vocabulary lacks is added to it first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ensemble_htr.errors import InputError
from ensemble_htr.lm.interpolate import fit_weights, interpolate
from ensemble_htr.lm.kneser_ney import estimate, vocabulary
from ensemble_htr.lm.ngrams import BOS_ID, UNK_ID, Ints, NGramModel, Trie, encode, stream_logprob
from ensemble_htr.lm.symbols import SPECIALS

__all__ = ["Adapted", "adapt", "widened"]

_LEAST = -20.0  # nats of an unknown token, where a model holds it for impossible
Lines = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Adapted:
    """The mix, the share of the own lines in it, bits per token on the held-back lines before
    (``inf`` without a model at hand) and after."""

    model: NGramModel
    share: float
    before: float
    after: float


def adapt(base: NGramModel | None, lines: Lines, held: Lines, order: int = 6) -> Adapted:
    """Mix a model of ``lines`` (of that ``order``) into ``base``, weighed on ``held``.

    Raises `InputError` without lines to count or to weigh on.
    """
    if not any(map(len, lines)) or not any(map(len, held)):
        raise InputError("a language model wants lines to count and others to weigh them on")
    if base is None:
        own = estimate(lines, order, vocabulary(lines))
        return Adapted(own, 1.0, float("inf"), _bits(own, encode(held, own.vocab)))
    base = widened(base, sorted({token for line in lines for token in line}))
    own = estimate(lines, order, base.vocab)
    stream = encode(held, base.vocab)
    weights = fit_weights([base, own], stream)
    mixed = interpolate([base, own], weights)
    return Adapted(mixed, weights[1], _bits(base, stream), _bits(mixed, stream))


def _bits(model: NGramModel, stream: Ints) -> float:
    """Mean bits per token, ends of lines counted."""
    return float(-stream_logprob(model, stream).sum() / np.log(2) / (stream != BOS_ID).sum())


def widened(model: NGramModel, tokens: Sequence[str]) -> NGramModel:
    """The model with those of ``tokens`` that it lacks: they share with the unknown token the
    probability that it had. All other probabilities stay as they are."""
    known = set(model.vocab)
    new = [t for t in dict.fromkeys(tokens) if t not in known and t not in SPECIALS]
    if not new:
        return model
    more, old = len(new), model.trie
    first = 1 + old.size  # the first node that is no unigram
    none = np.zeros(more, np.int64)

    def moved(nodes: Ints) -> Ints:
        return np.where(nodes >= first, nodes + more, nodes)

    trie = Trie(
        old.size + more,
        (0, 1, first + more, *(end + more for end in old.offsets[3:])),
        np.insert(old.token, first, np.arange(old.size, old.size + more)),
        np.insert(moved(old.parent), first, none),
        np.insert(moved(old.suffix), first, none),
    )
    unknown = max(float(model.logp[1 + UNK_ID]), _LEAST) - float(np.log(more + 1))
    logp = np.insert(model.logp, first, np.full(more, unknown))
    logp[1 + UNK_ID] = unknown
    return NGramModel((*model.vocab, *new), trie, logp, np.insert(model.bow, first, none))
