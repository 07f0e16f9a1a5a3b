"""Which texts of two lists are readings of the same lines, where no ids say so: by number or text.

All results are pairs (index on the left, index on the right), each index at most once, ascending.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from ensemble_htr.metrics.anchors import rising

__all__ = ["alike", "by_number", "by_text", "similar"]

Pairs = list[tuple[int, int]]
Numbered = tuple[int, str | None]  # a line's number in its file (0: none), its text (None: unread)

_ALIKE = 0.3  # similarity above that of texts that have nothing in common (0.2 in French)
_SAME = 0.5  # similarity from which two texts may be readings of one line
_SAME_SHORT, _SHORT = 0.75, 8  # the same for texts below so many characters
_LOOK = 200  # characters of a text that are looked at
_CELLS = 1_000_000  # pairs of texts compared at once: a second


def similar(one: str, other: str) -> float:
    """1 - Levenshtein distance / length of the longer, case folded; of the first 200 characters."""
    return Levenshtein.normalized_similarity(_looked(one), _looked(other))


def alike(one: str, other: str) -> bool:
    """Whether two texts may be of one line at all, however badly read."""
    return similar(one, other) > _ALIKE


def by_text(lines: Sequence[str], rows: Sequence[str]) -> Pairs:
    """The monotone alignment with the largest sum of similarities above what is needed: 0.5, and
    0.75 for texts shorter than 8 characters; nothing if it pairs less than half of the shorter
    side. Long lists are first cut at texts that both have exactly once; stretches between such of
    more than a million pairs are left alone. Empty texts are nobody's.
    """
    left, right = ([i for i, t in enumerate(texts) if t] for texts in (lines, rows))
    ours, theirs = [_looked(lines[i]) for i in left], [_looked(rows[j]) for j in right]
    found: Pairs = []
    begun = (0, 0)
    for i, j in [*_anchors(ours, theirs), (len(ours), len(theirs))]:
        (a, b) = begun
        found += [(a + x, b + y) for x, y in _aligned(ours[a:i], theirs[b:j])]
        if i < len(ours):
            found.append((i, j))
        begun = i + 1, j + 1
    pairs = [(left[i], right[j]) for i, j in found]
    return pairs if 2 * len(pairs) >= min(len(ours), len(theirs)) else []


def by_number(
    lines: Sequence[Numbered], rows: Sequence[Numbered]
) -> tuple[Pairs, Literal["order", "text"]]:
    """The lines of a page and the rows of a plain text of it, and how they were paired.

    One by one if there are as many rows as lines (or as lines that anybody has read), by the rows'
    numbers if the last is that of the last line; but as `by_text` has it where less than half of
    these pairs are alike and it finds more.
    """
    pairs = _in_order(lines, rows)
    told = [alike(lines[i][1] or "", rows[j][1] or "") for i, j in pairs if lines[i][1] is not None]
    if not pairs or 2 * sum(told) < len(told):
        other = by_text([text or "" for _, text in lines], [text or "" for _, text in rows])
        if len(other) > sum(told):
            return other, "text"
    return pairs, "order"


def _in_order(lines: Sequence[Numbered], rows: Sequence[Numbered]) -> Pairs:
    read = [i for i, (_, text) in enumerate(lines) if text is not None]
    for some in (list(range(len(lines))), read):
        if len(some) == len(rows):
            return list(zip(some, range(len(rows)), strict=True))
    ours, theirs = (
        {number or i: i - 1 for i, (number, _) in enumerate(side, 1)} for side in (lines, rows)
    )
    if not ours or not theirs or max(ours) != max(theirs):
        return []
    return sorted((ours[number], j) for number, j in theirs.items() if number in ours)


def _anchors(ours: Sequence[str], theirs: Sequence[str]) -> Pairs:
    """Texts that stand on either side once, in an order that both share; none if all pairs can be
    compared anyway."""
    if len(ours) * len(theirs) <= _CELLS:
        return []
    left, right = Counter(ours), Counter(theirs)
    places = {text: j for j, text in enumerate(theirs) if right[text] == 1}
    both = [(i, places[t]) for i, t in enumerate(ours) if left[t] == 1 and t in places]
    return [both[at] for at in rising([j for _, j in both])]


def _aligned(ours: Sequence[str], theirs: Sequence[str]) -> Pairs:
    if not ours or not theirs or len(ours) * len(theirs) > _CELLS:
        return []
    gain = process.cdist(ours, theirs, scorer=Levenshtein.normalized_similarity, score_cutoff=_SAME)
    gain = np.asarray(gain, dtype=np.float64)
    short = np.maximum.outer([len(t) for t in ours], [len(t) for t in theirs]) < _SHORT
    gain = np.where(short, gain - _SAME_SHORT, gain - _SAME) + 1e-6
    best = np.zeros((len(ours) + 1, len(theirs) + 1))
    for i, row in enumerate(gain):
        best[i + 1, 1:] = np.maximum.accumulate(np.maximum(best[i, 1:], best[i, :-1] + row))
    found: Pairs = []
    i, j = len(ours), len(theirs)
    while i and j:
        if best[i, j] == best[i - 1, j]:
            i -= 1
        elif best[i, j] == best[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            found.append((i, j))
    return found[::-1]


def _looked(text: str) -> str:
    return " ".join(text[:_LOOK].casefold().split())
