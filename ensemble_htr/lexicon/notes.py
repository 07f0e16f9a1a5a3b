"""What the lists say of the names of a reading: which list, how near, how sure, what else."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ensemble_htr.lexicon.lexicon import Lexicon, Match
from ensemble_htr.names import name_words
from ensemble_htr.types import Reading

__all__ = ["NameNote", "explain_names"]


@dataclass(frozen=True, slots=True)
class NameNote:
    """A word that looks like a name; ``start``/``stop`` index the reading's tokens."""

    text: str
    start: int
    stop: int
    confidence: float  # of its letters: the least
    match: Match | None  # the likeliest entry, None if no list has it or one near
    others: tuple[Match, ...]  # what else it could be, the likeliest first

    def as_row(self) -> dict[str, object]:
        """As plain JSON."""
        return {
            "text": self.text,
            "confidence": round(self.confidence, 4),
            "list": self.match.list if self.match else None,
            "entry": self.match.entry if self.match else None,
            "distance": round(self.match.distance, 3) if self.match else None,
            "others": [{"entry": m.entry, "list": m.list, "distance": round(m.distance, 3)}
                       for m in self.others],
        }  # fmt: skip


def explain_names(reading: Reading, lexicon: Lexicon, most: int = 5) -> tuple[NameNote, ...]:
    """A note for each word of ``reading`` that looks like a name. It reads; it changes nothing."""
    notes = []
    for word in name_words(reading.tokens):
        found = lexicon.lookup(word.text, most)
        sure = min(reading.confidences[word.start : word.stop], default=math.nan)
        notes.append(
            NameNote(word.text, word.start, word.stop, sure, found[0] if found else None, found[1:])
        )
    return tuple(notes)
