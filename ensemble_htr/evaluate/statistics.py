"""Scores of sets of lines with intervals over documents, and differences in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np

from ensemble_htr.evaluate.report import Difference, LineScore, Scores, SystemReport
from ensemble_htr.metrics import (
    Counts,
    Estimate,
    difference_interval,
    rate_interval,
    sign_flip_test,
)
from ensemble_htr.metrics.bootstrap import LEVEL
from ensemble_htr.text import Profile

__all__ = ["Statistics", "grouped", "verdict"]

K = TypeVar("K", bound=Hashable)

_UNITS: tuple[tuple[str, Callable[[LineScore], tuple[str, ...]]], ...] = (
    ("document", lambda line: (line.doc,)),
    ("page", lambda line: (line.doc, line.page)),
    ("line", lambda line: (line.doc, line.page, line.id)),
)


def grouped(lines: Sequence[LineScore], key: Callable[[LineScore], K]) -> dict[K, list[LineScore]]:
    """The lines by what ``key`` says of them, in the order in which it first says it."""
    found: dict[K, list[LineScore]] = {}
    for line in lines:
        found.setdefault(key(line), []).append(line)
    return found


class Statistics:
    """Rates under a profile's denominator; ``seed`` is that of drawn permutations."""

    def __init__(self, profile: Profile, seed: int = 0) -> None:
        self.denominator = profile.denominator
        self.seed = seed

    def scores(self, lines: Sequence[LineScore]) -> Scores:
        unit, labels = _clusters(lines)
        characters = _per_cluster([line.characters for line in lines], labels)
        words = _per_cluster([line.words for line in lines], labels)
        return Scores(
            lines=len(lines),
            right=sum(line.characters.edits == 0 for line in lines),
            characters=Counts.sum(characters),
            words=Counts.sum(words),
            cer=rate_interval(*self._columns(characters)),
            wer=rate_interval(*self._columns(words)),
            unit=unit,
            clusters=len(characters),
        )

    def named(
        self, lines: Sequence[LineScore], key: Callable[[LineScore], str]
    ) -> dict[str, Scores]:
        """Scores by name; empty if there is no name but ``''``."""
        groups = grouped(lines, key)
        return {n: self.scores(groups[n]) for n in sorted(groups)} if set(groups) - {""} else {}

    def difference(
        self, name: str, lines: Sequence[LineScore], first: SystemReport, letters_only: bool
    ) -> Difference:
        """Paired differences of a system's lines to those of ``first``, in the same order."""
        every = list(zip(lines, first.lines, strict=True))
        letters = [pair for pair in every if pair[0].letters]
        scored = letters if letters_only else every
        cer = self._paired(scored, lambda line: line.characters)
        p = self._chance(scored)
        return Difference(
            to=first.name,
            cer=cer,
            wer=self._paired(scored, lambda line: line.words),
            letters_cer=self._paired(letters, lambda line: line.characters),
            letters_wer=self._paired(letters, lambda line: line.words),
            p=p,
            verdict=verdict(name, first.name, cer, p, self._units(scored)),
        )

    def _units(self, pairs: Sequence[tuple[LineScore, LineScore]]) -> tuple[str, int]:
        unit, labels = _clusters([one for one, _ in pairs])
        return unit, len(set(labels))

    def _paired(
        self,
        pairs: Sequence[tuple[LineScore, LineScore]],
        counts: Callable[[LineScore], Counts],
    ) -> Estimate:
        _, labels = _clusters([one for one, _ in pairs])
        ours = self._columns(_per_cluster([counts(one) for one, _ in pairs], labels))
        theirs = self._columns(_per_cluster([counts(two) for _, two in pairs], labels))
        return difference_interval(*ours, *theirs)

    def _chance(self, pairs: Sequence[tuple[LineScore, LineScore]]) -> float:
        _, labels = _clusters([one for one, _ in pairs])
        ours, theirs = (
            [c.edits for c in _per_cluster([pair[i].characters for pair in pairs], labels)]
            for i in range(2)
        )
        return sign_flip_test(ours, theirs, seed=self.seed)

    def _columns(self, counts: Sequence[Counts]) -> tuple[list[int], list[int]]:
        return [c.edits for c in counts], [c.over(self.denominator) for c in counts]


def verdict(
    name: str, other: str, cer: Estimate, p: float, units: tuple[str, int] = ("", 0)
) -> str:
    """The difference of two systems (``name`` minus ``other``) in a sentence. It says that one is
    better only if both the interval and the permutation test do. ``units``: what was drawn
    together, and how many there are; of few the test can never tell."""
    points = [f"{100 * v:+.2f}".replace("-", "−") for v in (cer.value, cer.low, cer.high)]
    chance = f"p = {p:.3f}" if p >= 0.0005 else "p < 0.001"
    figures = f"{points[0]} points of CER, {LEVEL:.0%} [{points[1]}, {points[2]}], {chance}"
    if cer.low <= 0.0 <= cer.high or p > 1 - LEVEL:
        unit, count = units
        least = 2.0 ** (1 - count)  # of two-sided sign flips
        if count and least > 1 - LEVEL and not cer.low <= 0.0 <= cer.high:
            many = f"{count} {unit}" + "s" * (count > 1)
            figures += f", which is never below {least:.3g} with {many}: give more"
        return f"These documents cannot tell {name} from {other}: {figures}."
    return (
        f"{name} is {'better' if cer.value < 0 else 'worse'} than {other} on these documents: "
        + (f"{figures}.")
    )


def _clusters(lines: Sequence[LineScore]) -> tuple[str, list[int]]:
    """The coarsest unit of which there are at least two, and each line's cluster number."""
    for unit, key in _UNITS:
        keys = [key(line) for line in lines]
        number = {k: i for i, k in enumerate(dict.fromkeys(keys))}
        if len(number) > 1:
            return unit, [number[k] for k in keys]
    return "line", [0] * len(lines)


def _per_cluster(counts: Sequence[Counts], labels: Sequence[int]) -> list[Counts]:
    table = np.zeros((max(labels, default=-1) + 1, 4), dtype=np.int64)
    rows = [(c.hits, c.substitutions, c.insertions, c.deletions) for c in counts]
    np.add.at(table, np.asarray(labels, dtype=np.int64), np.asarray(rows).reshape(-1, 4))
    return [Counts(*map(int, row)) for row in table]
