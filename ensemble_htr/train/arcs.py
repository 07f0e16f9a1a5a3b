"""Growing the arc scorer: which arcs of judged networks are right, learned from their features.

An arc is right if the cheapest way of the truth through the network takes it (edit distance to a
network: Mangu, Brill & Stolcke, 2000; of equally cheap ways the one of the likelier arcs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.combine.arcs import FEATURES, ArcTable
from ensemble_htr.combine.case import floored
from ensemble_htr.combine.certainty import Scorer, best_arcs
from ensemble_htr.combine.choice import arc_masses, choose
from ensemble_htr.combine.forest import Forest
from ensemble_htr.combine.judge import Judge, tabled
from ensemble_htr.combine.model import Mode
from ensemble_htr.combine.words import (
    LINE_FEATURES,
    WORD_FEATURES,
    Sight,
    line_features,
    spans,
    word_features,
    written,
)
from ensemble_htr.metrics import alignment_pairs, edit_distance, words_read
from ensemble_htr.train.folds import folds
from ensemble_htr.train.judge import Item, document_weights
from ensemble_htr.train.subsets import varied
from ensemble_htr.types import EPSILON, ConfusionNetwork

__all__ = ["FEW_LINES", "exported", "judged_apart", "learn_scorer", "truth_path"]

Floats = NDArray[np.float64]
FEW_LINES = 300  # below this, trees would learn the documents by heart
_GAIN = 0.02  # of the errors: for less, words are not taken from the guards of language


def truth_path(network: ConfusionNetwork, truth: Sequence[str]) -> list[str | None]:
    """For each slot the token that the truth has there; None where it has one that no arc has."""
    costs = [
        {a.token: 1e-3 * (1 - a.evidence["posterior"]) for a in slot.arcs} for slot in network.slots
    ]
    width = len(truth) + 1
    best = np.arange(width, dtype=float)
    moves = np.zeros((len(costs), width), np.int8)  # 0 skip the slot, 1 take the truth's token
    for i, arcs in enumerate(costs):
        skip = best + arcs.get(EPSILON, 1.0)
        take = np.full(width, np.inf)
        take[1:] = best[:-1] + [arcs.get(t, 1.0005) for t in truth]
        moves[i] = take <= skip
        best = np.minimum(skip, take)
        # a token of the truth that stands in no slot costs 1: a running minimum
        steps = np.arange(width)
        lowest = np.minimum.accumulate(best - steps)
        moves[i][best - steps > lowest] = 2
        best = lowest + steps
    path: list[str | None] = []
    j = len(truth)
    for i in range(len(costs) - 1, -1, -1):
        while moves[i, j] == 2:
            j -= 1
        if moves[i, j] == 1:
            j -= 1
            path.append(truth[j] if truth[j] in costs[i] else None)
        else:
            path.append(EPSILON if EPSILON in costs[i] else None)
    return path[::-1]


@dataclass(frozen=True, slots=True)
class _Example:
    """A line as the arc scorer sees it: its arcs, which of them are right, what each counts."""

    item: Item
    table: ArcTable
    chosen: list[str]  # the judge's token of each slot
    sight: Sight
    right: NDArray[np.bool_]
    weight: float

    @classmethod
    def of(cls, judge: Judge, item: Item, mode: Mode, weight: float) -> _Example:
        network = judge.decide(item.case, mode).network
        assert network is not None
        table, sight = tabled(item.case, network, mode)
        case = floored(item.case)
        chosen = choose(case, mode, arc_masses(case, mode)).all
        truth = truth_path(network, item.truth)
        arcs = zip(table.slots.tolist(), table.tokens, strict=True)
        return cls(
            item, table, chosen, sight, np.array([truth[i] == t for i, t in arcs], bool), weight
        )


def learn_scorer(judge: Judge, items: Sequence[Item], mode: Mode) -> Scorer:
    """Learn what arcs, words and lines are worth to the readings that ``mode`` chooses.

    Lines also stand, with a third of the weight, as subsets of the engines would see them, with
    confidences sharpened or flattened (`train.subsets`). Words, lines and whether the arcs may
    decide (where language speaks they must gain a little, for no guard holds them) are learned from
    `train.folds`, each judged by a scorer of the others.
    """
    plain = replace(mode, scorer=None)
    weights = document_weights(items).tolist()
    own = [_Example.of(judge, x, plain, w) for x, w in zip(items, weights, strict=True) if x.truth]
    own = [e for e in own if len(e.table.values)]
    more = {
        i: _Example.of(judge, other, plain, e.weight / 3)
        for i, e in enumerate(own)
        if (other := varied(e.item, i)) is not None
    }
    few, sure = len(own) < FEW_LINES, dict[int, Floats]()
    fold = folds([(e.item.doc, len(e.item.truth)) for e in own])
    for number in sorted(set(fold)):
        seen = [i for i, k in enumerate(fold) if k != number]
        examples = [e for i in seen for e in (own[i], more.get(i)) if e is not None]
        forest = _grow_arcs(examples, few)
        sure |= {i: forest(e.table.values) for i, e in enumerate(own) if fold[i] == number}
    final = _grow_arcs([*own, *more.values()], few)
    judged = [_chosen(e, e.table.rows_of(e.chosen), sure[i]) for i, e in enumerate(own)]
    scored = [_chosen(e, best_arcs(e.table, sure[i]), sure[i]) for i, e in enumerate(own)]
    least = 1 - _GAIN * mode.speaks
    decides = _errors(own, scored) < least * _errors(own, judged)
    return _with_words(own, scored if decides else judged, final, decides)


def judged_apart(
    judge: Judge, seen: Sequence[Item], new: Sequence[Item], mode: Mode
) -> dict[bool, list[tuple[tuple[str, ...], tuple[float, ...]]]]:
    """What ``mode`` writes of the lines ``new`` and how sure it is of each token, by an arc scorer
    of the lines ``seen``; under True as the scorer would decide, under False as the paths do."""
    plain = replace(mode, scorer=None)
    weights = document_weights(seen).tolist()
    known = [_Example.of(judge, x, plain, w) for x, w in zip(seen, weights, strict=True)]
    known = [e for e in known if len(e.table.values)]
    forest = _grow_arcs(known, len(known) < FEW_LINES)
    examples = [_Example.of(judge, item, plain, 1.0) for item in new]
    found: dict[bool, list[tuple[tuple[str, ...], tuple[float, ...]]]] = {False: [], True: []}
    for e in examples:
        p = forest(e.table.values)
        for decides, written_ in found.items():
            rows = best_arcs(e.table, p) if decides else e.table.rows_of(e.chosen)
            written_.append(_written(_chosen(e, rows, p)) if len(p) else ((), ()))
    return found


def _written(choice: Choice) -> tuple[tuple[str, ...], tuple[float, ...]]:
    chosen, sure = choice
    kept = written(chosen)
    return tuple(chosen[i] for i in kept), tuple(sure[i] for i in kept)


Choice = tuple[list[str], list[float]]  # of each slot its token and how sure it is


def _chosen(example: _Example, rows: list[int], p: Floats) -> Choice:
    return [example.table.tokens[i] for i in rows], p[rows].tolist()


def _errors(examples: Sequence[_Example], choices: Sequence[Choice]) -> float:
    """Character errors, lines weighing as in the fit."""
    return sum(
        e.weight * edit_distance(e.item.truth, [chosen[i] for i in written(chosen)])
        for e, (chosen, _) in zip(examples, choices, strict=True)
    )


def _with_words(
    examples: Sequence[_Example], choices: Sequence[Choice], arcs: Forest, decides: bool
) -> Scorer:
    words: list[list[float]] = []
    word_right: list[bool] = []
    lines: list[list[float]] = []
    line_right: list[bool] = []
    for example, (chosen, sure) in zip(examples, choices, strict=True):
        kept = written(chosen)
        tokens = [chosen[i] for i in kept]
        truth = example.item.truth
        lines.append(line_features(example.sight, chosen, sure))
        line_right.append(tuple(tokens) == truth)
        words += [word_features(example.sight, chosen, sure, kept, a, b) for a, b in spans(tokens)]
        word_right += [word.right for word in words_read(alignment_pairs(truth, tokens))]
    few = len(examples) < FEW_LINES
    grown_words = _grow(WORD_FEATURES, words, word_right, few=few, trees=40, leaves=6)
    heavy = np.array([example.weight for example in examples])
    grown_lines = _grow(LINE_FEATURES, lines, line_right, heavy, few=True)
    return Scorer(arcs, grown_words, grown_lines, decides)


def _grow_arcs(examples: Sequence[_Example], few: bool) -> Forest:
    values = np.concatenate([e.table.values for e in examples])
    right = np.concatenate([e.right for e in examples])
    weights = np.concatenate([np.full(len(e.right), e.weight) for e in examples])
    return _grow(FEATURES, values, right, weights, few=few, trees=80, leaves=12)


def _grow(
    features: tuple[str, ...], rows: Any, right: Any, weights: Any = None, *,
    few: bool, trees: int = 0, leaves: int = 0,
) -> Forest:  # fmt: skip
    """A forest for rows of features: so many trees, or with ``few`` lines a logistic model."""
    values, target = np.asarray(rows, float), np.asarray(right, int)
    if len(set(target.tolist())) < 2:
        share = (target.sum() + 1) / (len(target) + 2)
        return Forest(features, float(np.log(share / (1 - share))))
    if few:
        return _logistic(features, values, target, weights)
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        learning_rate=0.08 if leaves > 6 else 0.1, max_iter=trees, max_leaf_nodes=leaves,
        min_samples_leaf=60, l2_regularization=5.0, early_stopping=False, random_state=0,
    )  # fmt: skip
    return exported(model.fit(values, target, sample_weight=weights), features)


def _logistic(features: tuple[str, ...], values: Floats, right: Any, weights: Any) -> Forest:
    from sklearn.linear_model import LogisticRegression

    centre, spread = values.mean(axis=0), values.std(axis=0)
    spread[spread < 1e-9] = np.inf  # a feature that says nothing weighs nothing
    if weights is not None:
        weights = weights / weights.mean()
    model = LogisticRegression(C=1.0, max_iter=1000)
    model.fit((values - centre) / spread, right, sample_weight=weights)
    slope = model.coef_[0] / spread
    bias = float(model.intercept_[0] - slope @ centre)
    return Forest(features, round(bias, 6), tuple(round(float(w), 6) for w in slope))


def exported(model: Any, features: tuple[str, ...]) -> Forest:
    """A fitted binary ``HistGradientBoostingClassifier`` as a `Forest`."""
    nodes: list[list[float]] = []
    roots = []
    for (tree,) in model._predictors:
        start = len(nodes)
        roots.append(start)
        for node in tree.nodes:
            leaf = bool(node["is_leaf"])
            left, right = (
                (0, 0) if leaf else (start + int(node["left"]), start + int(node["right"]))
            )
            feature = -1 if leaf else int(node["feature_idx"])
            limit = 0.0 if leaf else float(node["num_threshold"])
            nodes.append([feature, limit, left, right, round(float(node["value"]) * leaf, 6)])
    return Forest(features, float(np.ravel(model._baseline_prediction)[0]), (), nodes, tuple(roots))
