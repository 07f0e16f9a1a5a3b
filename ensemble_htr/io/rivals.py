"""What else could stand there: rival readings of a place, and where the engines differ.

Read off the network that a reading was chosen from, whose arcs carry the judge's ``posterior``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ensemble_htr.types import EPSILON, ConfusionNetwork, Reading

__all__ = ["Part", "parts", "rivals"]

_LEAST = 0.0001  # probability below which a rival is not worth a word


def rivals(
    reading: Reading, start: int, stop: int, confidence: float, most: int
) -> tuple[tuple[str, float], ...]:
    """At most ``most`` other texts for the tokens from ``start`` to ``stop``, likeliest first.

    They are what the network's rows (each engine's reading and its alternatives) have there, empty
    slots around the place included: strings that somebody read, not any mixture of letters.
    ``confidence`` is that of what stands there. A rival has to it the odds that its arcs'
    posteriors have (their product), but all rivals together no more than the doubt that is left.
    () without a network, or where all agree.
    """
    network = reading.network
    if network is None or most < 1 or len(reading.slots) != len(reading.tokens) or start >= stop:
        return ()
    first = reading.slots[start - 1] + 1 if start else 0
    last = reading.slots[stop] if stop < len(reading.slots) else len(network.slots)
    disputed = [i for i in range(first, last) if len(network.slots[i].arcs) > 1]
    if not disputed:
        return ()
    arcs = {i: _probabilities(network, i) for i in disputed}
    chosen = dict(zip(reading.slots, reading.tokens, strict=True))
    own = "".join(reading.tokens[start:stop])
    others: dict[str, float] = {}
    for path in {row[first:last] for row in network.rows.values()}:
        text = " ".join("".join(path).split())
        if text and text != own:
            p = math.prod(arcs[i][path[i - first]] for i in disputed)
            others[text] = others.get(text, 0.0) + p
    total = sum(others.values())
    if total <= 0.0:
        return ()
    held = math.prod(arcs[i].get(chosen.get(i, EPSILON), 0.0) for i in disputed)
    scale = min((1 - confidence) / total, confidence / held if held > 0 else math.inf)
    shared = [(text, scale * p) for text, p in others.items()]
    best = sorted(shared, key=lambda kv: (-kv[1], kv[0]))[:most]
    return tuple((text, p) for text, p in best if p >= _LEAST)


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a reading: its tokens from ``start`` to ``stop``, and where engines differ from
    it or from one another what each of them has there ({} where all agree)."""

    start: int
    stop: int
    texts: Mapping[str, str] = field(default_factory=dict)


def parts(reading: Reading) -> list[Part]:
    """The reading cut at the spaces that all engines share; parts in dispute stand alone."""
    network, tokens = reading.network, reading.tokens
    if network is None or len(set(reading.slots)) != len(tokens):
        return [Part(0, len(tokens))] if tokens else []
    rows = {name: row for name, row in network.rows.items() if "#" not in name}
    written = set(reading.slots)
    found: list[Part] = []
    place, first, begun = 0, 0, 0  # token, its part's first slot and first token

    def close(stop: int) -> None:
        texts = {name: " ".join("".join(row[first:stop]).split()) for name, row in rows.items()}
        own = " ".join("".join(tokens[begun:place]).split())
        if any(text != own for text in texts.values()):
            found.append(Part(begun, place, texts))
        elif found and not found[-1].texts:
            found[-1] = Part(found[-1].start, place)
        elif place > begun:
            found.append(Part(begun, place))

    for i in range(len(network.slots)):
        if i in written and tokens[place] == " " and all(row[i] == " " for row in rows.values()):
            close(i)
            first, begun, place = i, place, place + 1
            close(i + 1)
            first, begun = i + 1, place
        elif i in written:
            place += 1
    close(len(network.slots))
    return found


def _probabilities(network: ConfusionNetwork, i: int) -> dict[str, float]:
    """Of each arc of a slot: the judge's posterior, or the share of the engines that take it."""
    arcs = network.slots[i].arcs
    if all("posterior" in arc.evidence for arc in arcs):
        return {arc.token: min(1.0, max(0.0, arc.evidence["posterior"])) for arc in arcs}
    rows = [row for name, row in network.rows.items() if "#" not in name]
    if not rows:
        return {arc.token: 1 / len(arcs) for arc in arcs}
    return {arc.token: sum(row[i] == arc.token for row in rows) / len(rows) for arc in arcs}
