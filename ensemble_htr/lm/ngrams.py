"""The data structure of all our n-gram work: a trie of n-grams in flat NumPy arrays.

Node 0 is the empty n-gram; nodes ``offsets[n] .. offsets[n + 1]`` are the n-grams of order ``n``
in the order of their packed key ``parent * V + token`` (``parent``: the node of the n-gram without
its last token). Since parents are numbered before their children, the keys of *all* nodes form one
sorted int64 array, whatever the vocabulary's size, and the children of a node are neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.lm.symbols import SPECIALS

__all__ = [
    "BOS_ID",
    "EOS_ID",
    "UNK_ID",
    "NGramModel",
    "Trie",
    "context_logprob",
    "count",
    "encode",
    "stream_logprob",
    "stream_orders",
]

UNK_ID, BOS_ID, EOS_ID = 0, 1, 2

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trie:
    """A set of n-grams closed under taking prefixes; every token is a unigram (node ``1 + id``).

    ``suffix`` is the node of the longest proper suffix in the set (of order ``n - 1`` in all the
    models that we estimate). Arrays are ``int64 (nodes,)``; the entries of node 0 are 0.
    """

    size: int  # V, tokens of the vocabulary with the three specials
    offsets: tuple[int, ...]  # order + 2 numbers: 0, 1, 1 + V, ..., nodes
    token: Ints
    parent: Ints
    suffix: Ints

    @property
    def order(self) -> int:
        return len(self.offsets) - 2

    def nodes(self, n: int) -> slice:
        """The nodes of order ``n``."""
        return slice(self.offsets[n], self.offsets[n + 1])

    @cached_property
    def keys(self) -> Ints:
        """``int64 (nodes - 1,)``, strictly rising: the packed keys of nodes 1, 2, ..."""
        return self.parent[1:] * self.size + self.token[1:]

    def find(self, parent: Ints, token: Ints) -> Ints:
        """The child of each ``parent`` (any shape; -1 = no node) by ``token``, or -1."""
        wanted = parent * self.size + token
        at = np.searchsorted(self.keys, wanted)
        at[at == len(self.keys)] = 0
        return np.where((parent >= 0) & (self.keys[at] == wanted), at + 1, -1)

    def first_tokens(self) -> Ints:
        """The first token of every n-gram, ``int64 (nodes,)``."""
        first = self.token.copy()
        for n in range(2, self.order + 1):
            first[self.nodes(n)] = first[self.parent[self.nodes(n)]]
        return first


@dataclass(frozen=True)
class NGramModel:
    """A back-off model: for a seen n-gram ``logp``, else ``bow`` of its context and a shorter one.

    ``vocab[0:3]`` are ``<unk>``, ``<s>``, ``</s>``. ``logp`` and ``bow`` are natural logarithms,
    ``float64 (nodes,)``; ``<s>`` itself has ``-inf``. ``mass`` is the share of each n-gram among
    the tokens of the training text (weights of histories when pruning), None if unknown.
    """

    vocab: tuple[str, ...]
    trie: Trie
    logp: Floats
    bow: Floats
    mass: Floats | None = None

    def __post_init__(self) -> None:
        if self.vocab[:3] != SPECIALS or len(self.vocab) != self.trie.size:
            raise ValueError("the vocabulary must begin with <unk>, <s>, </s> and fit the trie")

    @property
    def order(self) -> int:
        return self.trie.order

    def counts(self) -> tuple[int, ...]:
        """The number of n-grams of order 1, 2, ..."""
        o = self.trie.offsets
        return tuple(o[n + 1] - o[n] for n in range(1, self.order + 1))


def encode(lines: Iterable[Sequence[str]], vocab: Sequence[str]) -> Ints:
    """Lines of tokens as one stream of ids, each line as ``<s> tokens </s>``."""
    ids = {token: i for i, token in enumerate(vocab) if i >= len(SPECIALS)}
    stream: list[int] = []
    for line in lines:
        stream.append(BOS_ID)
        stream.extend([ids.get(token, UNK_ID) for token in line])
        stream.append(EOS_ID)
    return np.asarray(stream, dtype=np.int64)


def _places(stream: Ints) -> Ints:
    """The place of every token in its line (0 = ``<s>``)."""
    index = np.arange(len(stream), dtype=np.int64)
    start = np.where(stream == BOS_ID, index, 0)
    return index - np.maximum.accumulate(start)


def count(stream: Ints, size: int, order: int) -> tuple[Trie, Ints]:
    """All n-grams of a stream made by `encode` and how often each occurs, ``int64 (nodes,)``."""
    place = _places(stream)
    tokens = [np.zeros(1, np.int64), np.arange(size, dtype=np.int64)]
    parents = [np.zeros(1, np.int64), np.zeros(size, np.int64)]
    suffixes, counts = list(parents), [np.array([len(stream)]), np.bincount(stream, minlength=size)]
    offsets = [0, 1, 1 + size]
    node = stream + 1  # the node of the n-gram that ends at each place
    for n in range(2, order + 1):
        where = np.flatnonzero(place >= n - 1)
        keys = node[where - 1] * size + stream[where]
        unique, inverse, times = np.unique(keys, return_inverse=True, return_counts=True)
        suffix = np.empty(len(unique), np.int64)
        suffix[inverse] = node[where]
        tokens.append(unique % size)
        parents.append(unique // size)
        suffixes.append(suffix)
        counts.append(times)
        node = np.full(len(stream), -1, np.int64)
        node[where] = offsets[-1] + inverse
        offsets.append(offsets[-1] + len(unique))
    trie = Trie(
        size,
        tuple(offsets),
        np.concatenate(tokens),
        np.concatenate(parents),
        np.concatenate(suffixes),
    )
    return trie, np.concatenate(counts).astype(np.int64)


def stream_orders(model: NGramModel, stream: Ints) -> Floats:
    """Natural-log probability of every token of a stream given its ``n - 1`` predecessors.

    ``float64 (order, len(stream))``, row ``n - 1`` for n-grams of order ``n`` (fewer predecessors
    where the line begins later); 0 for each ``<s>``, which is given.
    """
    trie, place = model.trie, _places(stream)
    node = stream + 1
    rows = [model.logp[node]]
    for n in range(2, trie.order + 1):
        context = np.where(place >= n - 1, np.roll(node, 1), -1)
        node = trie.find(context, stream)
        # a context that exists but lacks the token: pay its back-off weight; no context: free
        backed_off = rows[-1] + np.where(context >= 0, model.bow[context], 0.0)
        rows.append(np.where(node >= 0, model.logp[node], backed_off))
    return np.where(stream == BOS_ID, 0.0, np.stack(rows))


def stream_logprob(model: NGramModel, stream: Ints) -> Floats:
    """Natural-log probability of every token after its line so far, ``float64 (len(stream),)``."""
    found: Floats = stream_orders(model, stream)[-1]
    return found


def context_logprob(orders: Floats, stream: Ints) -> Floats:
    """Natural-log probability of the context that each token is predicted from.

    The context is the ``order - 1`` tokens before it (fewer at the beginning of its line), read
    from its own beginning on; ``orders`` is the answer of `stream_orders`. ``(len(stream),)``.
    """
    longest = np.minimum(len(orders) - 1, _places(stream))
    index = np.arange(len(stream), dtype=np.int64)
    total = np.zeros(len(stream))
    for back in range(1, len(orders)):
        inside = np.flatnonzero(longest >= back)
        total[inside] += orders[longest[inside] - back, index[inside] - back]
    return total
