"""What it costs to put two tokens into one slot.

All costs are kept as integers in units of 1/64 of a gap-sized step, so that sums are exact and
ties are real ties: the alignment then cannot depend on the order of floating-point additions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from ensemble_htr.text import fold
from ensemble_htr.types import EPSILON

__all__ = ["UNIT", "AlignOptions", "Costs"]

UNIT = 64  # integer steps per cost of 1.0


@dataclass(frozen=True, slots=True)
class AlignOptions:
    """Costs and limits of the alignment; raises `ValueError` for a value that makes no sense.

    Costs are numbers >= 0 (resolution 1/64) between two rows in one slot; equal tokens cost 0.
    """

    gap: float = 1.0  # a token against nothing
    substitution: float = 1.0  # two tokens that have nothing in common
    space: float = 2.0  # a space against a token that is not one
    fold: float = 0.5  # tokens equal without case and accents (e/É)
    refine: int = 1  # leave-one-out refinement rounds over all rows
    temperature: float = 1.0  # divides n-best scores before the softmax; > 1 flattens
    exact_cells: int = 1000  # three rows: exact 3-D programme up to this many cells
    margin: int = 2  # tokens left and right of an alternative's changed middle that may move
    band: int = 128  # slots either side of the diagonal that a long line is first aligned in
    max_cells: int = 4_000_000  # cells of one dynamic programme (one byte each); caps its band
    quarantine: bool = True  # leave out engines that read another line altogether
    # folded tokens that engines take for one another, and the share (0 to 1) of a substitution that
    # they are spared; a merge (m/rn) is the pairs of its parts (m/r, m/n), see `learn_pairs`
    pairs: tuple[tuple[str, str, float], ...] = ()

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            if spec.name == "pairs":
                continue
            if not math.isfinite(value) or value < 0:
                raise ValueError(f"{spec.name} must be a finite number >= 0, found {value}")
        for name in ("gap", "temperature", "band", "max_cells"):
            if getattr(self, name) == 0:
                raise ValueError(f"{name} must be greater than 0")
        for a, b, share in self.pairs:
            if not 0 <= share <= 1 or fold(a) == fold(b) or not a.strip() or not b.strip():
                raise ValueError(
                    f"pairs: wanted two letters that differ and a share in 0 to 1, "
                    f"found {(a, b, share)}"
                )


class Costs:
    """The options' costs as integers (see `UNIT`), and the cost of one pair of tokens."""

    __slots__ = ("fold", "gap", "partners", "space", "substitution")

    def __init__(self, options: AlignOptions) -> None:
        self.gap = max(1, round(options.gap * UNIT))
        self.substitution = round(options.substitution * UNIT)
        self.space = round(options.space * UNIT)
        self.fold = round(options.fold * UNIT)
        self.partners: dict[str, dict[str, int]] = {}  # fold -> fold -> what the pair is spared
        for a, b, share in options.pairs:
            for x, y in ((fold(a), fold(b)), (fold(b), fold(a))):
                self.partners.setdefault(x, {})[y] = round(share * self.substitution)

    def pair(self, a: str, b: str) -> int:
        """Cost of ``a`` against ``b`` in one slot; either may be EPSILON."""
        if a == b:
            return 0
        if a == EPSILON or b == EPSILON:
            return self.gap
        x, y = fold(a), fold(b)
        if x == y:
            return self.fold
        if a.isspace() != b.isspace():
            return self.space
        return self.substitution - self.partners.get(x, {}).get(y, 0)
