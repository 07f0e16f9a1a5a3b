"""Beam search over a confusion network: the best paths by slot scores, with an LM as partner."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from ensemble_htr.combine.language import Speaker
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
            alive = _branched(alive, arcs, ask, beam)
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
        logp, state = self.speaker.ask(state, token, run)
        return (0.0 if logp is None else -(self.language * logp + self.length)), state


class _Step(NamedTuple):
    """A path and an arc after it: what the path will be if it is kept."""

    cost: float
    text: str
    before: _Partial
    token: str
    state: Hashable
    last: str
    run: int

    def taken(self) -> _Partial:
        path = (*self.before.path, self.token)
        return _Partial(self.cost, self.text, path, self.state, self.last, self.run)


def _branched(
    alive: Sequence[_Partial], arcs: Sequence[tuple[str, float]], ask: _Ask | None, beam: int
) -> list[_Partial]:
    """The ``beam`` best of all paths taken on through every arc, the best first; of two that spell
    the same the better."""
    grown: dict[str, _Step] = {}
    for p in alive:
        for token, local in arcs:
            if token == EPSILON:
                new = _Step(p.cost - local, p.text, p, token, p.state, p.last, p.run)
            else:
                run = p.run + 1 if token == p.last else 1
                cost, state = p.cost - local, p.state
                if ask is not None:
                    more, state = ask.cost(state, token, run)
                    cost += more
                new = _Step(cost, p.text + token, p, token, state, token, run)
            old = grown.get(new.text)
            if old is None or new.cost < old.cost:
                grown[new.text] = new
    return [step.taken() for step in sorted(grown.values())[:beam]]


@dataclass(slots=True)
class _Way:
    """What arcs without rivals cost one after the other, and how a path is after them."""

    costs: list[float]
    state: Hashable
    last: str
    run: int


def _straight(
    alive: Sequence[_Partial], arcs: Sequence[tuple[str, float]], ask: _Ask | None
) -> list[_Partial]:
    """Every path taken on through arcs that have no rivals. Paths at which the language model is
    of one mind go on at the same cost: it is asked once."""
    path = tuple(token for token, _ in arcs)
    text = "".join(path)
    known: dict[tuple[int, Hashable, str, int], tuple[_Way, int]] = {}
    found = []
    for p in alive:
        way, state, last, run = _Way([], p.state, p.last, p.run), p.state, p.last, p.run
        for i, (token, local) in enumerate(arcs):
            mark = (i, state, last, run)
            if (met := known.get(mark)) is not None:
                twin, at = met
                way.costs += twin.costs[at:]
                state, last, run = twin.state, twin.last, twin.run
                break
            known[mark] = way, len(way.costs)
            way.costs.append(-local)
            if token != EPSILON:
                run = run + 1 if token == last else 1
                last = token
                if ask is not None:
                    more, state = ask.cost(state, token, run)
                    way.costs.append(more)
        way.state, way.last, way.run = state, last, run
        cost = sum(way.costs, p.cost)
        found.append(_Partial(cost, p.text + text, (*p.path, *path), state, last, run))
    return found
