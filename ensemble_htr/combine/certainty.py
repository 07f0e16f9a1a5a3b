"""From judged arcs to what is written and how sure it is: characters, words, the line.

With a fitted `Scorer` each arc's probability of being right is a forest's answer to everything
that is known of it (`combine.arcs`); words and lines pool their characters' through forests of
their own. Without one, logistic models over a few features stand in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.combine.arcs import FEATURES, ArcTable
from ensemble_htr.combine.forest import Forest
from ensemble_htr.types import EPSILON, ConfusionNetwork, Word

__all__ = [
    "LINE_FEATURES",
    "WORD_FEATURES",
    "Calibration",
    "Scorer",
    "Verdict",
    "best_arcs",
    "char_features",
    "line_features",
    "pooled",
    "sigmoid",
    "spans",
    "word_features",
    "written",
]

Floats = NDArray[np.float64]

# of logs of the probabilities of slots; "gaps" are the slots within where nothing is written,
# "edges" the slots on either side
WORD_FEATURES = (
    "product", "least", "gaps", "gaps least", "edges least", "letters",
    "p product", "p least", "p all",
)  # fmt: skip
LINE_FEATURES = (
    "product",
    "least",
    "slots",
    "least three",
    "mean",
    "p product",
    "p least",
    "p mean",
)
_FAINT = 1e-6


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights of a logistic model ``sigmoid(bias + weights . features)`` (Platt, 1999)."""

    bias: float = 0.0
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Scorer:
    """What was learned of single arcs, of words and of lines. Raises ValueError for forests over
    other features than these. ``decides``: the likeliest arc of a slot by ``arcs`` is written,
    not the one with the largest mass of paths."""

    arcs: Forest
    words: Forest
    lines: Forest
    decides: bool = False

    def __post_init__(self) -> None:
        wanted = (FEATURES, WORD_FEATURES, LINE_FEATURES)
        if (self.arcs.features, self.words.features, self.lines.features) != wanted:
            raise ValueError("made for other features than this version computes: fit it again")

    def choose(self, table: ArcTable) -> tuple[list[str], list[float], Floats]:
        """For each slot the token to write and its probability; and that of every arc."""
        p = self.arcs(table.values)
        best = best_arcs(table, p if self.decides else None)
        return [table.tokens[i] for i in best], p[best].tolist(), p


