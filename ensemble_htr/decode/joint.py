"""Joint beam search: the texts that all recognizers, the language model and the lexicon together
find likeliest.

Each recognizer's own beam cannot find what all of them find merely second best, and no path
through their aligned readings can either. Here they look together: a growing text scores ::

    sum over nets of weight * log P_net(line begins with the text | image)
        + sum over its tokens (alpha * log P_lm(token | tokens before) + beta)
        + words * (what its finished words say: known ones by their frequency, others against it)

The CTC probability of a beginning sums over all paths that go on from it (prefix probability:
Graves 2012, section 7.5.3), so texts of one length can be compared whatever their place in the
image (label-synchronous search: Watanabe et al. 2017, "Hybrid CTC/attention architecture", section
IV; several nets at once as there the CTC and the attention score). A word is known as soon as it
ends and unknown as soon as no known word begins like it (word beam search: Scheidl et al. 2018,
here with a price instead of a ban). Readings found so are proposals: they vote for nothing, and are
judged by their forced scores and all other voices like every rival.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ensemble_htr import jit
from ensemble_htr.decode import compiled, joint_plain
from ensemble_htr.decode._posteriors import checked
from ensemble_htr.decode.joint_plain import LONGEST, UNKNOWN
from ensemble_htr.protocols import LanguageModel, TabularLanguageModel
from ensemble_htr.types import Hypothesis, JointOptions, NGramTables, Posteriors, WordTable

__all__ = ["SOURCE", "JointDecoder"]

SOURCE = "joint"  # the proposals' name; no recognizer may have it
_NO_WORDS = WordTable(np.zeros(1, np.int32), np.zeros(1, np.int64), np.zeros(0))
_REAL, _CODE = np.zeros(1, np.float32), np.zeros(2, np.int32)
_NO_MODEL = NGramTables(_REAL, _REAL, _CODE, _CODE, _CODE, _CODE, 0)

Floats = NDArray[np.float64]


class JointDecoder:
    """Searches the posteriors of several recognizers at once.

    ``words`` is a table of known words (`lexicon.word_table`). Where numba or the tables of the
    language model are missing, a plain search does the same, ten times slower.
    """

    def __init__(
        self,
        options: JointOptions | None = None,
        lm: LanguageModel | None = None,
        words: WordTable | None = None,
    ) -> None:
        self.options = options or JointOptions()
        self._lm = lm if self.options.alpha > 0 else None
        self.words = words if self.options.words > 0 else None

    def decode(
        self, posteriors: Sequence[Posteriors], weights: Sequence[float] | None = None
    ) -> list[Hypothesis]:
        """The best texts of one line, best first, by what ``weights`` (default: equal ones) give
        each of its ``posteriors``; none without a frame. Raises `InputError` for posteriors with
        NaN, ValueError for as many weights as there are no posteriors."""
        o = self.options
        parts = len(posteriors)
        nets = np.array([o.total / max(1, parts)] * parts if weights is None else weights, float)
        if len(nets) != parts:
            raise ValueError(f"{len(nets)} weights for {parts} recognizers")
        seen = [i for i, p in enumerate(posteriors) if len(p.logp)]
        posteriors, nets = [posteriors[i] for i in seen], nets[seen]
        if not posteriors:
            return []
        tokens, probs, start = stacked(posteriors, o.symbol_threshold)
        search = self._kernel()
        if search is not None:
            found = self._compiled(search, tokens, probs, start, nets)
        else:
            found = joint_plain.search(o, self._lm, self.words, tokens, probs, start, nets)
        best = sorted(found, key=lambda each: (-each[0], each[1]))
        return [Hypothesis(SOURCE, text, score=score) for score, text in best]

    def _kernel(self) -> ModuleType | None:
        tabular = self._lm is None or isinstance(self._lm, TabularLanguageModel)
        return jit.load("ensemble_htr.decode.joint_kernel") if tabular and jit.available() else None

    def _compiled(
        self, search: ModuleType, tokens: tuple[str, ...], probs: Floats,
        start: NDArray[np.int64], nets: Floats,
    ) -> list[tuple[float, tuple[str, ...]]]:  # fmt: skip
        o, lm = self.options, self._lm
        assert lm is None or isinstance(lm, TabularLanguageModel)
        ids, digits, runs = compiled.symbols(tokens, lm, True, True)
        codes, letters = spelled(tokens)
        symbols = search.Symbols(ids, digits, runs, codes, letters)
        weights = search.Weights(
            nets, o.alpha if lm is not None else 0.0, o.beta,
            o.words if self.words is not None else 0.0, UNKNOWN, LONGEST, o.floor, o.beam,
            o.tries, o.n_best, o.behind, o.patience,
        )  # fmt: skip
        tables = _NO_MODEL if lm is None else lm.tables
        words = self.words if self.words is not None else _NO_WORDS
        scores, nodes, contexts, parent, column = search.search(
            probs, start, symbols, weights, tables, words
        )
        found = []
        for score, node, context in zip(
            scores.tolist(), nodes.tolist(), contexts.tolist(), strict=True
        ):
            if score == -math.inf:
                continue
            text = []
            while node:
                text.append(tokens[int(column[node]) - 1])
                node = int(parent[node])
            end = 0.0 if lm is None else o.alpha * lm.end(context)
            found.append((score + end, tuple(text[::-1])))
        return found


def stacked(
    posteriors: Sequence[Posteriors], least: float
) -> tuple[tuple[str, ...], Floats, NDArray[np.int64]]:
    """The tokens that any net ever finds as likely as ``least``; the probabilities ``(frames of all
    nets, 1 + tokens)``, blank first; and where each net's frames begin (one more at the end)."""
    column: dict[str, int] = {}
    for p in posteriors:
        for token in p.alphabet:
            column.setdefault(token, len(column) + 1)
    parts = []
    for p in posteriors:
        own = np.exp(checked(p).astype(np.float64))
        part = np.zeros((len(own), len(column) + 1))
        part[:, [0, *(column[token] for token in p.alphabet)]] = own
        parts.append(part)
    probs = np.concatenate(parts)
    live = np.flatnonzero(probs[:, 1:].max(axis=0, initial=0.0) >= least)
    names = tuple(column)
    start = np.cumsum([0, *map(len, parts)]).astype(np.int64)
    return tuple(names[i] for i in live), np.ascontiguousarray(probs[:, [0, *(live + 1)]]), start


def spelled(tokens: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """By column (0 = blank) the code point of tokens that have one, and whether it is a letter."""
    single = [len(token) == 1 for token in tokens]
    codes = [-1, *(ord(t) if one else -1 for t, one in zip(tokens, single, strict=True))]
    return np.array(codes, np.int32), np.array([False, *(t[0].isalpha() for t in tokens)])
