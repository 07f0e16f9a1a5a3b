"""Folds for whatever is learned and judged on the same lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

__all__ = ["FOLDS", "folds"]

FOLDS = 3
_STRETCH = 10  # lines that follow one another are alike


def folds(lines: Sequence[tuple[str, int]]) -> list[int]:
    """The fold, 0 to `FOLDS` - 1, of each line, given as its document and length.

    Documents are dealt out whole, the longest first, so that nothing is judged by what its own
    document taught. With fewer documents than folds, stretches of lines stand for documents: of
    ten, or of as many as leave something for every fold. Two lines or more fill two folds at least.
    """
    size: Counter[str] = Counter()
    for doc, length in lines:
        size[doc] += length
    if len(size) < FOLDS:
        stretch = max(1, min(_STRETCH, len(lines) // FOLDS))
        return [i // stretch % FOLDS for i in range(len(lines))]
    order = sorted(size, key=lambda doc: (-size[doc], doc))
    dealt = {doc: i % FOLDS for i, doc in enumerate(order)}
    return [dealt[doc] for doc, _ in lines]
