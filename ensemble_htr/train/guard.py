"""How sure language, and lists of words and names apart, must be to change a word: fitted against
the words that they break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ensemble_htr.combine.case import Case, floored
from ensemble_htr.combine.judge import arc_masses, choose
from ensemble_htr.combine.model import Mode
from ensemble_htr.combine.words import written
from ensemble_htr.metrics import alignment_pairs, edit_distance, words_read
from ensemble_htr.train.judge import Item, document_weights

__all__ = ["BROKEN", "fit_guard"]

GUARDS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)  # nats
BROKEN = 0.08  # words broken for each that is fixed, at most: elsewhere it will be more
_COST = 0.02


def fit_guard(items: Sequence[Item], mode: Mode) -> Mode:
    """The mode with the guards that read best among those under which lists, and then all that
    knows language, break at most `BROKEN` words for each that they fix; the tightest if there is
    none. A guard may cost `_COST` of the errors on these lines (their weights were fitted on the
    same, so language looks better here than it is), or else there is none. Lines weigh as in the
    fit."""
    mode = replace(mode, guard=0.0, list_guard=0.0)
    if mode.listed:
        rivals = [replace(mode, list_guard=nats) for nats in GUARDS]
        mode = _guarded(items, rivals, mode.unlisted())
    if mode.speaks:
        mode = _guarded(items, [replace(mode, guard=nats) for nats in GUARDS], mode.mute())
    return mode


def _guarded(items: Sequence[Item], rivals: Sequence[Mode], mute: Mode) -> Mode:
    """The best of ``rivals`` (the first of them is unguarded) beside the ``mute`` mode."""
    weights = document_weights(items).tolist()
    cases = [floored(item.case) for item in items]
    silent = [_read(case, mute) for case in cases]
    before = [_right(item.truth, text) for item, text in zip(items, silent, strict=True)]
    found: list[tuple[float, float, Mode]] = []  # cost, broken for each fixed
    for tried in rivals:
        cost = fixed = broken = 0.0
        for item, case, weight, old in zip(items, cases, weights, before, strict=True):
            text = _read(case, tried)
            cost += weight * edit_distance(item.truth, text)
            new = _right(item.truth, text)
            fixed += len(new - old)
            broken += len(old - new)
        found.append((cost, broken / max(1.0, fixed), tried))
    allowed = [row for row in found if row[1] <= BROKEN] or [found[-1]]
    cost, _, mode = min(allowed, key=lambda row: row[0])  # of equal ones the loosest
    return mode if cost <= (1 + _COST) * found[0][0] else found[0][2]


def _read(case: Case, mode: Mode) -> list[str]:
    if not case.network.slots:
        return []
    chosen = choose(case, mode, arc_masses(case, mode)).all
    return [chosen[i] for i in written(chosen)]


def _right(truth: Sequence[str], text: Sequence[str]) -> set[int]:
    """The words of the reference, by the place of their first token, that are read right."""
    pairs = alignment_pairs(truth, text)
    places, place = [], 0
    for wanted, read in pairs:
        if read:
            places.append(place)
        place += bool(wanted)
    return {places[word.start] for word in words_read(pairs) if word.right}
