"""A list of names as a voice: it judges whole texts, one list, one voice, one fitted weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ensemble_htr.lexicon.lexicon import Lexicon, Match
from ensemble_htr.names import name_words

__all__ = ["NameVoice", "evidence"]

_LETTER = 2.8  # nats that a letter of any word needs: the entropy of French letters
_EDIT = 4.0  # nats that an edit takes off
CAP = 4.0  # nats: what one word can do at most


def evidence(word: str, match: Match) -> float:
    """How much likelier ``word`` is as this entry than as any letters, in nats within [0, CAP]:
    its share of the list against its letters' entropy, less what the edits cost. So a rare short
    name says nothing, and a word in no list is not held against a text."""
    letters = sum(map(str.isalpha, word))
    return max(0.0, min(CAP, match.log_prior + _LETTER * letters) - _EDIT * match.distance)


@dataclass(frozen=True)
class NameVoice:
    """A `protocols.TextVoice`: the sum of `evidence` over the words of a text that look like names
    (see `names.name_words`, which leaves out digits, runs and short words)."""

    lexicon: Lexicon
    name: str = "names"

    @classmethod
    def each(cls, lexicon: Lexicon) -> tuple[NameVoice, ...]:
        """One voice a list, called ``names-LIST``."""
        return tuple(
            cls(Lexicon([one], lexicon.costs), f"names-{one.name}") for one in lexicon.lists
        )

    def speak(self, texts: Sequence[tuple[str, ...]]) -> list[float]:
        """For each text of tokens the sum over its names, 0 without any."""
        return [sum(self._word(word.text) for word in name_words(text)) for text in texts]

    def _word(self, text: str) -> float:
        return max((evidence(text, match) for match in self.lexicon.lookup(text)), default=0.0)
