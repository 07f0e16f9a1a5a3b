"""Fitting the judge on pages that no recognizer was trained on (the ``judge`` split).

The weights of a mode minimise the expected number of character edits under the softmax of the
path scores (minimum risk training: Och, 2003; Shen et al., 2016), by L-BFGS with the exact
gradient. Documents weigh by the square root of their length, so that a few long registers do not
speak for everybody. What single arcs, words and lines are worth is learned in `train.arcs`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.combine.judge import Case
from ensemble_htr.combine.model import Mode
from ensemble_htr.metrics import edit_distance

__all__ = ["Fitted", "Item", "fit_mode"]

Floats = NDArray[np.float64]

_TIE = 2e-5  # expected CER by which a voice must help to be heard


@dataclass(frozen=True, slots=True)
class Item:
    """A line to fit on: what the judge sees, what stands there, and whose document it is."""

    case: Case
    truth: tuple[str, ...]
    doc: str


@dataclass(frozen=True, slots=True)
class Fitted:
    mode: Mode
    before: float  # expected CER with the starting weights
    after: float


def document_weights(items: Sequence[Item]) -> Floats:
    """Weight of each line: its document counts with the square root of its characters."""
    length: dict[str, int] = defaultdict(int)
    for item in items:
        length[item.doc] += len(item.truth)
    return np.array([1 / math.sqrt(max(1, length[item.doc])) for item in items])


def fit_mode(items: Sequence[Item], start: Mode, *, generic: bool, lm: bool) -> Fitted:
    """Fit the weights of one mode; ``generic`` ties all engines together (unknown engines)."""
    from scipy.optimize import minimize

    engines = tuple(sorted({e for item in items for e in item.case.engines}))
    nets, voices = items[0].case.nets, items[0].case.voices
    tables = [_features(item, engines, nets, generic) for item in items]
    edits = [
        np.array([edit_distance(item.truth, [t for t in p if t]) for p in item.case.paths], float)
        for item in items
    ]
    weigh = document_weights(items)
    size = float(sum(w * len(item.truth) for w, item in zip(weigh, items, strict=True)))
    first = _pack(start, engines, nets, voices, generic)
    ridge = 1e-4

    def risk(x: Floats) -> tuple[float, Floats]:
        total, slope = 0.0, np.zeros_like(x)
        for f, e, w in zip(tables, edits, weigh, strict=True):
            scores = f @ x
            p = np.exp(scores - scores.max())
            p /= p.sum()
            mean = float(p @ e)
            total += w * mean
            slope += w * ((p * (e - mean)) @ f)
        return total / size + ridge * float(x @ x), slope / size + 2 * ridge * x

    least = 0.3 if generic else 0.0  # an engine nobody knows must not be mute
    bounds = [(least, 20.0)] * (1 if generic else len(engines)) + [(0.0, 20.0)] * len(nets)
    bounds += [(0.0, 3.0), (-2.0, 4.0)] if lm else [(0.0, 0.0)] * 2
    bounds += [(0.0, 3.0)] * len(voices)
    best = minimize(risk, first, jac=True, bounds=bounds, method="L-BFGS-B")
    mode = _unpack(_silenced(best.x, len(voices), risk), start, engines, nets, voices, generic)
    return Fitted(mode, risk(first)[0], float(best.fun))


def _silenced(x: Floats, voices: int, risk: Callable[[Floats], tuple[float, Floats]]) -> Floats:
    """The weights with those voices at 0 that make no difference (`_TIE`) to the risk."""
    for i in range(len(x) - voices, len(x)):
        without = x.copy()
        without[i] = 0.0
        if risk(without)[0] <= risk(x)[0] + _TIE:
            x = without
    return x


def _features(item: Item, engines: Sequence[str], nets: Sequence[str], generic: bool) -> Floats:
    case = item.case
    if generic:
        votes = case.votes.sum(1, keepdims=True)
    else:  # an engine that lacks the line says nothing
        votes = np.zeros((len(case.paths), len(engines)))
        votes[:, [engines.index(e) for e in case.engines]] = case.votes
    images = case.images
    if len(nets):
        images = np.maximum(images, images.max(0, keepdims=True) - 60.0)
    spoken = np.column_stack([case.language, case.length])
    return np.hstack([votes, images, spoken, case.said])


def _pack(
    mode: Mode, engines: Sequence[str], nets: Sequence[str], voices: Sequence[str], generic: bool
) -> Floats:
    votes = (
        [mode.vote_default] if generic else [mode.votes.get(e, mode.vote_default) for e in engines]
    )
    images = [mode.images.get(k, mode.image_default) for k in nets]
    others = [mode.voices[v] for v in voices]
    return np.array([*votes, *images, mode.language, mode.length, *others])


def _unpack(
    x: Floats,
    mode: Mode,
    engines: Sequence[str],
    nets: Sequence[str],
    voices: Sequence[str],
    generic: bool,
) -> Mode:
    values = [round(float(v), 5) for v in x]
    values, others = values[: len(values) - len(voices)], values[len(values) - len(voices) :]
    count = 1 if generic else len(engines)
    votes, images = values[:count], values[count : count + len(nets)]
    return replace(
        mode,
        votes={} if generic else dict(zip(engines, votes, strict=True)),
        vote_default=votes[0] if generic else round(sum(votes) / len(votes), 5),
        images=dict(zip(nets, images, strict=True)),
        image_default=round(sum(images) / len(images), 5) if images else 0.0,
        language=values[-2],
        length=values[-1],
        voices=dict(zip(voices, others, strict=True)),
    )
