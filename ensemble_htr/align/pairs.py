"""Which letters engines take for one another, learned from their readings alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import permutations

from rapidfuzz.distance import Levenshtein

from ensemble_htr.text import fold

__all__ = ["learn_pairs"]

_FEWEST = 40  # times that a pair must have been seen, from either side
_SURE = 3.0  # natural log-ratio to chance from which a pair is spared all it can be


def learn_pairs(
    lines: Iterable[Sequence[Sequence[str]]], most: float = 0.5
) -> tuple[tuple[str, str, float], ...]:
    """`AlignOptions.pairs` from lines as several engines read them (tokens of each reading).

    Every two readings of a line are aligned by edit distance; a pair that stands in one place more
    often than its frequencies would have it is spared up to the share ``most`` of a substitution,
    by the logarithm of that ratio (pointwise mutual information; cf. Ristad & Yianilos 1998). No
    ground truth is needed. Merges come in by their parts: m/rn as m/r and m/n.
    """
    pairs: Counter[tuple[str, str]] = Counter()
    letters: Counter[str] = Counter()
    for readings in lines:
        folded = [[fold(token) for token in tokens] for tokens in readings]
        for a, b in permutations(folded, 2):  # either way: ties differ
            letters.update(a)
            letters.update(b)
            pairs.update(
                (min(a[op.src_pos], b[op.dest_pos]), max(a[op.src_pos], b[op.dest_pos]))
                for op in Levenshtein.editops(a, b)
                if op.tag == "replace"
            )
    total, changed = letters.total(), pairs.total()
    found = []
    for (x, y), count in sorted(pairs.items()):
        if count < _FEWEST or not x.strip() or not y.strip():
            continue
        chance = 2 * letters[x] / total * letters[y] / total * changed
        share = round(most * min(1.0, math.log(count / chance) / _SURE), 3)
        if share > 0:
            found.append((x, y, share))
    return tuple(found)
