"""Words and names: which of them a system reads whole, or nearly."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ensemble_htr.lexicon import read_entries
from ensemble_htr.names import EDGES, bare, name_words, words_of

__all__ = [
    "NEAR",
    "WORD_KINDS",
    "WordAccuracy",
    "WordTally",
    "word_faults",
    "read_lexicon",
    "word_core",
    "word_kinds",
]

NEAR = (1, 2)  # edits within which a word counts as nearly right
WORD_KINDS = ("all", "capitalised", "names", "in lexicon", "out of lexicon", "digits", "dates")

_NUMERIC_DATE = re.compile(r"\d{1,2}[/.\-]\d{1,2}[/.\-]\d{2,4}")
_YEAR = re.compile(r"(?:1\d|20)\d\d")
_MONTH = re.compile(
    r"janv(?:ier)?|f[ée]v(?:r(?:ier)?)?|mars|avr(?:il)?|mai|juin|juil(?:let)?|ao[uû]t|"
    r"sept(?:embre)?|oct(?:obre)?|nov(?:embre)?|d[ée]c(?:embre)?|(?:7|8|9|10|x)\^?b(?:re|er)|"
    r"january|february|march|april|may|june|july|august|september|october|november|december",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class WordAccuracy:
    """Additive: words of a kind, those read exactly, and within each number of edits of `NEAR`."""

    words: int
    exact: int
    near: tuple[int, ...]

    @property
    def rate(self) -> float:
        """Share read exactly; 0 where there is no word of the kind."""
        return self.exact / max(1, self.words)


@dataclass(slots=True)
class WordTally:
    """Adds up `WordAccuracy` over lines."""

    found: dict[str, list[int]] = field(default_factory=dict)

    def add(self, pairs: Sequence[tuple[str, str]], kinds: Sequence[Sequence[str]]) -> None:
        """``pairs`` align a line, ``kinds`` are those of its words in order (`word_kinds`).

        A word holds all edits between the blanks around it; a blank that was misread is an edit
        of both of its neighbours, so that a word glued to what was read beside it is not right.
        """
        for faults, of in zip(word_faults(pairs), kinds, strict=True):
            for kind in of:
                row = self.found.setdefault(kind, [0, 0, *(0 for _ in NEAR)])
                row[0] += 1
                row[1] += faults == 0
                for i, most in enumerate(NEAR, start=2):
                    row[i] += faults <= most

    def accuracies(self) -> dict[str, WordAccuracy]:
        """By kind, in the order of `WORD_KINDS`."""
        rows = {kind: self.found[kind] for kind in WORD_KINDS if kind in self.found}
        return {kind: WordAccuracy(r[0], r[1], tuple(r[2:])) for kind, r in rows.items()}


def word_kinds(tokens: Sequence[str], lexicon: Collection[str] = ()) -> list[tuple[str, ...]]:
    """For each word of a reference, which of `WORD_KINDS` it is.

    ``lexicon`` has words as `word_core` gives them; without one no word is in or out of it.
    """
    starts = {name.start for name in name_words(tokens)}
    words = words_of(tokens)
    dates = _dates([word for word, _, _ in words])
    found = []
    for (word, start, stop), date in zip(words, dates, strict=True):
        kinds = ["all"]
        core = word.strip(EDGES)
        if core[:1].isupper():
            kinds.append("capitalised")
        if not starts.isdisjoint(range(start, stop)):
            kinds.append("names")
        letters = word_core(word)
        if lexicon and letters.isalpha():
            kinds.append("in lexicon" if letters in lexicon else "out of lexicon")
        if any(map(str.isdigit, word)):
            kinds.append("digits")
        if date:
            kinds.append("dates")
        found.append(tuple(kinds))
    return found


def read_lexicon(paths: Iterable[Path]) -> frozenset[str]:
    """The words of lists as `lexicon.read_entries` reads them (text, TSV, CSV); raises so."""
    entries = itertools.chain.from_iterable(map(read_entries, paths))
    found = {word_core(word) for entry in entries for word in entry.split()}
    return frozenset(found - {""})


def word_core(word: str) -> str:
    """A word as lexicons hold it: without signs round it, elision and capitals."""
    return bare(word).casefold()


def _dates(words: Sequence[str]) -> list[bool]:
    """Dates in figures, years, and months with the numbers beside them."""
    cores = [word.strip(EDGES) for word in words]
    found = [bool(_NUMERIC_DATE.fullmatch(c) or _YEAR.fullmatch(c)) for c in cores]
    for place, core in enumerate(cores):
        if not _MONTH.fullmatch(core):
            continue
        beside = [
            i for i in (place - 1, place + 1) if 0 <= i < len(cores) and cores[i][:1].isdigit()
        ]
        for i in (place, *beside) if beside else ():
            found[i] = True
    return found


def word_faults(pairs: Sequence[tuple[str, str]]) -> Iterator[int]:
    """Edits of each word of the reference. A blank that was left out glues only what was read."""
    parts: list[tuple[bool, int, bool]] = []  # a word? its edits, was anything read
    blanks: list[int] = []  # after each part: right, misread, left out
    word, edits, read = False, 0, False
    for wanted, found in (*pairs, (" ", " ")):
        if wanted.isspace() and wanted:
            parts.append((word, edits, read))
            blanks.append(0 if wanted == found else 1 if found else 2)
            word, edits, read = False, 0, False
        else:
            word, edits, read = word or bool(wanted), edits + (wanted != found), read or bool(found)

    def fault(blank: int, beside: int) -> int:
        return int(blank == 1 or (blank == 2 and parts[beside][2]))

    for place, (word, edits, _) in enumerate(parts):
        if word:
            before = fault(blanks[place - 1], place - 1) if place else 0
            after = fault(blanks[place], place + 1) if place + 1 < len(parts) else 0
            yield edits + before + after
