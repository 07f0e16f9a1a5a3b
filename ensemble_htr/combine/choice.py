"""What is read: the token of each slot, where language and lists are guarded by what they break."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ensemble_htr.combine.case import Case, arc_mass, sight_of, softmax
from ensemble_htr.combine.model import MODELS, Mode
from ensemble_htr.text import fold, is_number
from ensemble_htr.types import EPSILON, Arc, Slot

__all__ = [
    "Choice",
    "ListChange",
    "applied",
    "arc_masses",
    "choose",
    "guarded",
    "heaviest",
    "list_changes",
    "vote_for",
]


@dataclass(frozen=True, slots=True)
class Choice:
    """The token of each slot, by who is heard."""

    all: list[str]
    unlisted: list[str]  # lists of words and names silent
    silent: list[str]  # nobody heard who knows language and not this line


def arc_masses(case: Case, mode: Mode) -> list[dict[str, float]]:
    """For each slot the posterior of each of its arcs."""
    if not case.nets and not mode.speaks:
        return [_softmax_arcs(slot, case.engines, mode) for slot in case.network.slots]
    return arc_mass(case, softmax(case.scores(mode)))


def choose(case: Case, mode: Mode, mass: Sequence[Mapping[str, float]]) -> Choice:
    """The token of each slot: that of the largest ``mass``, but for words that are guarded.

    A word that language changes, against what would be read without it, must be likelier, as a
    whole, by ``mode.guard`` nats. A word that lists of words and names change, against what would
    be read (and guarded) without them, must be likelier to them by ``mode.list_guard`` nats, and to
    everybody together by ``mode.list_margin``. Lists know no spelling and no number, and like short
    words: what they would change in case, accents and marks alone, shorten, or change in a word
    with a number, is left as it is.
    """
    if mode.listed:
        plain = mode.unlisted()
        old = choose(case, plain, arc_masses(case, plain))
        best = guarded(case, mode, old.silent, heaviest(mass))
        found = [c for c in list_changes(case, mode, old.all, best) if c.allowed(mode)]
        return replace(old, all=applied(old.all, best, found))
    best = heaviest(mass)
    if not mode.speaks:
        return Choice(best, best, best)
    silent = heaviest(arc_masses(case, mode.mute()))
    best = guarded(case, mode, silent, best)
    return Choice(best, best, silent)


def guarded(case: Case, mode: Mode, old: list[str], best: list[str]) -> list[str]:
    """``old`` with those words of ``best`` that language, lists too, may change."""
    if mode.guard <= 0 or old == best:
        return best
    sight, kept = sight_of(case, mode, [{}] * len(best)), list(best)
    for start, stop in _differing(old, best):
        before, after = (sight.same(way, start, stop)[0][0] for way in (old, best))
        if after - before < mode.guard:
            kept[start:stop] = old[start:stop]
    return kept


@dataclass(frozen=True, slots=True)
class ListChange:
    """A word (slots ``start`` to ``stop``) that lists would change: by how many nats they like it
    better, and by how many the likeliest path that has it is likelier than without (`Mode`)."""

    start: int
    stop: int
    told: float
    margin: float

    def allowed(self, mode: Mode) -> bool:
        return self.told >= mode.list_guard and self.margin >= mode.list_margin


def list_changes(
    case: Case, mode: Mode, old: Sequence[str], best: Sequence[str]
) -> list[ListChange]:
    """The words of ``old`` that are others in ``best``, but those that are not for lists."""
    if old == best:
        return []
    weights = [mode.voices.get(v, 0.0) * (v not in MODELS) for v in case.voices]
    told, scores = case.said @ np.array(weights), case.scores(mode)
    sight, found = sight_of(case, mode, [{}] * len(best)), []
    for start, stop in _differing(old, best):
        if _not_for_lists(old[start:stop], best[start:stop]):
            continue
        ways = [sight.along(way, start, stop) for way in (old, best)]
        if not all(map(np.any, ways)):
            continue  # no path goes so
        before, after = (int(np.where(way, scores, -np.inf).argmax()) for way in ways)
        gains = (float(each[after] - each[before]) for each in (told, scores))
        found.append(ListChange(start, stop, *gains))
    return found


def applied(old: Sequence[str], best: Sequence[str], changes: Iterable[ListChange]) -> list[str]:
    """``old`` with the ``changes`` as they are in ``best``."""
    kept = list(old)
    for each in changes:
        kept[each.start : each.stop] = best[each.start : each.stop]
    return kept


def heaviest(mass: Sequence[Mapping[str, float]]) -> list[str]:
    """The token of each slot that has the largest mass."""
    return [max(m.items(), key=lambda kv: (kv[1], kv[0] != EPSILON, kv[0]))[0] for m in mass]


def _differing(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """The stretches between blanks that both write in which they differ."""
    cuts = [i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a == b and a.isspace()]
    bounds = zip([-1, *cuts], [*cuts, len(old)], strict=True)
    return [(a + 1, b) for a, b in bounds if old[a + 1 : b] != new[a + 1 : b]]


def _not_for_lists(old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether two words differ in case, accents and marks alone, the second is shorter, or one
    holds a number."""
    old, new = ([t for t in word if t != EPSILON] for word in (old, new))
    letters = [[fold(t) for t in word if t[0].isalpha()] for word in (old, new)]
    return letters[0] == letters[1] or len(new) < len(old) or any(map(is_number, (*old, *new)))


def vote_for(arc: Arc, engines: Sequence[str], mode: Mode) -> float:
    """The weighed votes that an arc has."""
    votes = ((mode.votes.get(e, mode.vote_default), arc.evidence.get(f"vote:{e}")) for e in engines)
    return sum(weight * vote for weight, vote in votes if vote is not None)


def _softmax_arcs(slot: Slot, engines: Sequence[str], mode: Mode) -> dict[str, float]:
    if len(slot.arcs) == 1:
        return {slot.arcs[0].token: 1.0}
    scores = [vote_for(arc, engines, mode) for arc in slot.arcs]
    shifted = [math.exp(score - max(scores)) for score in scores]
    total = sum(shifted)
    return {arc.token: p / total for arc, p in zip(slot.arcs, shifted, strict=True)}
