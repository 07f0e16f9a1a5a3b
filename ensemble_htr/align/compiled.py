"""The way from strings to the compiled programmes and back, and when that way is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ensemble_htr import jit
from ensemble_htr.align.band import FULL, Band, Found, search
from ensemble_htr.align.costs import AlignOptions, Costs
from ensemble_htr.align.profile import half_needed
from ensemble_htr.text import fold
from ensemble_htr.types import EPSILON

__all__ = ["align", "pays", "thread", "threading_pays", "warm"]

Tokens = tuple[str, ...]
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]

_WARM = 6_000_000  # cells that the plain programmes fill in while numba would be loaded
_THREAD = 10_000  # cells that plain Python fills in while it threads one string
_COLD = 50  # times as many while it would compile everything, where that cannot be kept
_MOST = 1024  # distinct tokens of a line whose pairs' costs are tabulated
_KERNEL = "ensemble_htr.align.kernel"
_CELLS = [0]  # that this process was asked for
_NONE = np.zeros(0, dtype=np.int64)


def pays(middles: Sequence[Tokens], options: AlignOptions) -> bool:
    """Whether numba is there and worth its half second, with the work of ``middles`` added."""
    width = min(max(map(len, middles)), 4 * options.band)
    return _loads(2 * sum(map(len, middles)) * width)


def threading_pays(count: int) -> bool:
    """The same with the work of threading ``count`` strings added."""
    return _loads(_THREAD * count)


def _loads(cells: int) -> bool:
    if not jit.available():
        return False
    _CELLS[0] += cells
    return _CELLS[0] > _WARM * (1 if jit.lasting() else _COLD)


def warm() -> bool:
    """Load the compiled programmes now rather than when they pay; whether they are there."""
    if jit.available():
        _CELLS[0] = 1 << 62
        for exact in (False, True):
            align([("a", "b"), ("a",), ("b",)], [1, 1, 1], AlignOptions(), exact)
        thread({("a",): ["a"]}, [1], [("a", "b")], AlignOptions())
    return jit.available()


def align(
    middles: Sequence[Tokens], weights: Sequence[int], options: AlignOptions, exact: bool
) -> list[list[str]] | None:
    """A path for each of at least two strings, as `network.align_strings` has it; ``exact``: the
    best that three can have. None for more than 1,024 distinct tokens, or where numba fails."""
    if (kernel := jit.load(_KERNEL)) is None:
        return None
    coder = _coder(options)
    flat = coder.codes([token for tokens in middles for token in tokens])
    if flat is None:
        return None
    starts = np.cumsum([0, *map(len, middles)], dtype=np.int64)
    shares = np.array(weights, dtype=np.int64)
    longest = max(map(len, middles))
    if exact:
        a, b, c = (flat[s:e] for s, e in zip(starts[:-1], starts[1:], strict=True))
        paths = kernel.three(a, b, c, shares, coder.table)
    elif (longest + 1) * (len(flat) + 1) <= FULL:  # no profile has more columns than tokens
        paths = kernel.progress(flat, starts, shares, coder.table, options.refine)
    else:
        strings = [flat[s:e] for s, e in zip(starts[:-1], starts[1:], strict=True)]
        paths = _Long(kernel, strings, shares, coder.table, options).align()
    tokens = coder.tokens
    return [[tokens[code] for code in path] for path in paths.tolist()]


def thread(
    paths: Mapping[Tokens, Sequence[str]],
    weights: Sequence[int],
    strings: Sequence[Tokens],
    options: AlignOptions,
) -> dict[Tokens, list[str]] | None:
    """``paths`` of rows with one for each of the ``strings`` added, as `network` threads them. None
    for more than 1,024 distinct tokens, for a changed middle too long for one table, or where numba
    fails."""
    if (kernel := jit.load(_KERNEL)) is None:
        return None
    coder = _coder(options)
    rows = [token for path in paths.values() for token in path]
    flat = coder.codes([*rows, *(token for tokens in strings for token in tokens)])
    if flat is None:
        return None
    starts = np.cumsum([0, *map(len, strings)], dtype=np.int64)
    found = kernel.thread(
        flat[: len(rows)].reshape(len(paths), -1), np.array(weights, dtype=np.int64),
        flat[len(rows) :], starts, coder.table, options.margin, FULL,
    )  # fmt: skip
    tokens = coder.tokens
    listed = [[tokens[code] for code in path] for path in found.tolist()]
    return dict(zip((*paths, *strings), listed, strict=True)) if listed else None


class _Coder:
    """Tokens as numbers, and the cost of every pair of them; both grow with the text."""

    def __init__(self, options: AlignOptions) -> None:
        self._costs = Costs(options)
        self._clear()

    def _clear(self) -> None:
        self.tokens = [EPSILON, "", ""]
        self._known = {EPSILON: 0}
        self._folds = [-1, -2, -3]
        self._spaces = [False, False, True]
        self._alike: dict[str, int] = {}
        self.table = np.zeros((0, 0), dtype=np.int64)

    def codes(self, tokens: Sequence[str]) -> Codes | None:
        """``int32 (tokens,)``, or None for too many distinct ones."""
        known = self._known
        new = set(tokens) - known.keys()
        if len(known) + len(new) > _MOST:
            new = set(tokens)
            if len(new) >= _MOST:
                return None
            self._clear()
            known = self._known
        if new or not len(self.table):
            self._learn(sorted(new))
        return np.fromiter(map(known.__getitem__, tokens), np.int32, len(tokens))

    def _learn(self, tokens: Sequence[str]) -> None:
        for token in tokens:
            self._known[token] = len(self.tokens)
            self.tokens.append(token)
            self._folds.append(self._alike.setdefault(fold(token), len(self._alike)))
            self._spaces.append(token.isspace())
        costs, folds, spaces = self._costs, np.array(self._folds), np.array(self._spaces)
        unlike = spaces[:, None] != spaces[None, :]
        table = np.where(unlike, costs.space, costs.substitution).astype(np.int64)
        for x, partners in costs.partners.items():
            for y, spared in partners.items():
                a, b = self._alike.get(x, -9), self._alike.get(y, -9)
                table[np.ix_(folds == a, folds == b)] -= spared
        table[folds[:, None] == folds[None, :]] = costs.fold
        table[0, :] = table[:, 0] = costs.gap
        np.fill_diagonal(table, 0)
        self.table = table


_coder = lru_cache(maxsize=8)(_Coder)


class _Long:
    """Strings whose tables are too large to be filled: `network` over arrays, within bands."""

    def __init__(
        self,
        kernel: ModuleType,
        strings: Sequence[Codes],
        weights: Ints,
        table: Ints,
        options: AlignOptions,
    ) -> None:
        self._kernel = kernel
        self._strings, self._weights, self._table = strings, weights, table
        self._options = options

    def align(self) -> Codes:
        paths: Codes = self._strings[0][None, :].copy()
        for k in range(1, len(self._strings)):
            paths = self._best(paths, self._weights[:k], k)[1]
        for _ in range(self._options.refine if len(self._strings) > 2 else 0):
            for k in range(len(self._strings)):
                now, others, shares = self._kernel.without(paths, k, self._weights, self._table)
                cost, found = self._best(others, shares, k)
                if cost < now:
                    paths = np.insert(found[:-1], k, found[-1], axis=0)
        return paths

    def _best(self, paths: Codes, weights: Ints, k: int) -> tuple[int, Codes]:
        """The cost of string ``k`` against ``paths``, and all paths, its own the last."""
        tokens, table, join = self._strings[k], self._table, self._kernel.join
        rows, columns = len(tokens), paths.shape[1]
        if not rows or not columns:
            found: tuple[int, Codes] = join(paths, weights, tokens, table, _NONE, _NONE)
            return found
        leads, least, skip = self._kernel.lead(paths, weights, table)
        if self._options.pairs:  # as `Profile.floor`
            least = np.zeros_like(least)
        insert = int(weights.sum() * table[0, 1])
        latest: list[Codes] = []

        def solve(band: Band) -> Found:
            cost, found = join(paths, weights, tokens, table, *band)
            latest[:] = [found]
            return cost, []

        cost, _ = search(
            rows, columns, self._options, solve,
            lambda: (tokens.astype(np.int64), leads),
            lambda cost: half_needed(cost, rows, skip.tolist(), insert, least.tolist()),
        )  # fmt: skip
        return cost, latest[0]
