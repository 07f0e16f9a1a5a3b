"""Words and lines of a judged network as numbers: what their confidences are learned from.

A word is more than its characters: whole engines agree on it or not, whole paths run through it
or past it, and the language model finds it likely or odd even where every engine reads the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.types import EPSILON

__all__ = [
    "LINE_FEATURES",
    "WORD_FEATURES",
    "Sight",
    "line_features",
    "spans",
    "word_features",
    "written",
]

Floats = NDArray[np.float64]

WORD_FEATURES = (
    # of logs of the probabilities of slots; "gaps" are the slots within where nothing is written,
    # "edges" the slots on either side
    "product", "least", "gaps", "gaps least", "edges least", "letters",
    "p product", "p least", "p all",
    # log of the mass of the paths that write the same from one blank to the next: by all voices,
    # by the forced scores alone, by what knows language alone; and of all, flattened
    "paths", "paths image", "paths language", "paths flat",
    "held",  # share of the engines whose row writes the same there
    "spoken", "spoken least",  # by the language model: mean and least of its tokens
    "capital", "digit",
    "line",  # mean probability of all slots of the line
)  # fmt: skip
LINE_FEATURES = (
    "product", "least", "slots", "least three", "mean", "p product", "p least", "p mean",
    "path",  # log of the mass of the path that is written, and flattened
    "path flat",
    "spoken",  # by the language model: mean of the tokens
)  # fmt: skip
_FAINT = 1e-6


@dataclass(frozen=True, slots=True)
class Sight:
    """A line with its rival paths, as its words are looked at."""

    numbers: tuple[Mapping[str, int], ...]  # of each slot: token -> number of its arc
    paths: NDArray[np.int64]  # (paths, slots)
    rows: NDArray[np.int64]  # (engines, slots)
    masses: Floats  # (4, paths): by all voices, by images, by language, by all flattened
    spoken: Sequence[Mapping[str, tuple[float, float]]]  # as `case.spoken_at` gives it

    def same(self, chosen: Sequence[str], start: int, stop: int) -> tuple[Floats, float]:
        """Logs of the ``masses`` of the paths that go the chosen way through these slots, and the
        share of the engines that do."""
        along = self.along(chosen, start, stop)
        held = (self.rows[:, start:stop] == self._way(chosen, start, stop)).all(axis=1)
        return np.log(np.maximum(self.masses @ along, _FAINT)), float(held.mean())

    def along(self, chosen: Sequence[str], start: int, stop: int) -> NDArray[np.bool_]:
        """Which paths go the chosen way through these slots."""
        way = self._way(chosen, start, stop)
        return np.asarray((self.paths[:, start:stop] == way).all(axis=1))

    def _way(self, chosen: Sequence[str], start: int, stop: int) -> list[int]:
        return [n[t] for n, t in zip(self.numbers[start:stop], chosen[start:stop], strict=True)]

    def said(self, chosen: Sequence[str], slots: Sequence[int]) -> list[float]:
        """What the language model says of the tokens in these slots."""
        return [self.spoken[i].get(chosen[i], (0.0, 0.0))[0] for i in slots]


def word_features(
    sight: Sight, chosen: Sequence[str], sure: Sequence[float], kept: Sequence[int],
    start: int, stop: int,
) -> list[float]:  # fmt: skip
    """`WORD_FEATURES` of the word of the written tokens ``start`` to ``stop`` (exclusive)."""
    before = kept[start - 1] if start else -1
    after = kept[stop] if stop < len(kept) else len(chosen)
    logs = [math.log(max(s, _FAINT)) for s in sure[before + 1 : after]]
    tokens = chosen[before + 1 : after]
    inside = [p for p, token in zip(logs, tokens, strict=True) if token != EPSILON]
    gaps = [p for p, token in zip(logs, tokens, strict=True) if token == EPSILON]
    edges = [math.log(max(sure[i], _FAINT)) for i in (before, after) if 0 <= i < len(chosen)]
    total, least, edge = sum(inside), min(inside), min(edges, default=0.0)
    masses, held = sight.same(chosen, max(before, 0), min(after + 1, len(chosen)))
    spoken = sight.said(chosen, kept[start:stop])
    return [
        total, least, sum(gaps), min(gaps, default=0.0), edge, math.log(len(inside)),
        math.exp(total), math.exp(least), math.exp(total + sum(gaps) + edge),
        *masses.tolist(), held, sum(spoken) / len(spoken), min(spoken),
        float(chosen[kept[start]].isupper()),
        float(any(chosen[i].isnumeric() for i in kept[start:stop])),
        sum(sure) / len(sure),
    ]  # fmt: skip


def line_features(sight: Sight, chosen: Sequence[str], sure: Sequence[float]) -> list[float]:
    """`LINE_FEATURES` of what is chosen in every slot."""
    logs = sorted(math.log(max(s, _FAINT)) for s in sure)
    mean = sum(sure) / len(sure)
    total, least = sum(logs), logs[0]
    masses, _ = sight.same(chosen, 0, len(chosen))
    spoken = sight.said(chosen, written(chosen)) or [0.0]
    return [
        total, least, math.log(len(logs)), sum(logs[:3]), math.log(max(mean, _FAINT)),
        math.exp(total), math.exp(least), mean,
        float(masses[0]), float(masses[3]), sum(spoken) / len(spoken),
    ]  # fmt: skip


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
