"""Where a dynamic programme looks: for each row of its table a range of columns.

A short line is searched whole. A long one first in a corridor that follows anchors (stretches that
occur once in either sequence, the longest chain of them that rises in both: the patience rule),
in time that is linear but for one sort, however long the line and however far its parts have
moved; then, where cells allow it, in a band so wide that no path outside can be cheaper.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.align.costs import AlignOptions
from ensemble_htr.metrics import anchors

__all__ = ["FULL", "Band", "Found", "corridor", "diagonal", "search"]

Ints = NDArray[np.int64]
Band = tuple[Ints, Ints]  # (rows + 1,) first column of each row, and one past its last
Found = tuple[int, list[int]]  # a cost and the moves that have it

FULL = 1 << 18  # cells up to which no band is needed
_GRAM = 10  # tokens of an anchor
_LONGEST = 16  # a corridor may take so many times the cells of a band


def search(
    rows: int,
    columns: int,
    options: AlignOptions,
    solve: Callable[[Band], Found],
    guide: Callable[[], tuple[Ints, Ints]],
    needed: Callable[[int], int],
) -> Found:
    """The cheapest alignment that ``solve`` finds in the bands worth trying.

    ``guide`` gives the codes of the tokens ``(rows,)`` and of the columns ``(columns,)``, negative
    where a column is as good as empty; ``needed`` the half-width of a band round the diagonal
    outside of which all paths cost at least so much. Optimal unless that band has more than
    ``options.max_cells`` cells (Ukkonen 1985).
    """
    if (rows + 1) * (columns + 1) <= FULL:
        return solve(diagonal(rows, columns, columns))
    half = max(8, min(options.band, _LONGEST * options.max_cells // (2 * rows + 2)))
    found = solve(corridor(*guide(), half))
    half = needed(found[0])
    if half > options.max_cells // (2 * rows + 2):
        return found
    return solve(diagonal(rows, columns, half))


def diagonal(rows: int, columns: int, half: int) -> Band:
    """The columns within ``half`` of the straight line between the corners."""
    half = max(half, columns // rows + 1)  # successive ranges overlap
    centres = np.arange(rows + 1, dtype=np.int64) * columns // rows
    return np.maximum(0, centres - half), np.minimum(columns, centres + half) + 1


def corridor(tokens: Ints, columns: Ints, half: int) -> Band:
    """The columns within ``half`` of the line from anchor to anchor."""
    rows, places = len(tokens), np.flatnonzero(columns >= 0)
    mine, theirs = anchors(tokens, columns[places], _GRAM)
    if not len(mine):
        return diagonal(rows, len(columns), half)
    after = theirs + _GRAM  # a line runs from the end of one anchor to the start of the next
    free = (mine[:-1] + _GRAM < mine[1:]) & (after[:-1] < theirs[1:])
    ends = np.append(np.flatnonzero(free), len(mine) - 1)
    x = np.concatenate((mine, mine[ends] + _GRAM))
    y = np.concatenate((places[theirs], places[after[ends] - 1] + 1))
    order = np.argsort(x)
    start, stop = int(x.min() > 0), int(x.max() < rows)
    x = np.concatenate(([0] * start, x[order], [rows] * stop)).astype(np.int64)
    y = np.concatenate(([0] * start, y[order], [len(columns)] * stop)).astype(np.int64)
    at = np.arange(rows + 1, dtype=np.int64)
    leg = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    centres = y[leg] + (at - x[leg]) * (y[leg + 1] - y[leg]) // (x[leg + 1] - x[leg])
    low = np.maximum(0, centres - half)
    high = np.minimum(len(columns), centres + half) + 1
    low[0], high[-1] = 0, len(columns) + 1
    high[:-1] = np.maximum(high[:-1], low[1:] + 1)  # where the line is steep, ranges still meet
    return low, high
