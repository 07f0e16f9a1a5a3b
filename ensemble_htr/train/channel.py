"""Counting what engines misread, from networks whose truth is known."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from ensemble_htr.combine.channel import Channel, heard_in, likeliest
from ensemble_htr.types import EPSILON, ConfusionNetwork

__all__ = ["learn_channel", "stood_there"]

_PRIOR = 4.0  # readings' worth of belief in what is known of a token whatever its confidence
_FEWEST = 2  # times that a misreading must have been seen
_SMALL = 0.002  # shares below are forgotten
_EDGE = "\n"
_NONE: Mapping[str, float] = MappingProxyType({})

Counts = dict[str, Counter[str]]


def stood_there(
    network: ConfusionNetwork, truth: Sequence[str]
) -> tuple[list[str], list[tuple[int, str]]]:
    """For each slot the token of the truth that stands there (or epsilon), and what of the truth
    stands in no slot, with the number of the slot before which it is missing.

    The cheapest way of the truth through the network: a token that an arc has costs nothing, any
    other edit 1.
    """
    width, size = len(truth) + 1, len(network.slots)
    steps = np.arange(width)
    best = steps.astype(float)
    moves = np.full((size + 1, width), 2, np.int8)  # 0 skip the slot, 1 take, 2 no slot has it
    for i, slot in enumerate(network.slots):
        votes = {a.token: sum(k.startswith("vote:") for k in a.evidence) for a in slot.arcs}
        cost = {token: 1e-3 / (1 + count) for token, count in votes.items()}
        skip = best + cost.get(EPSILON, 1.0)
        take = np.full(width, np.inf)
        take[1:] = best[:-1] + [cost.get(t, 1.002) for t in truth]
        moves[i + 1] = take <= skip
        best = np.minimum(skip, take)
        lowest = np.minimum.accumulate(best - steps)
        moves[i + 1][best - steps > lowest] = 2
        best = lowest + steps
    stood, missing = [EPSILON] * size, []
    i, j = size, len(truth)
    while i or j:
        if moves[i, j] == 2:
            j -= 1
            missing.append((i, truth[j]))
            continue
        i -= 1
        if moves[i + 1, j] == 1:
            j -= 1
            stood[i] = truth[j]
    return stood, missing[::-1]


def learn_channel(
    lines: Iterable[tuple[ConfusionNetwork, Sequence[str]]], propose: bool = True
) -> Channel:
    """What stood where engines read so, over all lines and engines, as shares: of what was read
    with a given confidence as far as it was seen often (additive smoothing towards the shares
    whatever the confidence). Without ``propose`` it but weighs what engines read."""
    read: Counts = defaultdict(Counter)
    sure: Counts = defaultdict(Counter)
    missed: Counts = defaultdict(Counter)
    for network, truth in lines:
        stood, missing = stood_there(network, truth)
        gone: dict[int, str] = dict(missing)
        for slot, token in zip(network.slots, stood, strict=True):
            for heard, rank in heard_in(slot):
                read[heard][token] += 1
                sure[f"{heard}\t{rank}"][token] += 1
        tops = [likeliest(slot) for slot in network.slots]
        for i, left in enumerate(tops):
            right = tops[i + 1] if i + 1 < len(tops) else _EDGE
            if left and right:
                missed[left][gone.get(i + 1, EPSILON)] += 1
                missed[f"{left}\t{right}"][gone.get(i + 1, EPSILON)] += 1
    plain = {token: _shares(seen, token) for token, seen in read.items()}
    first = {key: _shares(seen, EPSILON) for key, seen in missed.items() if "\t" not in key}
    bins = _refined(sure, plain)
    gaps = first | _refined({k: seen for k, seen in missed.items() if "\t" in k}, first)
    lost = {
        k: kept for k, v in gaps.items() if (kept := {t: s for t, s in v.items() if t != EPSILON})
    }
    return Channel(plain | bins, lost) if propose else Channel(plain | bins, most=0)


def _refined(counts: Counts, plain: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    found = {}
    for key, seen in counts.items():
        token = key.partition("\t")[0]
        found[key] = _shares(seen, token, plain[token])
    return found


def _shares(seen: Counter[str], own: str, prior: Mapping[str, float] = _NONE) -> dict[str, float]:
    """Shares of what was seen often enough, or is ``own``: no misreading, or in ``prior``."""
    weight = _PRIOR if prior else 0.0
    total = seen.total() + weight
    found = {
        t: (seen[t] + weight * prior.get(t, 0.0)) / total
        for t in seen.keys() | prior.keys()
        if seen[t] >= _FEWEST or t == own or t in prior
    }
    return {t: round(s, 4) for t, s in sorted(found.items()) if s >= _SMALL}
