"""What is collected of one system while its lines pass by, each aligned once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ensemble_htr.evaluate.confidences import ConfidenceTally
from ensemble_htr.evaluate.report import Confusion, LineScore, Spread
from ensemble_htr.evaluate.words import WordTally
from ensemble_htr.io.records import Record
from ensemble_htr.metrics import SLIP_KINDS, Corrections, Counts, SlipKind, slips
from ensemble_htr.text import Profile

__all__ = ["CATASTROPHIC", "Aligned", "Tally", "spread_of"]

CATASTROPHIC = 0.5  # CER from which on a reading is of no use
_CONFUSIONS = 100  # kept of a system


@dataclass(frozen=True, slots=True)
class Aligned:
    """A line of a system with its alignment to the reference, in tokens of the profile."""

    score: LineScore
    pairs: Sequence[tuple[str, str]]
    record: Record | None


@dataclass(slots=True)
class Tally:
    """Accumulates the scored lines of one system."""

    profile: Profile
    slips: Counter[SlipKind] = field(default_factory=Counter)
    confused: Counter[tuple[str, str, SlipKind]] = field(default_factory=Counter)
    words: WordTally = field(default_factory=WordTally)
    confidences: ConfidenceTally = field(init=False)
    corrections: dict[str, Corrections] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.confidences = ConfidenceTally(self.profile)

    def add(self, line: Aligned, kinds: Sequence[Sequence[str]]) -> None:
        """``kinds`` are those of the reference's words (`word_kinds`)."""
        self.words.add(line.pairs, kinds)
        self.confidences.add(line.pairs, line.record)
        if line.score.characters.edits == 0:
            return
        for slip in slips(line.pairs):
            self.slips[slip.kind] += slip.edits
            if not slip.kind.startswith("line "):
                self.confused[slip.wanted, slip.read, slip.kind] += 1

    def compare(self, name: str, counts: Corrections) -> None:
        self.corrections[name] = self.corrections.get(name, Corrections()) + counts

    def by_kind(self) -> dict[SlipKind, int]:
        """Edits of every kind of slip, none left out."""
        return {kind: self.slips[kind] for kind in SLIP_KINDS}

    def confusions(self) -> tuple[Confusion, ...]:
        """The most frequent, equal ones in the order of their signs."""
        ranked = sorted(self.confused.items(), key=lambda item: (-item[1], item[0]))
        return tuple(Confusion(*what, times) for what, times in ranked[:_CONFUSIONS])


def spread_of(lines: Sequence[Counts], documents: Sequence[Counts], profile: Profile) -> Spread:
    """How the errors lie over lines and documents (counts of characters, or of words); lines
    without a reference have no rate of their own and count in none of these."""
    edits = np.array([c.edits for c in lines], dtype=np.float64)
    length = np.array([c.over(profile.denominator) for c in lines], dtype=np.float64)
    has = np.array([c.reference > 0 for c in lines], dtype=bool)
    if not has.any():
        return Spread(0.0, 0.0, 0.0, 0.0, 0.0)
    rates = edits[has] / length[has]
    of_documents = [c.edits / c.over(profile.denominator) for c in documents if c.reference]
    return Spread(
        macro_lines=float(rates.mean()),
        macro_documents=float(np.mean(of_documents)),
        median=float(np.median(rates)),
        capped=float(np.minimum(edits[has], length[has]).sum() / length[has].sum()),
        catastrophic=float((rates >= CATASTROPHIC).mean()),
    )
