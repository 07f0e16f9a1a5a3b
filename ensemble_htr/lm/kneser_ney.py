"""Interpolated modified Kneser-Ney estimation of n-gram models.

S. F. Chen and J. Goodman, "An empirical study of smoothing techniques for language modeling",
Computer Speech and Language 13 (1999), section 3: three discounts per order from the counts of
counts; orders below the highest are estimated from *continuation counts* (in how many different
left neighbours an n-gram occurs), except n-grams at the beginning of a line, which have no left
neighbour and keep their own count; the unigrams are interpolated with the uniform distribution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from ensemble_htr.errors import InputError, UsageError
from ensemble_htr.lm.ngrams import BOS_ID, Floats, Ints, NGramModel, Trie, count, encode
from ensemble_htr.lm.symbols import SPECIALS

__all__ = ["MAX_ORDER", "discounts", "estimate", "vocabulary"]

MAX_ORDER = 10  # KenLM as it is usually built reads 6; ours reads 12
FALLBACK = (0.5, 1.0, 1.5)  # discounts where the counts of counts give none


def vocabulary(lines: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """The three specials and all tokens of ``lines`` in code point order."""
    seen: Counter[str] = Counter()
    for line in lines:
        seen.update(line)
    return SPECIALS + tuple(sorted(seen))


def discounts(counts: Ints) -> tuple[float, float, float]:
    """Discounts of n-grams that occur once, twice, and three or more times (eq. 26).

    Where one is undefined or out of range (small data, saturated character n-grams) the whole
    order falls back to 0.5, 1, 1.5.
    """
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == k)) for k in (1, 2, 3, 4))
    if min(n1, n2, n3) == 0:
        return FALLBACK
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if all(0 < d <= k for k, d in enumerate(found, start=1)) else FALLBACK


def _adjusted(trie: Trie, raw: Ints) -> Ints:
    """Counts to estimate from: continuation counts below the highest order."""
    longer = trie.suffix[trie.offsets[2] :] if trie.order > 1 else trie.suffix[:0]
    adjusted = np.bincount(longer, minlength=len(raw)).astype(np.int64)
    own = trie.first_tokens() == BOS_ID
    own[trie.nodes(trie.order)] = True
    adjusted[own] = raw[own]
    adjusted[1 + BOS_ID] = 0  # <s> is given, never predicted
    return adjusted


def estimate(lines: Sequence[Sequence[str]], order: int, vocab: Sequence[str] = ()) -> NGramModel:
    """Estimate a model of ``order`` (1 to 6) from lines of tokens.

    ``vocab`` (default: `vocabulary` of the lines) may hold more tokens than the lines do, so that
    several models share it; a token outside it counts as ``<unk>``. Raises `InputError` if there
    is no line, `UsageError` for another order.
    """
    if not 1 <= order <= MAX_ORDER:
        raise UsageError(f"a language model of order {order}: wanted 1 to {MAX_ORDER}")
    if not lines:
        raise InputError("no line of text to estimate a language model from")
    words = tuple(vocab) or vocabulary(lines)
    trie, raw = count(encode(lines, words), len(words), order)
    adjusted = _adjusted(trie, raw)
    p, gamma = np.zeros(len(raw)), np.ones(len(raw))
    for n in range(1, order + 1):
        _estimate_order(trie, n, adjusted, p, gamma)
    p[0] = gamma[0] = 1.0  # the uniform distribution's share is in the unigrams already
    with np.errstate(divide="ignore"):
        return NGramModel(words, trie, np.log(p), np.log(gamma), raw / raw[0])


def _estimate_order(trie: Trie, n: int, adjusted: Ints, p: Floats, gamma: Floats) -> None:
    """Fill in ``p`` of order ``n`` and ``gamma`` (back-off weights) of its contexts."""
    here = trie.nodes(n)
    counts, parent = adjusted[here], trie.parent[here]
    table = np.array([0.0, *discounts(counts)])
    off = table[np.minimum(counts, 3)]
    start, stop = trie.offsets[n - 1], trie.offsets[n]
    total = np.bincount(parent - start, weights=counts, minlength=stop - start)
    freed = np.bincount(parent - start, weights=off, minlength=stop - start)
    gamma[start:stop] = np.divide(freed, total, out=np.ones(len(freed)), where=total > 0)
    lower = 1.0 / (trie.size - 1) if n == 1 else p[trie.suffix[here]]
    p[here] = (counts - off) / np.maximum(total[parent - start], 1) + gamma[parent] * lower
    p[1 + BOS_ID] = 0.0
