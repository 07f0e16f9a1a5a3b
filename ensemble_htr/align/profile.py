"""Aligning one sequence to a profile: the dynamic programme under everything else here.

A *profile* is a list of columns, each a mapping from token to the number of rows that hold it
(EPSILON included). Putting a token into a column costs the sum of its costs against all rows of
that column, so the cheapest way through is the best sum-of-pairs alignment of the new sequence
to rows that are already aligned (profile alignment, after Feng & Doolittle 1987).

The same recurrence is written twice: `_solve_small` in plain Python for a few thousand cells, and
`_solve_large`, row by row in NumPy inside a band, for long lines. Both break ties alike: a shared
column before an inserted one before a skipped one, seen from the end of the line.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.align.band import Band, search
from ensemble_htr.align.costs import AlignOptions, Costs
from ensemble_htr.text import fold
from ensemble_htr.types import EPSILON

__all__ = ["INSERT", "MATCH", "SKIP", "Profile", "columns_of", "half_needed", "solve"]

Ints = NDArray[np.int64]

MATCH, INSERT, SKIP = 0, 1, 2  # token into a column; token into a new column; column left empty

_SMALL = 4000  # cells up to which plain Python is faster than NumPy
_FAR = np.int64(1) << 60  # farther than any real cost


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

    __slots__ = ("_alike", "_costs", "_same", "insert", "lead", "other", "skip")

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
        self.lead: list[str] = []  # the token of the most rows, the first of equals
        self.other: tuple[list[int], list[int]] = ([], [])  # of an unrelated token; of a space
        self._alike: dict[str, dict[int, int]] = {}  # fold -> column -> discount
        self._same: dict[str, dict[int, int]] = {}  # token -> column -> further discount
        for index, column in enumerate(columns):
            self._add(index, column)
            if seen is not None:
                self._prefer(index, seen[index])

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
            alike = self._alike.setdefault(fold(token), {})
            alike[index] = alike.get(index, 0) + weight * (costs.substitution - costs.fold)
            for partner, spared in costs.partners.get(fold(token), {}).items():
                alike = self._alike.setdefault(partner, {})
                alike[index] = alike.get(index, 0) + weight * spared
            self._same.setdefault(token, {})[index] = weight * costs.fold
        most = max((w for t, w in column.items() if t != EPSILON), default=0)
        leads = [t for t, w in column.items() if t != EPSILON and w == most]
        self.lead.append(leads[0] if leads and most >= empty else EPSILON)
        gaps = empty * costs.gap
        self.skip.append((letters + spaces) * costs.gap)
        self.other[0].append(gaps + letters * costs.substitution + spaces * costs.space)
        self.other[1].append(gaps + letters * costs.space + spaces * costs.substitution)

    def _prefer(self, index: int, seen: Collection[str]) -> None:
        self.other[0][index] += 1
        self.other[1][index] += 1
        self.skip[index] += EPSILON not in seen
        for token in seen:
            same = self._same.setdefault(token, {})
            same[index] = same.get(index, 0) + 1

    def discounts(self, token: str) -> tuple[Mapping[int, int], Mapping[int, int]]:
        """What ``token`` costs less than an unrelated token, by column in ascending order: where
        tokens are alike (but for case and accents, or as a pair), and further where the same."""
        return self._alike.get(fold(token), {}), self._same.get(token, {})

    def floor(self) -> list[int]:
        """No more than each column costs, whatever is done with it; without pairs exactly that."""
        if self._costs.partners:  # a token of no row may be alike to all of them
            return [0] * len(self.skip)
        least = [min(costs) for costs in zip(self.skip, *self.other, strict=True)]
        for token in self._same:
            alike, same = self.discounts(token)
            other = self.other[token.isspace()]
            for index, amount in same.items():
                least[index] = min(least[index], other[index] - amount - alike.get(index, 0))
        return least


def solve(tokens: Sequence[str], profile: Profile, options: AlignOptions) -> tuple[int, list[int]]:
    """The cheapest alignment of ``tokens`` to ``profile``: its cost (in 1/64) and its moves.

    Moves run from the start; MATCH and INSERT use up a token, MATCH and SKIP a column. Long
    sequences are searched within bands (see `band.search`).
    """
    rows, columns = len(tokens), len(profile.skip)
    if not tokens:
        return sum(profile.skip), [SKIP] * columns
    if not columns:
        return rows * profile.insert, [INSERT] * rows
    if (rows + 1) * (columns + 1) <= _SMALL:
        return _solve_small(tokens, profile)
    return search(
        rows,
        columns,
        options,
        lambda band: _solve_large(tokens, profile, band),
        lambda: _coded(tokens, profile.lead),
        lambda cost: half_needed(cost, rows, profile.skip, profile.insert, profile.floor()),
    )


def _coded(tokens: Sequence[str], lead: Sequence[str]) -> tuple[Ints, Ints]:
    codes: dict[str, int] = {EPSILON: -1}
    for token in (*tokens, *lead):
        codes.setdefault(token, len(codes))
    a, b = (np.fromiter(map(codes.__getitem__, x), np.int64, len(x)) for x in (tokens, lead))
    return a, b


def half_needed(
    cost: int, rows: int, skips: Sequence[int], insert: int, floor: Sequence[int]
) -> int:
    """The half-width outside of which every path costs at least ``cost``.

    A path that leaves a band of half-width h makes h moves along the longer side and, to come back,
    h less the difference of the lengths along the shorter one. Each costs ``insert``, or what
    skipping costs more than the column costs at the least.
    """
    columns = len(skips)
    spare = max(0, cost - sum(floor))
    skip = min(full - least for full, least in zip(skips, floor, strict=True))
    longer, shorter = (skip, insert) if columns >= rows else (insert, skip)
    difference = abs(columns - rows)
    if spare <= longer * difference:
        return -(-spare // longer) if longer else 0
    return -(-(spare + shorter * difference) // (longer + shorter))


def _solve_small(tokens: Sequence[str], profile: Profile) -> tuple[int, list[int]]:
    skip, insert = profile.skip, profile.insert
    row = [0]
    for cost in skip:
        row.append(row[-1] + cost)
    table, matches = [row], []
    for token in tokens:
        match = profile.other[token.isspace()].copy()
        for discount in profile.discounts(token):
            for index, amount in discount.items():
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


def _solve_large(tokens: Sequence[str], profile: Profile, band: Band) -> tuple[int, list[int]]:
    """As `_solve_small`, over the columns of the band, row by row.

    A row's running minimum over skipped columns is a cumulative minimum after the
    cumulative cost of skipping is taken off.
    """
    columns = len(profile.skip)
    bounds = list(zip(band[0].tolist(), band[1].tolist(), strict=True))
    skipped = np.zeros(columns + 1, dtype=np.int64)
    np.cumsum(np.asarray(profile.skip, dtype=np.int64), out=skipped[1:])
    match = _MatchCosts(profile)
    start, before = bounds[0][0], skipped[: bounds[0][1]]
    moves: list[NDArray[np.uint8]] = []
    for i, token in enumerate(tokens, start=1):
        low, high = bounds[i]
        above = np.full(high - low + 1, _FAR)  # the row before, columns low - 1 .. high - 1
        first, last = max(start, low - 1), min(start + len(before), high)
        above[first - low + 1 : last - low + 1] = before[first - start : last - start]
        shared = above[:-1].copy()
        shared[low == 0 :] += match.between(token, max(0, low - 1), high - 1)
        best = np.minimum(shared, above[1:] + profile.insert)
        through = np.minimum.accumulate(best - skipped[low:high]) + skipped[low:high]
        moves.append((through != shared).view(np.uint8) + (through != best).view(np.uint8))
        start, before = low, through
    return int(before[-1]), _trace(moves, bounds, columns)


class _MatchCosts:
    """What a token costs in a stretch of columns: the cost of an unrelated token less discounts."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._other = [np.asarray(costs, dtype=np.int64) for costs in profile.other]
        self._sparse: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def between(self, token: str, low: int, high: int) -> NDArray[np.int64]:
        """Costs of ``token`` in the columns ``low`` to ``high - 1``."""
        row = self._other[token.isspace()][low:high].copy()
        for discount in self._profile.discounts(token):
            if discount:
                places, amounts = self._arrays(discount)
                first, last = np.searchsorted(places, (low, high))
                row[places[first:last] - low] -= amounts[first:last]
        return row

    def _arrays(self, discount: Mapping[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        found = self._sparse.get(id(discount))  # the profile keeps it alive
        if found is None:
            places = np.fromiter(discount.keys(), np.int64, len(discount))
            found = places, np.fromiter(discount.values(), np.int64, len(discount))
            self._sparse[id(discount)] = found
        return found


def _trace(
    moves: Sequence[NDArray[np.uint8]], bounds: Sequence[tuple[int, int]], columns: int
) -> list[int]:
    path: list[int] = []
    i, j = len(moves), columns
    while i or j:
        move = int(moves[i - 1][j - bounds[i][0]]) if i else SKIP
        path.append(move)
        i -= move != SKIP
        j -= move != INSERT
    path.reverse()
    return path
