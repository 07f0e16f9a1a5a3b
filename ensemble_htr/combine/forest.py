"""Boosted trees as plain numbers, evaluated with NumPy: no pickle, no library at run time.

The trees are grown elsewhere (scikit-learn's histogram boosting, after Friedman, 2001); a logistic
model is a forest without trees. What comes from a file is checked once, so that walking down can
neither leave the table nor go in circles.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Forest"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_LARGEST = 200_000  # nodes
_DEEPEST = 64


@dataclass(frozen=True)
class Forest:
    """P(right) of rows of features: the sigmoid of ``bias + weights . features + sum of leaves``.

    ``nodes`` has a row ``[feature, threshold, left, right, value]`` for each node: with feature -1
    a leaf that adds ``value``, else ``x[feature] <= threshold`` leads to row ``left``, which like
    ``right`` is a later row than its own. ``roots`` are the first rows of the trees. Raises
    ValueError for tables that are no forest.
    """

    features: tuple[str, ...]
    bias: float = 0.0
    weights: tuple[float, ...] = ()
    nodes: Any = ()  # (nodes, 5)
    roots: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.nodes, (list, tuple)) or len(self.nodes) > _LARGEST:
            raise ValueError(f"a forest whose nodes are no list of at most {_LARGEST}")
        table = self._table
        if self.weights and len(self.weights) != len(self.features):
            raise ValueError(f"{len(self.weights)} weights for {len(self.features)} features")
        if any(not 0 <= root < len(table) for root in self.roots):
            raise ValueError("a forest with a root outside of its nodes")
        if not np.isfinite([self.bias, *self.weights]).all() or self._steps > _DEEPEST:
            raise ValueError("a forest that no fit can have grown")

    @functools.cached_property
    def _table(self) -> Floats:
        try:
            return np.asarray(self.nodes, dtype=np.float64).reshape(-1, 5)
        except (TypeError, ValueError):
            raise ValueError("a forest whose nodes are not rows of five numbers") from None

    @functools.cached_property
    def _steps(self) -> int:
        """The longest way down; a node's depth is known when its row comes, parents come first."""
        table = self._table
        if not np.isfinite(table).all():
            raise ValueError("a forest with a number that is none")
        rows = np.arange(len(table))
        inner = table[:, 0] >= 0
        children = table[inner, 2:4]
        if (
            (table[:, 0] != np.round(table[:, 0])).any()
            or (table[:, 0] >= len(self.features)).any()
            or (children != np.round(children)).any()
            or (children <= rows[inner, None]).any()
            or (children >= len(table)).any()
        ):
            raise ValueError("a forest whose nodes lead nowhere")
        depth = np.zeros(len(table), int)
        for row in rows[inner]:
            for child in table[row, 2:4].astype(int):
                depth[child] = max(depth[child], depth[row] + 1)
        return int(depth.max(initial=0))

    @functools.cached_property
    def _columns(self) -> tuple[Ints, Floats, Ints, Floats]:
        """Feature, threshold and value of each node, and where it leads: a leaf to itself."""
        table = self._table
        kind, ways = table[:, 0].astype(np.int64), table[:, 2:4].astype(np.int64)
        leaf = kind < 0
        ways[leaf] = np.flatnonzero(leaf)[:, None]
        return np.maximum(kind, 0), table[:, 1], ways.ravel(), table[:, 4] * leaf

    def logits(self, values: Floats) -> Floats:
        """``bias + ...`` of each row of ``values (rows, features)``."""
        total = np.full(len(values), self.bias)
        if self.weights:
            total += values @ np.array(self.weights)
        if self.roots and len(values):
            at = np.tile(np.array(self.roots), (len(values), 1))  # (rows, trees)
            starts = np.arange(len(values))[:, None] * values.shape[1]
            flat, (kind, limit, ways, leaves) = np.ascontiguousarray(values).ravel(), self._columns
            for _ in range(self._steps):
                right = flat[starts + kind[at]] > limit[at]
                at = ways[2 * at + right]
            total += leaves[at].sum(axis=1)
        return total

    def of(self, values: Floats, names: tuple[str, ...]) -> Floats:
        """P(right) of rows that have a value for each of ``names``, all of the forest's features
        among them."""
        if self.features == names:
            return self(values)
        return self(values[:, [names.index(name) for name in self.features]])

    def __call__(self, values: Floats) -> Floats:
        """P(right) of each row."""
        return np.asarray(1 / (1 + np.exp(-np.clip(self.logits(values), -30, 30))))
