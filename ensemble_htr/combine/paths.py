"""Beam search over a confusion network: the best paths by slot scores, with an LM as partner."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from ensemble_htr.combine.language import Speaker, is_exempt
from ensemble_htr.types import EPSILON

__all__ = ["best_paths"]


class _Partial(NamedTuple):
    """A path so far. Two paths with the same text and arcs still to come differ in nothing that
    matters later, so only the better of each text is kept."""

    score: float
    local: float  # the part of the score that the slots gave
    path: tuple[str, ...]
    text: str
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
    speaker = speaker if language > 0 else None
    state = speaker.start() if speaker is not None else None
    alive = [_Partial(0.0, 0.0, (), "", state, "", 0)]
    for arcs in slots:
        if len(arcs) == 1 and speaker is None:
            token = arcs[0][0]
            alive = [p._replace(path=(*p.path, token), text=p.text + token) for p in alive]
            continue
        grown: dict[str, _Partial] = {}
        for p in alive:
            for token, local in arcs:
                new = _grow(p, token, local, speaker, language, length)
                old = grown.get(new.text)
                if old is None or new.score > old.score:
                    grown[new.text] = new
        alive = sorted(grown.values(), key=lambda p: (-p.score, p.text))[:beam]
    if speaker is not None:
        alive = [p._replace(score=p.score + language * speaker.end(p.state)) for p in alive]
        alive.sort(key=lambda p: (-p.score, p.text))
    return [p.path for p in alive[:count]]


def _grow(
    p: _Partial,
    token: str,
    local: float,
    speaker: Speaker | None,
    language: float,
    length: float,
) -> _Partial:
    path = (*p.path, token)
    if token == EPSILON:
        return _Partial(p.score + local, p.local + local, path, p.text, p.state, p.last, p.run)
    run = p.run + 1 if token == p.last else 1
    score, state = p.score + local, p.state
    if speaker is not None:
        logp, state = speaker.ask(p.state, token)
        if not is_exempt(token, run):
            score += language * logp + length
    return _Partial(score, p.local + local, path, p.text + token, state, token, run)
