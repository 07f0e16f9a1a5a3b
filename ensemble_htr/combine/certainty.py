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
from ensemble_htr.combine.words import (
    LINE_FEATURES,
    WORD_FEATURES,
    Sight,
    line_features,
    spans,
    word_features,
    written,
)
from ensemble_htr.types import ConfusionNetwork, Word

__all__ = [
    "Calibration",
    "Scorer",
    "Verdict",
    "best_arcs",
    "char_features",
    "pooled",
    "sigmoid",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights of a logistic model ``sigmoid(bias + weights . features)`` (Platt, 1999)."""

    bias: float = 0.0
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Scorer:
    """What was learned of single arcs, of words and of lines. ``decides``: the likeliest arc of a
    slot by ``arcs`` is written, not the one with the largest mass of paths. Raises ValueError for
    forests over features that are none of `FEATURES`, `WORD_FEATURES` and `LINE_FEATURES`."""

    arcs: Forest
    words: Forest
    lines: Forest
    decides: bool = False

    def __post_init__(self) -> None:
        known = (FEATURES, WORD_FEATURES, LINE_FEATURES)
        for forest, names in zip((self.arcs, self.words, self.lines), known, strict=True):
            if not set(forest.features) <= set(names):
                raise ValueError("made for features that this version does not compute")

    def choose(
        self, table: ArcTable, chosen: Sequence[str]
    ) -> tuple[list[str], list[float], Floats]:
        """For each slot the token to write and its probability; and that of every arc. ``chosen``
        is what is written where the forest does not decide."""
        p = self.arcs.of(table.values, FEATURES)
        best = best_arcs(table, p) if self.decides else table.rows_of(chosen)
        return [table.tokens[i] for i in best], p[best].tolist(), p


def best_arcs(table: ArcTable, p: Floats) -> list[int]:
    """For each slot the row of its arc that is likeliest by ``p``."""
    first = np.flatnonzero(np.diff(table.slots, prepend=-1)).tolist()
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
    def scored(
        cls, scorer: Scorer, sight: Sight, chosen: Sequence[str], sure: Sequence[float]
    ) -> Verdict:
        """By a fitted scorer; ``sure`` is the probability of every slot's token."""
        kept = written(chosen)
        found = spans([chosen[i] for i in kept])
        rows = np.array([word_features(sight, chosen, sure, kept, *span) for span in found])
        claimed = scorer.words.of(rows, WORD_FEATURES).tolist() if found else []
        words = _words([chosen[i] for i in kept], found, claimed)
        whole = np.array([line_features(sight, chosen, sure)])
        line = float(scorer.lines.of(whole, LINE_FEATURES)[0])
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


def _words(
    tokens: Sequence[str], where: Sequence[tuple[int, int]], sure: Sequence[float]
) -> tuple[Word, ...]:
    return tuple(Word("".join(tokens[a:b]), p, a, b) for (a, b), p in zip(where, sure, strict=True))