def best_arcs(table: ArcTable, p: Floats | None = None) -> list[int]:
    """For each slot the row of its arc that is likeliest by ``p``, or else of the judge's own."""
    first = np.flatnonzero(np.diff(table.slots, prepend=-1)).tolist()
    if p is None:
        return first
    bounds = [*first, len(p)]
    return [a + int(p[a:b].argmax()) for a, b in zip(bounds, bounds[1:], strict=False)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``slots`` that are written, how sure each is, the words, and the whole line."""

    slots: tuple[int, ...]
    sure: tuple[float, ...]
    words: tuple[Word, ...]
    line: float

    @classmethod
    def scored(cls, scorer: Scorer, chosen: Sequence[str], sure: Sequence[float]) -> Verdict:
        """By a fitted scorer; ``sure`` is the probability of every slot's token."""
        kept = written(chosen)
        found = spans([chosen[i] for i in kept])
        rows = np.array([word_features(chosen, sure, kept, *span) for span in found])
        claimed = scorer.words(rows).tolist() if found else []
        words = _words([chosen[i] for i in kept], found, claimed)
        line = float(scorer.lines(np.array([line_features(sure)]))[0])
        return cls(tuple(kept), tuple(sure[i] for i in kept), words, line)

    @classmethod
    def plain(
        cls,
        features: Sequence[tuple[float, ...]],
        chosen: Sequence[str],
        char: Calibration,
        word: Calibration,
        line: Calibration,
    ) -> Verdict:
        """By logistic models; ``features`` are those of `char_features`."""
        all_sure = [sigmoid(char, f) for f in features]
        kept = written(chosen)
        tokens, sure = [chosen[i] for i in kept], [all_sure[i] for i in kept]
        found = spans(tokens)
        words = _words(tokens, found, [sigmoid(word, pooled(sure[a:b])) for a, b in found])
        return cls(tuple(kept), tuple(sure), words, sigmoid(line, pooled(all_sure)))


def word_features(
    chosen: Sequence[str], sure: Sequence[float], kept: Sequence[int], start: int, stop: int
) -> list[float]:
    """`WORD_FEATURES` of the word of the written tokens ``start`` to ``stop`` (exclusive)."""
    before = kept[start - 1] if start else -1
    after = kept[stop] if stop < len(kept) else len(chosen)
    logs = [math.log(max(s, _FAINT)) for s in sure[before + 1 : after]]
    tokens = chosen[before + 1 : after]
    inside = [p for p, token in zip(logs, tokens, strict=True) if token != EPSILON]
    gaps = [p for p, token in zip(logs, tokens, strict=True) if token == EPSILON]
    edges = [math.log(max(sure[i], _FAINT)) for i in (before, after) if 0 <= i < len(chosen)]
    total, least, edge = sum(inside), min(inside), min(edges, default=0.0)
    return [
        total, least, sum(gaps), min(gaps, default=0.0), edge, math.log(len(inside)),
        math.exp(total), math.exp(least), math.exp(total + sum(gaps) + edge),
    ]  # fmt: skip


def line_features(sure: Sequence[float]) -> list[float]:
    """`LINE_FEATURES` of the probabilities of all slots."""
    logs = sorted(math.log(max(s, _FAINT)) for s in sure) or [0.0]
    mean = sum(sure) / len(sure) if sure else 1.0
    total, least = sum(logs), logs[0]
    return [
        total, least, math.log(len(logs)), sum(logs[:3]), math.log(max(mean, _FAINT)),
        math.exp(total), math.exp(least), mean,
    ]  # fmt: skip


def char_features(
    network: ConfusionNetwork, chosen: Sequence[str], engines: Sequence[str]
) -> list[tuple[float, ...]]:
    """Per slot: logit of the chosen arc's posterior, mean log vote of the engines that hold it,
    share of engines that hold it, least logit among the two neighbours."""
    logits, votes, shares = [], [], []
    for slot, token in zip(network.slots, chosen, strict=True):
        evidence = next(arc.evidence for arc in slot.arcs if arc.token == token)
        p = min(max(evidence["posterior"], 1e-6), 1 - 1e-6)
        logits.append(math.log(p / (1 - p)))
        held = [evidence[f"vote:{e}"] for e in engines if f"vote:{e}" in evidence]
        votes.append(sum(math.log(max(v, 1e-3)) for v in held) / len(held) if held else -3.0)
        shares.append(len(held) / max(1, len(engines)))
    padded = [14.0, *logits, 14.0]
    near = [min(padded[i], padded[i + 2]) for i in range(len(logits))]
    return list(zip(logits, votes, shares, near, strict=True))


def pooled(confidences: Sequence[float]) -> tuple[float, float]:
    """Features of a word or line: log of the product and of the least of its confidences."""
    if not confidences:
        return (0.0, 0.0)
    logs = [math.log(max(c, 1e-6)) for c in confidences]
    return (sum(logs), min(logs))


def sigmoid(calibration: Calibration, features: Sequence[float]) -> float:
    x = calibration.bias + sum(w * f for w, f in zip(calibration.weights, features, strict=False))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, x))))


def written(chosen: Sequence[str]) -> list[int]:
    """The slots whose tokens are written: no epsilon, no blank at an end or after a blank."""
    kept: list[int] = []
    for i, token in enumerate(chosen):
        blank = token.isspace()
        if token != EPSILON and not (blank and (not kept or chosen[kept[-1]].isspace())):
            kept.append(i)
    if kept and chosen[kept[-1]].isspace():
        kept.pop()
    return kept


def spans(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Start and stop (exclusive) of each word among written tokens."""
    found, start = [], None
    for i, token in enumerate((*tokens, " ")):
        if not token.isspace():
            start = i if start is None else start
        elif start is not None:
            found.append((start, i))
            start = None
    return found


def _words(
    tokens: Sequence[str], where: Sequence[tuple[int, int]], sure: Sequence[float]
) -> tuple[Word, ...]:
    return tuple(Word("".join(tokens[a:b]), p, a, b) for (a, b), p in zip(where, sure, strict=True))
