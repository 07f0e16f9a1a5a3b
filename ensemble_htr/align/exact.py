"""The exact sum-of-pairs alignment of three short sequences, by a three-dimensional programme.

Progressive alignment is a heuristic from three rows on; where the disputed middle of three rows
is short the optimum is cheap enough to have (Murata, Richardson & Sussman 1985).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from ensemble_htr.align.costs import Costs
from ensemble_htr.types import EPSILON

__all__ = ["align_three"]

# Which of the three rows advance; on ties the first listed wins: all three, then two, then one.
_STEPS = sorted(
    (step for step in product((1, 0), repeat=3) if any(step)), key=lambda s: (-sum(s), s)
)


def align_three(
    rows: Sequence[Sequence[str]], weights: Sequence[int], costs: Costs
) -> list[list[str]]:
    """Three paths of equal length whose weighted sum-of-pairs cost is the least possible.

    Time and memory grow with the product of the three lengths.
    """
    a, b, c = rows
    ab, ac, bc = weights[0] * weights[1], weights[0] * weights[2], weights[1] * weights[2]
    cost_ab, cost_ac, cost_bc = (_table(x, y, costs) for x, y in ((a, b), (a, c), (b, c)))
    best: dict[tuple[int, int, int], tuple[int, tuple[int, int, int]]] = {(0, 0, 0): (0, (0, 0, 0))}
    for i, j, k in product(range(len(a) + 1), range(len(b) + 1), range(len(c) + 1)):
        choice: tuple[int, tuple[int, int, int]] | None = None
        for di, dj, dk in _STEPS:
            if di > i or dj > j or dk > k:
                continue
            x, y, z = i if di else 0, j if dj else 0, k if dk else 0  # 0 = a gap in the tables
            cost = best[i - di, j - dj, k - dk][0] + (
                ab * cost_ab[x][y] + ac * cost_ac[x][z] + bc * cost_bc[y][z]
            )
            if choice is None or cost < choice[0]:
                choice = (cost, (di, dj, dk))
        if choice is not None:
            best[i, j, k] = choice
    here = [len(a), len(b), len(c)]
    paths: list[list[str]] = [[], [], []]
    while any(here):
        step = best[here[0], here[1], here[2]][1]
        for path, row, used, position in zip(paths, rows, step, here, strict=True):
            path.append(row[position - 1] if used else EPSILON)
        here = [position - used for position, used in zip(here, step, strict=True)]
    for path in paths:
        path.reverse()
    return paths


def _table(x: Sequence[str], y: Sequence[str], costs: Costs) -> list[list[int]]:
    """Cost of token ``i`` of x (1-based, 0 = a gap) against token ``j`` of y."""
    return [[costs.pair(s, t) for t in (EPSILON, *y)] for s in (EPSILON, *x)]
