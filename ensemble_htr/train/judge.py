"""Fitting the judge on pages that no recognizer was trained on (the ``judge`` split).

The weights of a mode minimise the expected number of character edits under the softmax of the
path scores (minimum risk training: Och, 2003; Shen et al., 2016), by L-BFGS with the exact
gradient. Documents weigh by the square root of their length, so that a few long registers do not
speak for everybody. Calibration is logistic regression on the features of `combine.judge`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.combine.judge import Case, Judge, char_features, pooled
from ensemble_htr.combine.model import Calibration, Mode
from ensemble_htr.metrics import alignment_pairs, edit_distance

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

    engines, nets = items[0].case.engines, items[0].case.nets
    voices = items[0].case.voices
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
    votes = case.votes.sum(1, keepdims=True) if generic else case.votes
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


def calibrate(judge: Judge, items: Sequence[Item], mode: Mode) -> Mode:
    """Fit the confidences of characters, words and lines for the readings that ``mode`` chooses."""
    plain = replace(mode, char=Calibration(0.0, (1.0, 0.0, 0.0, 0.0)))
    rows: list[tuple[float, ...]] = []
    right: list[bool] = []
    per_line: list[tuple[int, int]] = []
    for item in items:
        network, chosen = _chosen(judge, item, plain)
        features = char_features(network, chosen, item.case.engines)
        per_line.append((len(rows), len(rows) + len(features)))
        rows += features
        right += _slots_right(chosen, item.truth)
    char = _logistic(rows, right)
    sure = _apply(char, rows)
    lines, line_right, words, word_right = [], [], [], []
    for item, (start, stop) in zip(items, per_line, strict=True):
        _, chosen = _chosen(judge, item, plain)
        lines.append(pooled(sure[start:stop]))
        line_right.append(tuple(t for t in chosen if t) == item.truth)
        for first, last in _word_slots(chosen):
            inside = [start + i for i in range(first, last) if chosen[i]]
            words.append(pooled([sure[i] for i in inside]))
            word_right.append(all(right[i] for i in range(start + first, start + last)))
    return replace(
        mode, char=char, word=_logistic(words, word_right), line=_logistic(lines, line_right)
    )


def _chosen(judge: Judge, item: Item, mode: Mode) -> tuple[Any, list[str]]:
    reading = judge.decide(item.case, mode)
    assert reading.network is not None
    chosen = [
        max(s.arcs, key=lambda a: (a.evidence["posterior"], a.token != "", a.token)).token
        for s in reading.network.slots
    ]
    return reading.network, chosen


def _slots_right(chosen: Sequence[str], truth: Sequence[str]) -> list[bool]:
    """Per slot whether its token stands in the truth at its place; an epsilon is right unless the
    truth has a token there that nobody wrote."""
    written = [t for t in chosen if t]
    flags: list[bool] = []
    missing = False
    for wanted, got in alignment_pairs(truth, written):
        if got == "":
            missing = True
            continue
        flags.append(wanted == got)
        if missing and not flags[-1]:
            missing = False
    out, at = [], 0
    for token in chosen:
        if token:
            out.append(flags[at])
            at += 1
        else:
            out.append(True)
    return out


def _word_slots(chosen: Sequence[str]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    start: int | None = None
    for i, token in enumerate([*chosen, " "]):
        if token == " ":
            if start is not None and any(chosen[start:i]):
                spans.append((start, i))
            start = None
        elif start is None and token:
            start = i
    return spans


def _logistic(rows: Sequence[Sequence[float]], right: Sequence[bool]) -> Calibration:
    from sklearn.linear_model import LogisticRegression

    if len(set(right)) < 2:
        share = (sum(right) + 1) / (len(right) + 2)
        return Calibration(math.log(share / (1 - share)), ())
    model = LogisticRegression(C=1.0, max_iter=1000).fit(np.array(rows), np.array(right))
    return Calibration(
        round(float(model.intercept_[0]), 5), tuple(round(float(w), 5) for w in model.coef_[0])
    )


def _apply(calibration: Calibration, rows: Sequence[Sequence[float]]) -> list[float]:
    x = calibration.bias + np.array(rows) @ np.array(calibration.weights or [0.0] * len(rows[0]))
    return [float(v) for v in 1 / (1 + np.exp(-np.clip(x, -30, 30)))]
