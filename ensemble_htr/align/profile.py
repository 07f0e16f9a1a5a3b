"""Aligning one sequence to a profile: the dynamic programme under everything else here.

A *profile* is a list of columns, each a mapping from token to the number of rows that hold it
(EPSILON included). Putting a token into a column costs the sum of its costs against all rows of
that column, so the cheapest way through is the best sum-of-pairs alignment of the new sequence
to rows that are already aligned (profile alignment, after Feng & Doolittle 1987).

The same recurrence is written twice: `_solve_small` in plain Python for a few hundred cells, and
`_solve_large`, row by row in NumPy inside a band, for long lines. Both break ties alike: a shared
column before an inserted one before a skipped one, seen from the end of the line.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.align.costs import AlignOptions, Costs, fold
from ensemble_htr.types import EPSILON

__all__ = ["INSERT", "MATCH", "SKIP", "Profile", "columns_of", "solve"]

MATCH, INSERT, SKIP = 0, 1, 2  # token into a column; token into a new column; column left empty

_SMALL = 4000  # cells up to which plain Python is faster than NumPy
_FULL = 1 << 18  # cells up to which no band is needed
_FAR = np.int64(1) << 60  # farther than any real cost
_CACHE = 4_000_000  # match costs kept by the large programme (8 bytes each)


def columns_of(paths: Sequence[Sequence[str]], weights: Sequence[int]) -> list[dict[str, int]]:
    """The columns of aligned rows: for each slot, token -> summed weight of the rows with it."""
    columns: list[dict[str, int]] = []
    for tokens in zip(*paths, strict=True):
        column: dict[str, int] = {}
        for token, weight in zip(tokens, weights, strict=True):
            column[token] = column.get(token, 0) + weight
        columns.append(column)
    return columns


class Profile:
    """Columns prepared for the programme: what a token costs in each, and what skipping costs.

    ``rows`` is the summed weight of all rows, hence a new column costs ``rows`` gaps. ``seen``,
    where given, holds the tokens that each slot has already: a token that is new to its slot then
    costs one step (1/64) more and a new slot two, which only decides between equals.
    """

    __slots__ = ("_costs", "_known", "_near", "insert", "other", "skip")

    def __init__(
        self,
        columns: Sequence[Mapping[str, int]],
        rows: int,
        costs: Costs,
        seen: Sequence[Collection[str]] | None = None,
    ) -> None:
        self._costs = costs
        self.insert = rows * costs.gap + (0 if seen is None else 2)
        self.skip: list[int] = []
        self.other: tuple[list[int], list[int]] = ([], [])  # of an unrelated token; of a space
        self._near: dict[str, list[tuple[int, str, int]]] = {}  # fold -> (column, token, weight)
        self._known: dict[str, list[int]] = {}  # token -> columns that have it as an arc
        for index, column in enumerate(columns):
            self._add(index, column)
        if seen is not None:
            self._prefer(seen)

    def _add(self, index: int, column: Mapping[str, int]) -> None:
        costs, letters, spaces, empty = self._costs, 0, 0, 0
        for token, weight in column.items():
            if token == EPSILON:
                empty += weight
                continue
            if token.isspace():
                spaces += weight
            else:
                letters += weight
            self._near.setdefault(fold(token), []).append((index, token, weight))
        gaps = empty * costs.gap
        self.skip.append((letters + spaces) * costs.gap)
        self.other[0].append(gaps + letters * costs.substitution + spaces * costs.space)
        self.other[1].append(gaps + letters * costs.space + spaces * costs.substitution)

    def _prefer(self, seen: Sequence[Collection[str]]) -> None:
        for index, tokens in enumerate(seen):
            self.other[0][index] += 1
            self.other[1][index] += 1
            self.skip[index] += EPSILON not in tokens
            for token in tokens:
                self._known.setdefault(token, []).append(index)

    def corrections(self, token: str) -> list[tuple[int, int]]:
        """(column, amount): what ``token`` costs less there than an unrelated token would."""
        costs = self._costs
        found = [
            (index, weight * (costs.substitution - (0 if other == token else costs.fold)))
            for index, other, weight in self._near.get(fold(token), ())
        ]
        found.extend((index, 1) for index in self._known.get(token, ()))
        return found


def solve(tokens: Sequence[str], profile: Profile, options: AlignOptions) -> tuple[int, list[int]]:
    """The cheapest alignment of ``tokens`` to ``profile``: its cost (in 1/64) and its moves.

    Moves run from the start; MATCH and INSERT use up a token, MATCH and SKIP a column. Exact up to
    about 500 x 500 tokens; above that exact within a band that is doubled while the path touches
    its edge and ``options.max_cells`` allows.
    """
    rows, columns = len(tokens), len(profile.skip)
    if not tokens:
        return sum(profile.skip), [SKIP] * columns
    if not columns:
        return rows * profile.insert, [INSERT] * rows
    cells = (rows + 1) * (columns + 1)
    if cells <= _SMALL:
        return _solve_small(tokens, profile)
    if cells <= _FULL:
        return _solve_large(tokens, profile, columns)[:2]
    half = options.band
    while True:
        cost, moves, touched = _solve_large(tokens, profile, half)
        wider = 2 * half
        if not touched or (rows + 1) * (2 * wider + 2) > options.max_cells:
            return cost, moves
        half = wider


def _solve_small(tokens: Sequence[str], profile: Profile) -> tuple[int, list[int]]:
    skip, insert = profile.skip, profile.insert
    row = [0]
    for cost in skip:
        row.append(row[-1] + cost)
    table, matches = [row], []
    for token in tokens:
        match = profile.other[token.isspace()].copy()
        for index, amount in profile.corrections(token):
            match[index] -= amount
        matches.append(match)
        left = row[0] + insert
        new = [left]
        for corner, above, shared, empty in zip(row, row[1:], match, skip, strict=False):
            left += empty
            if above + insert < left:
                left = above + insert
            if corner + shared < left:
                left = corner + shared
            new.append(left)
        table.append(new)
        row = new
    moves: list[int] = []
    i, j = len(tokens), len(skip)
    while i or j:
        here = table[i][j]
        if i and j and here == table[i - 1][j - 1] + matches[i - 1][j - 1]:
            moves.append(MATCH)
        elif i and here == table[i - 1][j] + insert:
            moves.append(INSERT)
        else:
            moves.append(SKIP)
        i -= moves[-1] != SKIP
        j -= moves[-1] != INSERT
    moves.reverse()
    return row[-1], moves


def _solve_large(tokens: Sequence[str], profile: Profile, half: int) -> tuple[int, list[int], bool]:
    """As `_solve_small`, over the columns within ``half`` of the diagonal.

    The third value says whether the path touched the edge of the band, so that a wider one might
    be cheaper. A row's running minimum over skipped columns is a cumulative minimum after the
    cumulative cost of skipping is taken off.
    """
    rows, columns = len(tokens), len(profile.skip)
    bounds = _band(rows, columns, half)
    skipped = np.zeros(columns + 1, dtype=np.int64)
    np.cumsum(np.asarray(profile.skip, dtype=np.int64), out=skipped[1:])
    match_rows = _MatchRows(profile)
    start, before = bounds[0][0], skipped[: bounds[0][1]]
    moves: list[NDArray[np.uint8]] = []
    for i, token in enumerate(tokens, start=1):
        low, high = bounds[i]
        above = np.full(high - low + 1, _FAR)  # the row before, columns low - 1 .. high - 1
        first, last = max(start, low - 1), min(start + len(before), high)
        above[first - low + 1 : last - low + 1] = before[first - start : last - start]
        shared = above[:-1] + match_rows[token][low:high]
        best = np.minimum(shared, above[1:] + profile.insert)
        through = np.minimum.accumulate(best - skipped[low:high]) + skipped[low:high]
        moves.append((through != shared).view(np.uint8) + (through != best).view(np.uint8))
        start, before = low, through
    path, touched = _trace(moves, bounds, columns)
    return int(before[-1]), path, touched


class _MatchRows(dict[str, NDArray[np.int64]]):
    """token -> its cost at column 1..n of the programme (column 0 is out of reach), made when
    first asked for; a bounded number is kept."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._other = [np.asarray([_FAR, *costs], dtype=np.int64) for costs in profile.other]
        self._most = 1 + _CACHE // len(self._other[0])

    def __missing__(self, token: str) -> NDArray[np.int64]:
        row = self._other[token.isspace()].copy()
        for index, amount in self._profile.corrections(token):
            row[index + 1] -= amount
        if len(self) >= self._most:
            self.clear()
        self[token] = row
        return row


def _band(rows: int, columns: int, half: int) -> list[tuple[int, int]]:
    """For each row 0..rows the half-open range of columns 0..columns inside the band; successive
    ranges overlap, since ``half`` is at least the slope of the diagonal."""
    half = max(half, columns // rows + 1)
    centres = [i * columns // rows for i in range(rows + 1)]
    return [(max(0, c - half), min(columns, c + half) + 1) for c in centres]


def _trace(
    moves: Sequence[NDArray[np.uint8]], bounds: Sequence[tuple[int, int]], columns: int
) -> tuple[list[int], bool]:
    path: list[int] = []
    touched = False
    i, j = len(moves), columns
    while i or j:
        low, high = bounds[i]
        touched = touched or (j == low > 0) or (j == high - 1 < columns)
        move = int(moves[i - 1][j - low]) if i else SKIP
        path.append(move)
        i -= move != SKIP
        j -= move != INSERT
    path.reverse()
    return path, touched
