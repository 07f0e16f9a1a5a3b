"""What is known of an arc, as numbers: what the arc scorer decides by (`combine.forest`).

No feature names an engine: votes and forced scores come in as means, extremes and shares, so one
scorer serves any subset of engines and those that it never met. How much each engine is worth is
in the posterior already, whose weights are the engines' own (`combine.model.Mode`).
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.types import EPSILON, Arc, ConfusionNetwork

__all__ = ["FEATURES", "ArcTable", "arc_table"]

Floats = NDArray[np.float64]

FEATURES = (
    "posterior",  # logit of the mass of the paths through the arc
    "odds",  # its log-ratio to the best rival's
    "share",  # of the engines whose row takes the arc
    "vote",  # mean log confidence of those engines
    "vote best",
    "mass",  # share of the engines' n-best lists that takes it, mean over the engines
    "mass least",
    "forced",  # logit of its mass by one recognizer's forced scores: mean over them, least, most
    "forced least",
    "forced most",
    "lm",  # the same by the language model
    "voices",  # and summed over all other voices that judge texts
    "spoken", "spoken after",  # its log-probability by the language model where it stands on the
    # best path through it, and the mean of the tokens after it there
    "lower", "upper", "digit", "space", "epsilon", "accent",  # the token's class
    "rival epsilon", "rival space", "rival folded",  # the best rival is one, or differs by case
    "rivals",
    "before", "after",  # logit of the neighbouring slots' best posterior
    "around",  # mean best posterior of three slots on either side
    "line posterior",  # mean log of the best posterior of all slots
    "line agreed",  # share of slots where all engines agree
    "line vote",  # mean log confidence of all rows
    "line image",  # forced log-probability of the likeliest path per token, mean over recognizers
    "line language",  # log-probability of that path per token by the language model
    "line length",  # log of the number of slots
    "engines",
)  # fmt: skip

_TOLD = FEATURES.index("spoken")
_SURE = 14.0  # logit that stands for certainty
_MUTE = -4.0  # log confidence where no engine holds an arc
_LEAST = 1e-3  # posterior below which an arc is no rival
_MOST = 4  # rivals of a slot


@dataclass(frozen=True, slots=True)
class ArcTable:
    """``values`` hold a row of `FEATURES` for each arc that could be right; ``slots`` is the slot
    of each row (ascending), ``tokens`` its token; the likeliest arc of a slot comes first."""

    values: Floats  # (arcs, len(FEATURES))
    slots: NDArray[np.int64]  # (arcs,)
    tokens: tuple[str, ...]

    def rows_of(self, chosen: Sequence[str]) -> list[int]:
        """Of each slot the row of the token that is chosen there, the first if it has none."""
        found: dict[int, int] = {}
        for row, (slot, token) in enumerate(zip(self.slots.tolist(), self.tokens, strict=True)):
            if slot not in found or token == chosen[slot]:
                found[slot] = row
        return [found[slot] for slot in sorted(found)]


def arc_table(
    network: ConfusionNetwork,
    engines: Sequence[str],
    nets: Sequence[str],
    others: Sequence[str] = (),
    spoken: Sequence[Mapping[str, tuple[float, float]]] = (),
    image: float = 0.0,
    language: float = 0.0,
) -> ArcTable:
    """The features of a judged network's arcs (they carry ``posterior``). ``others`` names the
    voices besides the LM, ``spoken`` is what `case.spoken_at` gives; ``image`` and ``language``
    are the line's own log-probabilities."""
    best = [max(a.evidence["posterior"] for a in slot.arcs) for slot in network.slots]
    votes = [f"vote:{e}" for e in engines]
    masses = [f"mass:{e}" for e in engines]
    forced = [f"forced:{k}" for k in nets]
    held = [len(s.arcs) == 1 or max(_held(a, votes) for a in s.arcs) == len(engines)
            for s in network.slots]  # fmt: skip
    said = [math.log(max(a.evidence[v], 1e-3))
            for s in network.slots for a in s.arcs for v in votes if v in a.evidence]  # fmt: skip
    count = max(1, len(best))
    line = [
        sum(math.log(max(b, 1e-6)) for b in best) / count,
        sum(held) / count,
        sum(said) / max(1, len(said)),
        image,
        language,
        math.log(count),
        float(len(engines)),
    ]
    near = [_logit(b) for b in best]
    rows: list[list[float]] = []
    slots: list[int] = []
    tokens: list[str] = []
    for i, slot in enumerate(network.slots):
        arcs = sorted(slot.arcs, key=_rank, reverse=True)
        arcs = [a for a in arcs[:_MOST] if a.evidence["posterior"] >= _LEAST] or arcs[:1]
        around = best[max(0, i - 3) : i] + best[i + 1 : i + 4]
        place = [
            near[i - 1] if i else _SURE,
            near[i + 1] if i + 1 < len(near) else _SURE,
            sum(around) / len(around) if around else 1.0,
            *line,
        ]
        for k, arc in enumerate(arcs):
            rival = arcs[1 if k == 0 else 0] if len(arcs) > 1 else None
            own = _own(arc, rival, votes, masses, forced, others)
            told = spoken[i].get(arc.token, (0.0, 0.0)) if spoken else (0.0, 0.0)
            rows.append([*own[:_TOLD], *told, *own[_TOLD:], len(arcs) - 1.0, *place])
            slots.append(i)
            tokens.append(arc.token)
    values = np.array(rows, float).reshape(len(rows), len(FEATURES))
    return ArcTable(values, np.array(slots, np.int64), tuple(tokens))


def _rank(arc: Arc) -> tuple[float, bool, str]:
    return arc.evidence["posterior"], arc.token != EPSILON, arc.token


def _held(arc: Arc, votes: Sequence[str]) -> int:
    return sum(v in arc.evidence for v in votes)


def _own(
    arc: Arc,
    rival: Arc | None,
    votes: Sequence[str],
    masses: Sequence[str],
    forced: Sequence[str],
    others: Sequence[str],
) -> list[float]:
    says = arc.evidence
    posterior = says["posterior"]
    odds = _SURE
    if rival is not None:
        odds = math.log(max(posterior, 1e-9) / max(rival.evidence["posterior"], 1e-9))
    held = [math.log(max(says[v], 1e-3)) for v in votes if v in says]
    mass = [says.get(m, 0.0) for m in masses]
    alone = _SURE if rival is None else 0.0  # what a voice says where there is nothing to say
    heard = [max(-_SURE, min(_SURE, says.get(f, alone))) for f in forced] or [0.0]
    return [
        _logit(posterior),
        max(-_SURE, min(_SURE, odds)),
        len(held) / max(1, len(votes)),
        sum(held) / len(held) if held else _MUTE,
        max(held, default=_MUTE),
        sum(mass) / max(1, len(mass)),
        min(mass, default=0.0),
        sum(heard) / len(heard),
        min(heard),
        max(heard),
        max(-_SURE, min(_SURE, says.get("lm", 0.0))),
        sum(max(-_SURE, min(_SURE, says.get(o, 0.0))) for o in others),
        *_kind(arc.token),
        float(rival is not None and rival.token == EPSILON),
        float(rival is not None and rival.token.isspace()),
        float(rival is not None and arc.token.casefold() == rival.token.casefold()),
    ]


def _kind(token: str) -> list[float]:
    return [
        float(token.islower()),
        float(token.isupper()),
        float(token[:1].isnumeric()),
        float(token.isspace()),
        float(token == EPSILON),
        float(len(unicodedata.normalize("NFD", token)) > 1),
    ]


def _logit(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))
