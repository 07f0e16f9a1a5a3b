"""Words and names: which of them a system reads whole, or nearly."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ensemble_htr.errors import InputError
from ensemble_htr.names import name_words

__all__ = [
    "NEAR",
    "WORD_KINDS",
    "WordAccuracy",
    "WordTally",
    "read_lexicon",
    "word_core",
    "word_kinds",
]

NEAR = (1, 2)  # edits within which a word counts as nearly right
WORD_KINDS = ("all", "capitalised", "names", "in lexicon", "out of lexicon", "digits", "dates")

_MOST = 256 << 20  # bytes of a list
_EDGES = "\"'’.,;:!?()[]{}<>«»„“”*_~=+-–—/\\|^°"
_ELISION = re.compile(r"^(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu)['’](?=.)", re.IGNORECASE)
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
        for faults, of in zip(_faults(pairs), kinds, strict=True):
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
    words = list(_words(tokens))
    dates = _dates([word for word, _, _ in words])
    found = []
    for (word, start, stop), date in zip(words, dates, strict=True):
        kinds = ["all"]
        core = word.strip(_EDGES)
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
    """The words of plain lists, one a line, UTF-8; what follows a tab is ignored.

    Raises `InputError` for a file that cannot be read, is not UTF-8 or larger than 256 MB.
    """
    found: set[str] = set()
    for path in paths:
        try:
            if path.stat().st_size > _MOST:
                raise InputError(f"{path}: larger than {_MOST >> 20} MB: too large for a lexicon")
            text = unicodedata.normalize("NFC", path.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: byte {error.start + 1} is not UTF-8") from None
        entries = (line.partition("\t")[0] for line in text.splitlines())
        found.update(word_core(word) for entry in entries for word in entry.split())
    return frozenset(found - {""})


def word_core(word: str) -> str:
    """A word as lexicons hold it: without signs round it, elision and capitals."""
    return _ELISION.sub("", word.strip(_EDGES)).casefold()


def _words(tokens: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    begin: int | None = None
    for place, token in enumerate((*tokens, " ")):
        if token.isspace():
            if begin is not None:
                yield "".join(tokens[begin:place]), begin, place
            begin = None
        elif begin is None:
            begin = place


def _dates(words: Sequence[str]) -> list[bool]:
    """Dates in figures, years, and months with the numbers beside them."""
    cores = [word.strip(_EDGES) for word in words]
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


def _faults(pairs: Sequence[tuple[str, str]]) -> Iterator[int]:
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
