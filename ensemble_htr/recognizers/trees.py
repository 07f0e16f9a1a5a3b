"""Rival texts of a line as a tree: what they share at their beginnings is scored once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["NODES", "Tree", "trees"]

NODES = 4096  # of the trees of rivals scored in one pass


class Tree:
    """Texts of a line that share their beginnings; node 0 is the beginning of the line."""

    def __init__(self, line: int, begin: int) -> None:
        self.line = line
        self.taken: list[tuple[int, list[int], tuple[int, ...]]] = []  # number, nodes, codes
        self.codes, self.depth, self.parent = [begin], [0], [0]
        self._next: dict[tuple[int, int], int] = {}

    def add(self, row: tuple[int, ...], number: int) -> None:
        nodes = [0]
        for code in row:
            key = (nodes[-1], code)
            if key not in self._next:
                self._next[key] = len(self.codes)
                self.codes.append(code)
                self.depth.append(len(nodes))
                self.parent.append(nodes[-1])
            nodes.append(self._next[key])
        self.taken.append((number, nodes, row))

    def ancestors(self, seen: NDArray[np.bool_]) -> None:
        """Fill in whether a node sees another (itself and those above), bool ``(nodes, nodes)`` or
        more; what is beyond sees itself, so that its attention is a number."""
        for node, parent in enumerate(self.parent):
            seen[node] = seen[parent]
            seen[node, node] = True
        np.fill_diagonal(seen[len(self.parent) :, len(self.parent) :], True)


def trees(line: int, rows: list[tuple[tuple[int, ...], int]], begin: int) -> list[Tree]:
    """Trees of at most `NODES` nodes (or one text) for the numbered rival texts of a line."""
    grown: list[Tree] = []
    for row, number in sorted(rows):
        if not grown or len(grown[-1].codes) + len(row) > NODES:
            grown.append(Tree(line, begin))
        grown[-1].add(row, number)
    return grown
