"""What engines misread: rivals that no engine wrote, from the errors that they were seen to make.

A noisy channel (Kernighan, Church & Gale, 1990; Kolak & Resnik, 2002) turned round: how probably
each token stands where engines read what they read, counted on lines whose truth is known. So a
letter enters a network only with the support of an engine's reading that was often taken for it.
Digits are left alone: nothing but the image can tell one from another, and so are runs of a symbol.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ensemble_htr.text import is_number
from ensemble_htr.types import EPSILON, Arc, ConfusionNetwork, Slot

__all__ = ["CHANNEL", "Channel", "heard_in", "likeliest"]

CHANNEL = "channel"  # the key of its evidence on arcs, and of its weight
_EDGES = (0.5, 0.8, 0.95)  # confidences between which a reading is as sure as another
_FAINT = math.log(1e-4)  # of a token that was never seen to be misread so
_EDGE = "\n"  # the neighbour of a line's first and last slot

Reads = Sequence[tuple[str, int]]  # what each engine reads, and how sure (its bin)
Shares = Mapping[str, float]


def _exempt(token: str) -> bool:
    return token != EPSILON and is_number(token)


def _bin(sure: float) -> int:
    return sum(sure > edge for edge in _EDGES)


def heard_in(slot: Slot) -> list[tuple[str, int]]:
    """What every engine with a row reads in a slot, and the bin of its confidence."""
    return [
        (arc.token, _bin(sure))
        for arc in slot.arcs
        for key, sure in arc.evidence.items()
        if key.startswith("vote:")
    ]


def likeliest(slot: Slot) -> str:
    """The token that most confidence is in."""
    return max(slot.arcs, key=_weight).token


def _weight(arc: Arc) -> tuple[float, bool, str]:
    votes = sum(v for k, v in arc.evidence.items() if k.startswith("vote:"))
    return votes, arc.token != EPSILON, arc.token


@dataclass(frozen=True, slots=True)
class Channel:
    """What was seen on lines whose truth is known.

    ``read``: for a token as it was read the shares of the tokens that stood there, and under
    ``token + tab + "0"`` to ``"3"`` those where it was read with little or much confidence;
    ``missed``: for a token, and under ``token + tab + next token`` for two, as they were read, the
    shares of what was left out behind it. Shares below ``least`` propose nothing. Raises
    `ValueError` for a share outside (0, 1].
    """

    read: Mapping[str, Shares] = field(default_factory=dict)
    missed: Mapping[str, Shares] = field(default_factory=dict)
    least: float = 0.02
    most: int = 3  # rivals added to a slot

    def __post_init__(self) -> None:
        for table in (*self.read.values(), *self.missed.values()):
            if any(not 0 < share <= 1 for share in table.values()):
                raise ValueError("a share of misreadings must lie above 0 and at most at 1")

    def propose(self, network: ConfusionNetwork) -> ConfusionNetwork:
        """The network with rivals added, and slots for what may have been left out; every arc of a
        slot in dispute carries ``channel``, the natural log of its share."""
        slots: list[Slot] = []
        places: list[int | None] = []
        shares = [self._shares(heard_in(slot)) for slot in network.slots]
        for i, slot in enumerate(network.slots):
            slots.append(self._widened(slot, shares[i]))
            places.append(i)
            after = network.slots[i + 1] if i + 1 < len(network.slots) else None
            if (gap := self._gap(slot, after)) is not None:
                slots.append(gap)
                places.append(None)
        rows = {
            source: tuple(EPSILON if place is None else row[place] for place in places)
            for source, row in network.rows.items()
        }
        return replace(network, slots=tuple(slots), rows=rows)

    def _shares(self, heard: Reads) -> dict[str, float]:
        """The mean over engines of what stands where they read so."""
        total: dict[str, float] = {}
        for token, sure in heard:
            found = self.read.get(f"{token}\t{sure}") or self.read.get(token) or {token: 1.0}
            for other, share in found.items():
                total[other] = total.get(other, 0.0) + share / len(heard)
        return total

    def _widened(self, slot: Slot, shares: Shares) -> Slot:
        known = set(slot.tokens)
        if not any(map(_exempt, known)):
            likely = sorted(shares, key=lambda t: (-shares[t], t))
            fresh = [t for t in likely if t not in known and shares[t] >= self.least]
            fresh = [t for t in fresh if not _exempt(t)][: self.most]
        else:
            fresh = []
        if len(slot.arcs) + len(fresh) == 1:
            return slot
        arcs = [*slot.arcs, *(Arc(token) for token in fresh)]
        return Slot(
            tuple(
                Arc(a.token, {**a.evidence, CHANNEL: _log(shares.get(a.token, 0.0))}) for a in arcs
            )
        )

    def _gap(self, slot: Slot, after: Slot | None) -> Slot | None:
        left = likeliest(slot)
        right = likeliest(after) if after is not None else _EDGE
        if left == EPSILON or right == EPSILON or _exempt(left) or _exempt(right):
            return None
        shares = self.missed.get(f"{left}\t{right}") or self.missed.get(left) or {}
        likely = sorted(shares, key=lambda t: (-shares[t], t))
        fresh = [t for t in likely if shares[t] >= self.least][: self.most]
        if not fresh:
            return None
        rest = 1 - sum(shares.values())
        empty = Arc(EPSILON, {**_votes(slot, after), CHANNEL: _log(rest)})
        return Slot((empty, *(Arc(t, {CHANNEL: _log(shares[t])}) for t in fresh)))


def _votes(slot: Slot, after: Slot | None) -> dict[str, float]:
    """Votes for nothing between two slots: every engine's mean confidence beside it."""
    sides = [s for s in (slot, after) if s is not None]
    found: dict[str, float] = {}
    for side in sides:
        for arc in side.arcs:
            for key, value in arc.evidence.items():
                if key.startswith("vote:"):
                    found[key] = found.get(key, 0.0) + value / len(sides)
    return found


def _log(share: float) -> float:
    return max(_FAINT, math.log(share)) if share > 0 else _FAINT
