"""Small texts that several test files read."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import strategies as st

from ensemble_htr.lm.kneser_ney import estimate
from ensemble_htr.lm.ngrams import EOS_ID, NGramModel, encode, stream_logprob

# few letters, so that n-grams repeat; a blank, an accent and the symbols that need escaping
LINES = st.lists(
    st.text(alphabet="ab é▁\\", min_size=1, max_size=8).map(tuple), min_size=1, max_size=12
)

TEXT = (
    "le notaire soussigné",
    "le dit notaire",
    "par devant nous notaire",
    "sa femme et le dit sieur",
    "vente par le sieur Petit",
    "l'an mil huit cent",
    "et le dit an ▁ \\ x",
    "quittance",
    "quittance",
)
TOKENS = [tuple(line) for line in TEXT]
STRANGE = [tuple("le notxire qz"), tuple("▁\\ "), (), ("é", "œ", "<s>", "</s>")]


@cache
def small(order: int = 4) -> NGramModel:
    return estimate(TOKENS, order)


def line_logprob(model: NGramModel, line: tuple[str, ...]) -> float:
    """By the vectorised scorer: natural log of a line with its end."""
    return float(stream_logprob(model, encode([line], model.vocab)).sum())


def sums(model: NGramModel) -> np.ndarray:
    """For every context of the model (node) the sum of p over the vocabulary without <s>."""
    trie, p, bow = model.trie, np.exp(model.logp), np.exp(model.bow)
    tokens = np.array([t for t in range(trie.size) if t != 1])
    full = np.zeros((len(trie.token), trie.size))  # p(token | context) for all pairs
    full[0] = p[1 : 1 + trie.size]
    inner = trie.offsets[trie.order]  # n-grams of the highest order are no contexts
    for node in range(1, inner):
        if trie.token[node] != EOS_ID:
            full[node] = bow[node] * full[trie.suffix[node]]
            children = np.flatnonzero(trie.parent[1:] == node) + 1 if node else []
            full[node, trie.token[children]] = p[children]
    contexts = [n for n in range(inner) if n == 0 or trie.token[n] != EOS_ID]
    return full[np.ix_(contexts, tokens)].sum(axis=1)
