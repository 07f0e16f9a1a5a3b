"""How well a perfect judge could read a network: the distance of its nearest path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ensemble_htr.types import EPSILON, ConfusionNetwork

__all__ = ["oracle_distance"]


def oracle_distance(network: ConfusionNetwork, reference_tokens: Sequence[str]) -> int:
    """The smallest Levenshtein distance (in tokens) of any path through ``network`` to the
    reference. Divided by the reference's length it is the network's oracle error rate, a lower
    bound for every combiner. Time: slots x reference tokens; one slot at a time in NumPy.
    """
    length = len(reference_tokens)
    places: dict[str, list[int]] = {}
    for index, token in enumerate(reference_tokens):
        places.setdefault(token, []).append(index)
    ramp = np.arange(length + 1, dtype=np.int64)
    best = ramp  # before the first slot: every reference token so far is missing
    for slot in network.slots:
        empty = 0 if EPSILON in slot.tokens else 1
        new = best + empty  # the slot writes nothing, or one token too many
        wrong = np.ones(length, dtype=np.int64)
        for token in slot.tokens:
            if token != EPSILON:
                wrong[places.get(token, [])] = 0
        np.minimum(new[1:], best[:-1] + wrong, out=new[1:])
        best = np.minimum.accumulate(new - ramp) + ramp  # reference tokens missing after the slot
    return int(best[-1])
