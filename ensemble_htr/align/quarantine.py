"""Which engines read another line altogether.

Two readings of one line share more of their letters in order than chance: than one of them shares
with the other read backwards or with its halves swapped, which have the same letters and lengths.
What they share beyond that grows with the length of the line, chance with its square root, so the
difference is told in roots of the shorter length. ``eval/quarantine.md`` has how often readings of
made lines are parted: nine in ten of unlike lines, of the same line hardly any but short ones with
a third of their letters wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rapidfuzz.distance import LCSseq, Levenshtein
from rapidfuzz.fuzz import partial_ratio

from ensemble_htr.types import Hypothesis

__all__ = ["akin", "strangers"]

_SHORTEST, _LONGEST = 20, 4096  # characters of readings that are judged at all
_ALIKE = 0.28  # similarity that readings of unlike lines seldom reach
_FRAGMENT = 0.6  # of the longer reading: a shorter one may be a part of the same line
_CHANCE = 0.6  # in roots of the shorter length


def strangers(rows: Sequence[Hypothesis]) -> frozenset[str]:
    """The sources whose readings belong to another line than most engines read.

    Where as many engines read one line as another (two engines, say), the surer ones are kept; if
    some gave no confidences, those that wrote more letters and fewer signs, then more text. Nobody
    is left out where more than two engines read as many lines, nor for a reading that is short,
    empty, or so much shorter that it may be a fragment. A function of the set of rows.
    """
    texts = {row.source: row.text.casefold() for row in rows}
    judged = [row for row in rows if _SHORTEST <= len(texts[row.source]) <= _LONGEST]
    if len(judged) < 2 or all(
        akin(texts[judged[0].source], texts[row.source]) for row in judged[1:]
    ):
        return frozenset()
    groups = _groups(judged, texts)
    largest = max(map(len, groups))
    rivals = [group for group in groups if len(group) == largest]
    if len(groups) < 2 or (len(rivals) > 1 and largest == 1 and len(judged) > 2):
        return frozenset()
    sure = all(row.logprobs for group in rivals for row in group)
    kept = max(rivals, key=lambda group: _rank(group, sure))
    return frozenset(row.source for group in groups if group is not kept for row in group)


def _groups(rows: Sequence[Hypothesis], texts: dict[str, str]) -> list[list[Hypothesis]]:
    """Rows that are akin, or akin to the same."""
    groups: list[list[Hypothesis]] = []
    for row in rows:
        near = [
            group
            for group in groups
            if any(akin(texts[row.source], texts[other.source]) for other in group)
        ]
        groups = [group for group in groups if group not in near]
        groups.append([row, *(other for group in near for other in group)])
    return groups


def _rank(group: Sequence[Hypothesis], sure: bool) -> tuple[float, float, int, list[str]]:
    text = "".join(row.text for row in group)
    letters = sum(c.isalpha() or c.isspace() for c in text) / len(text)
    confidence = math.fsum(map(_confidence, group)) if sure else 0.0
    return confidence, letters, len(text), sorted(row.text for row in group)


def _confidence(row: Hypothesis) -> float:
    known = [math.exp(min(0.0, p)) for p in row.logprobs or () if not math.isnan(p)]
    return math.fsum(known) / max(1, len(row.tokens))


def akin(a: str, b: str) -> bool:
    """Whether two texts may be readings of one line, or one of a part of it."""
    a, b = sorted((a, b))
    if Levenshtein.normalized_similarity(a, b) >= _ALIKE:
        return True
    shorter = min(len(a), len(b))
    if shorter < _FRAGMENT * max(len(a), len(b)):
        return True
    half = len(b) // 2
    back = b[::-1]
    chance = (back, b[half:] + b[:half], back[half:] + back[:half])
    root = math.sqrt(shorter)
    common = LCSseq.similarity(a, b) - sum(LCSseq.similarity(a, x) for x in chance) / 3
    if common >= _CHANCE * root:
        return True
    local = partial_ratio(a, b) - sum(partial_ratio(a, x) for x in chance) / 3  # in per cent
    return local * root >= 100 * _CHANCE
