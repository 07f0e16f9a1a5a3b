"""Beam search over a confusion network: the best paths by slot scores, with an LM as partner."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from ensemble_htr.combine.language import Speaker, is_exempt
from ensemble_htr.types import EPSILON

__all__ = ["best_paths"]


class _Partial(NamedTuple):
    """A path so far. Two paths with the same text and arcs still to come differ in nothing that
    matters later, so only the better of each text is kept. They sort by what comes first."""

    cost: float  # less the score
    text: str
    path: tuple[str, ...]
    state: Hashable
    last: str
    run: int


def best_paths(
    slots: Sequence[Sequence[tuple[str, float]]],
    *,
    speaker: Speaker | None = None,
    language: float = 0.0,
    length: float = 0.0,
    beam: int = 12,
    count: int = 8,
) -> list[tuple[str, ...]]:
    """The ``count`` best paths with distinct texts, best first; one token (or epsilon) per slot.

    ``slots`` hold ``(token, score in nats)``. A path scores the sum of its arcs plus
    ``language * log p_lm + length`` for each token that the LM may judge. With ``beam`` at least
    the number of paths the search is exhaustive.
    """
    ask = _Ask(speaker, language, length) if speaker is not None and language > 0 else None
    alive = [_Partial(0.0, "", (), ask.speaker.start() if ask else None, "", 0)]
    for agreed, group in groupby(slots, key=lambda arcs: len(arcs) == 1):
        if agreed:
            alive = sorted(_straight(alive, [arcs[0] for arcs in group], ask))
            continue
        for arcs in group:
            alive = _branched(alive, arcs, ask)[:beam]
    if ask is not None:
        ends = [language * ask.speaker.end(p.state) for p in alive]
        alive = sorted(p._replace(cost=p.cost - end) for p, end in zip(alive, ends, strict=True))
    return [p.path for p in alive[:count]]


class _Ask(NamedTuple):
    """A language model and what its answers weigh."""

    speaker: Speaker
    language: float
    length: float

    def cost(self, state: Hashable, token: str, run: int) -> tuple[float, Hashable]:
        logp, state = self.speaker.ask(state, token)
        return (0.0 if is_exempt(token, run) else -(self.language * logp + self.length)), state


def _branched(
    alive: Sequence[_Partial], arcs: Sequence[tuple[str, float]], ask: _Ask | None
) -> list[_Partial]:
    """Every path taken on through every arc, the best first; of two that spell the same the
    better."""
    grown: dict[str, tuple[float, str, _Partial, str, Hashable, str, int]] = {}
    for p in alive:
        cost, text, _, state, last, run = p
        for token, local in arcs:
            if token == EPSILON:
                new = (cost - local, text, p, token, state, last, run)
            else:
                times = run + 1 if token == last else 1
                spent, after = cost - local, state
                if ask is not None:
                    more, after = ask.cost(state, token, times)
                    spent += more
                new = (spent, text + token, p, token, after, token, times)
            old = grown.get(new[1])
            if old is None or new[0] < old[0]:
                grown[new[1]] = new
    return [
        _Partial(cost, text, (*p.path, token), state, last, run)
        for cost, text, p, token, state, last, run in sorted(grown.values(), key=_order)
    ]


def _order(grown: tuple[float, str, *tuple[Any, ...]]) -> tuple[float, str]:
    return grown[0], grown[1]


def _straight(
    alive: Sequence[_Partial], way: Sequence[tuple[str, float]], ask: _Ask | None
) -> list[_Partial]:
    """Every path taken on through arcs that have no rivals. Paths at which the language model is
    of one mind go on at the same cost: it is asked once."""
    path = tuple(token for token, _ in way)
    text = "".join(path)
    known: dict[tuple[int, Hashable, str, int], tuple[list[float], int]] = {}
    ends: dict[int, tuple[Hashable, str, int]] = {}  # by the list of costs
    found = []
    for p in alive:
        costs: list[float] = []
        state, last, run = p.state, p.last, p.run
        for i, (token, local) in enumerate(way):
            mark = (i, state, last, run)
            if (twin := known.get(mark)) is not None:
                costs += twin[0][twin[1] :]
                state, last, run = ends[id(twin[0])]
                break
            known[mark] = costs, len(costs)
            costs.append(-local)
            if token != EPSILON:
                run = run + 1 if token == last else 1
                last = token
                if ask is not None:
                    more, state = ask.cost(state, token, run)
                    costs.append(more)
        ends[id(costs)] = state, last, run
        spent = sum(costs, p.cost)
        found.append(_Partial(spent, p.text + text, (*p.path, *path), state, last, run))
    return found
