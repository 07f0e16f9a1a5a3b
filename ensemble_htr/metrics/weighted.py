"""Alignment with the costs of NIST's sclite: its counts, for who must compare with them.

A substitution costs 4, an insertion or deletion 3, so that two of these may be preferred to two
substitutions at more edits in all (SCTK, `sclite`; Fiscus, 1998). Of the cheapest alignments it
takes, from the end, a pair of tokens before an insertion and that before a deletion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ensemble_htr.errors import InputError
from ensemble_htr.types import EPSILON

__all__ = ["sclite_pairs"]

_SUBSTITUTION, _INDEL = 4, 3
_MOST_CELLS = 100_000_000


def sclite_pairs(reference: Sequence[str], reading: Sequence[str]) -> list[tuple[str, str]]:
    """Align two token sequences as sclite does; pairs as `alignment_pairs` gives them.

    Time and memory are by the product of the lengths; raises `InputError` above 10^8.
    """
    rows, columns = len(reference), len(reading)
    if (rows + 1) * (columns + 1) > _MOST_CELLS:
        raise InputError(
            f"texts of {rows:,} and {columns:,} tokens are too long for sclite's costs; take a "
            'profile with costs = "unit"'
        )
    cost = _costs(reference, reading)
    pairs: list[tuple[str, str]] = []
    i, j = rows, columns
    while i or j:
        here = int(cost[i, j])
        if i and j:
            wrong = 0 if reference[i - 1] == reading[j - 1] else _SUBSTITUTION
            if here == cost[i - 1, j - 1] + wrong:
                i, j = i - 1, j - 1
                pairs.append((reference[i], reading[j]))
                continue
        if j and here == cost[i, j - 1] + _INDEL:
            j -= 1
            pairs.append((EPSILON, reading[j]))
        else:
            i -= 1
            pairs.append((reference[i], EPSILON))
    return pairs[::-1]


def _costs(reference: Sequence[str], reading: Sequence[str]) -> np.ndarray:
    """Costs ``int32 (rows + 1, columns + 1)`` of aligning all beginnings with one another."""
    codes = {token: number for number, token in enumerate(dict.fromkeys((*reference, *reading)))}
    read = np.array([codes[t] for t in reading], dtype=np.int32)
    ramp = _INDEL * np.arange(len(reading) + 1, dtype=np.int32)
    cost = np.zeros((len(reference) + 1, len(reading) + 1), dtype=np.int32)
    cost[0] = ramp
    for row, token in enumerate(reference, start=1):
        before = cost[row - 1]
        best = before + _INDEL
        paired = before[:-1] + _SUBSTITUTION * (read != codes[token])
        np.minimum(best[1:], paired, out=best[1:])
        cost[row] = np.minimum.accumulate(best - ramp) + ramp
    return cost
