"""Do two systems err in the same places? What an ensemble lives on is that they do not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import ne

from ensemble_htr.metrics.distance import alignment_pairs
from ensemble_htr.types import EPSILON

__all__ = ["ErrorAgreement", "agreement_at", "error_agreement", "written_at"]


@dataclass(frozen=True, slots=True)
class ErrorAgreement:
    """Additive counts over reference characters: who misread which.

    A reference character is *wrong* for a system that substituted or deleted it. Insertions have
    no reference character and are left out.
    """

    characters: int = 0
    first: int = 0  # wrong for the first system
    second: int = 0  # wrong for the second system
    both: int = 0  # wrong for both
    same: int = 0  # wrong for both, and both wrote the same

    def __add__(self, other: ErrorAgreement) -> ErrorAgreement:
        return ErrorAgreement(
            self.characters + other.characters,
            self.first + other.first,
            self.second + other.second,
            self.both + other.both,
            self.same + other.same,
        )

    @property
    def phi(self) -> float:
        """Correlation of the two error indicators, in [-1, 1] (phi coefficient; Yule 1912).

        0 where it is undefined because a system is always right or always wrong.
        """
        n, a, b = self.characters, self.first, self.second
        spread = a * (n - a) * b * (n - b)
        return (n * self.both - a * b) / math.sqrt(spread) if spread else 0.0

    @property
    def shared(self) -> float:
        """Share of the characters wrong for either system that are wrong for both."""
        either = self.first + self.second - self.both
        return self.both / either if either else 0.0

    @property
    def identical(self) -> float:
        """Share of the characters wrong for either system that both misread in the same way:
        errors that no vote between the two can find."""
        either = self.first + self.second - self.both
        return self.same / either if either else 0.0


def written_at(reference: Sequence[str], reading: Sequence[str]) -> tuple[str, ...]:
    """What a reading holds at each token of ``reference``; ``''`` where it left the token out."""
    return tuple(read for wanted, read in alignment_pairs(reference, reading) if wanted != EPSILON)


def error_agreement(
    reference: Sequence[str], first: Sequence[str], second: Sequence[str]
) -> ErrorAgreement:
    """Compare the errors of two readings of one line; all arguments are token sequences."""
    return agreement_at(reference, written_at(reference, first), written_at(reference, second))


def agreement_at(
    reference: Sequence[str], first: Sequence[str], second: Sequence[str]
) -> ErrorAgreement:
    """The same of what two readings hold at each reference token (`written_at`)."""
    if first == second:
        wrong = sum(map(ne, reference, first))
        return ErrorAgreement(len(reference), wrong, wrong, wrong, wrong)
    both = [(x, y) for r, x, y in zip(reference, first, second, strict=True) if x != r and y != r]
    return ErrorAgreement(
        len(reference),
        sum(map(ne, reference, first)),
        sum(map(ne, reference, second)),
        len(both),
        sum(x == y for x, y in both),
    )
