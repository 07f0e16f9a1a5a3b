"""Lists as voices that judge whole texts: one list of names, one voice, one fitted weight; and one
voice for the words of the language."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from ensemble_htr.lexicon.keys import keys
from ensemble_htr.lexicon.lexicon import Lexicon, Match, NameList
from ensemble_htr.names import name_words

__all__ = ["NameVoice", "WordVoice", "evidence", "share_of", "worth"]

_LETTER = 2.8  # nats that a letter of any word needs: the entropy of French letters
_EDIT = 4.0  # nats that an edit takes off
CAP = 4.0  # nats: what one word can do at most


def evidence(word: str, match: Match) -> float:
    """How much likelier ``word`` is as this entry than as any letters, in nats within [0, CAP]:
    its share of the list against its letters' entropy, less what the edits cost. So a rare short
    name says nothing, and a word in no list is not held against a text."""
    letters = sum(map(str.isalpha, word))
    return max(0.0, min(CAP, match.log_prior + _LETTER * letters) - _EDIT * match.distance)


@dataclass
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
        return [sum(map(self._word, _names(text))) for text in texts]

    def _word(self, text: str) -> float:
        return max((evidence(text, match) for match in self.lexicon.lookup(text)), default=0.0)


@lru_cache(maxsize=8192)
def _names(text: tuple[str, ...]) -> tuple[str, ...]:
    """The names in a text, which every list is asked about."""
    return tuple(word.text for word in name_words(text))


_WORD = re.compile(r"[^\W\d_]+")
_RARE = 2.2  # nats a letter: a word this improbable for its length is neither likely nor unlikely
_LIKELY, _UNLIKELY = 4.0, -1.0  # what a known word can do
_LENGTH = 8  # letters of an unknown word that count
_KNOWN_NAME = 0.5  # the part of them that counts where a list of names has it
_CAPITAL = 0.3  # the part of its frequency that a word keeps which stands with a capital


@dataclass
class WordVoice:
    """A `protocols.TextVoice` that knows the words of a language: a known word speaks for a text by
    its frequency, one that is in no list against it by its letters (half of them where a list of
    names has it). Accents and case count (``a`` is not ``à``); a capital is allowed to any word."""

    words: NameList
    names: Sequence[NameList] = ()
    name: str = "words"
    _known: dict[str, float] = field(default_factory=dict, repr=False)

    def speak(self, texts: Sequence[tuple[str, ...]]) -> list[float]:
        """For each text of tokens the sum over its words."""
        return [sum(map(self._word, _WORD.findall("".join(text)))) for text in texts]

    def _word(self, word: str) -> float:
        found = self._known.get(word)
        if found is None:
            if len(self._known) > 1 << 16:
                self._known.clear()
            found = self._known[word] = self._asked(word)
        return found

    def _asked(self, word: str) -> float:
        key = "".join(keys(word)[:1])
        share = self._share(key, word)
        named = word[0].isupper() and any(each.find(key) is not None for each in self.names)
        return worth(word, share, named)

    def _share(self, key: str, word: str) -> float:
        """Of all words, those that are spelled so."""
        number = self.words.find(key)
        if number is None:
            return 0.0
        spelled = {m.entry: math.exp(m.log_prior) for m in self.words.matches(number, 0.0, 64)}
        return share_of(spelled, word)


def share_of(spelled: Mapping[str, float], word: str) -> float:
    """The share of a word among all words, of which ``spelled`` has those spelled alike."""
    if not word[0].isupper():
        return spelled.get(word, 0.0)
    small = max(spelled.get(word.lower(), 0.0), spelled.get(word.lower().capitalize(), 0.0))
    return max(spelled.get(word, 0.0), _CAPITAL * small)


def worth(word: str, share: float, named: bool) -> float:
    """What a word says for a text: known by its ``share`` of all words, or not."""
    if share > 0:
        return max(_UNLIKELY, min(_LIKELY, 0.5 * (math.log(share) + _RARE * len(word))))
    return -min(_LENGTH, len(word)) * (_KNOWN_NAME if named else 1.0)
