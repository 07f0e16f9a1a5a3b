"""How sure language, and lists of words and names apart, must be to change a word: fitted against
the words that they break."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ensemble_htr.combine.case import Case, floored
from ensemble_htr.combine.choice import (
    applied,
    arc_masses,
    choose,
    guarded,
    heaviest,
    list_changes,
)
from ensemble_htr.combine.model import Mode
from ensemble_htr.combine.words import written
from ensemble_htr.metrics import alignment_pairs, edit_distance, words_read
from ensemble_htr.train.judge import Item, document_weights

__all__ = ["BROKEN", "fit_guard"]

GUARDS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)  # nats
LIST_GUARDS, LIST_MARGINS = (0.0, 0.5, 1.0, 2.0), (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
BROKEN = 0.09  # words that language breaks for each that it fixes, at most
BROKEN_BY_LISTS = 0.06  # fewer: of words that only lists change there are too few to count on
_COST = 0.02

Reader = Callable[[Mode], Sequence[str]]  # of one line: its tokens, as a mode reads it


def fit_guard(items: Sequence[Item], mode: Mode) -> Mode:
    """The mode with the guards that read best among those under which language models, and then
    lists, break at most `BROKEN` (`BROKEN_BY_LISTS`) words for each that they fix; where there is
    none, the one that breaks the smallest share. A guard may cost `_COST` of the errors on these
    lines, no more (their weights were fitted on the same, so language looks better here than it
    is). Lines weigh as in the fit."""
    mode = replace(mode, guard=0.0, list_guard=0.0, list_margin=0.0)
    cases = [floored(item.case) for item in items]
    if mode.speaks:
        rivals = [replace(mode.unlisted(), guard=nats) for nats in GUARDS]
        readers = [_choosing(case) for case in cases]
        found = _best(items, rivals, mode.mute(), readers, BROKEN)
        mode = replace(mode, guard=found.guard)
    if mode.listed:
        rivals = [
            replace(mode, list_guard=told, list_margin=margin)
            for margin in LIST_MARGINS
            for told in LIST_GUARDS
        ]
        readers = [_listing(case, mode) for case in cases]
        mode = _best(items, rivals, mode.unlisted(), readers, BROKEN_BY_LISTS)
    return mode


def _best(
    items: Sequence[Item],
    rivals: Sequence[Mode],
    mute: Mode,
    readers: Sequence[Reader],
    most: float,
) -> Mode:
    """The best of ``rivals`` (the first of them is unguarded) beside the ``mute`` mode; ``most`` is
    the share of words that it may break."""
    weights = document_weights(items).tolist()
    silent = [read(mute) for read in readers]
    before = [_right(item.truth, text) for item, text in zip(items, silent, strict=True)]
    found: list[tuple[float, float, Mode]] = []  # cost, broken for each fixed
    for tried in rivals:
        cost = fixed = broken = 0.0
        for item, read, weight, old in zip(items, readers, weights, before, strict=True):
            text = read(tried)
            cost += weight * edit_distance(item.truth, text)
            new = _right(item.truth, text)
            fixed += len(new - old)
            broken += len(old - new)
        found.append((cost, broken / max(1.0, fixed), tried))
    affordable = [row for row in found if row[0] <= (1 + _COST) * found[0][0]]
    least = max(most, min(share for _, share, _ in affordable))
    allowed = [row for row in affordable if row[1] <= least]
    return min(allowed, key=lambda row: row[0])[2]  # of equal ones the loosest


def _choosing(case: Case) -> Reader:
    """A reader that chooses anew for every mode."""

    def read(mode: Mode) -> list[str]:
        if not case.network.slots:
            return []
        return _spelled(choose(case, mode, arc_masses(case, mode)).all)

    return read


def _listing(case: Case, mode: Mode) -> Reader:
    """A reader that works out once what lists would change: only their guards may differ."""
    if not case.network.slots:
        return lambda _: []
    plain = mode.unlisted()
    old = choose(case, plain, arc_masses(case, plain))
    best = guarded(case, mode, old.silent, heaviest(arc_masses(case, mode)))
    found = list_changes(case, mode, old.all, best)

    def read(tried: Mode) -> list[str]:
        kept = [each for each in found if each.allowed(tried)] if tried.listed else []
        return _spelled(applied(old.all, best, kept))

    return read


def _spelled(chosen: Sequence[str]) -> list[str]:
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
