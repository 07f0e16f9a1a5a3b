"""Words of a text, and which of them look like names. Rules of thumb, in one place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ensemble_htr.text import graphemes

__all__ = ["EDGES", "NameWord", "bare", "name_words", "words_of"]

_ELISION = re.compile(r"^(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu)['’](?=.)", re.IGNORECASE)
EDGES = "\"'’.,;:!?()[]{}<>«»„“”*_~=+-–—/\\|^°"
_RUN = re.compile(r"(.)\1\1")
_TITLES = frozenset("m mm mr mrs mgr mme mlle melle dr me monsieur madame mademoiselle messieurs "
                    "sieur dame veuve maître st ste saint sainte".split())  # fmt: skip
_SHORTEST = 3


@dataclass(frozen=True, slots=True)
class NameWord:
    """A word that looks like a name; ``start``/``stop`` index the tokens of its text."""

    text: str
    start: int
    stop: int


def name_words(tokens: Sequence[str]) -> tuple[NameWord, ...]:
    """The words that begin with a capital (after an elision: ``d'Estrées``), have three letters or
    more, no digit and no letter three times in a row. The first word of a sentence has its capital
    from there: it counts only if the next word looks like a name too."""
    found: list[NameWord] = []
    opens = True  # a sentence begins
    waiting: NameWord | None = None
    for raw, start, _ in words_of(tokens):
        name = _name(raw, start)
        core = raw.strip(EDGES)
        if waiting is not None and name is not None and _follows(waiting, start):
            found.append(waiting)
        waiting = None
        if name is not None:
            if opens:
                waiting = name
            else:
                found.append(name)
        abbreviated = len(core) <= 2 or _is_title(core)
        opens = raw[-1] in ".!?" and not abbreviated
    return tuple(sorted(found, key=lambda word: word.start))


def _follows(first: NameWord, start: int) -> bool:
    """Whether a word at ``start`` follows ``first`` with nothing but a blank between."""
    return start == first.stop + 1


def words_of(tokens: Sequence[str]) -> list[tuple[str, int, int]]:
    """Words with the index of their first token and of that after their last; a word has as many
    characters as tokens only without combining marks, so tokens are counted."""
    found: list[tuple[str, int, int]] = []
    begin: int | None = None
    for place, token in enumerate([*tokens, " "]):
        if token.isspace() or not token:
            if begin is not None:
                found.append(("".join(tokens[begin:place]), begin, place))
            begin = None
        elif begin is None:
            begin = place
    return found


def bare(word: str) -> str:
    """A word without the signs around it and what is elided before it: ``l'Étang,`` is Étang."""
    return _ELISION.sub("", word.strip(EDGES))


def _is_title(word: str) -> bool:
    """``M^me`` is one as ``Mme`` is."""
    return word.replace("^", "").casefold() in _TITLES


def _name(raw: str, start: int) -> NameWord | None:
    found = _named(raw)
    if found is None:
        return None
    core, before, length = found
    return NameWord(core, start + before, start + before + length)


@lru_cache(maxsize=16384)
def _named(raw: str) -> tuple[str, int, int] | None:
    """The name in a word, how many tokens stand before it there and how many it has."""
    left = len(raw) - len(raw.lstrip(EDGES))
    core = raw.strip(EDGES)
    if (elided := _ELISION.match(core)) and core[elided.end()].isupper():
        left += elided.end()
        core = core[elided.end() :]
    if not core[:1].isupper() or _RUN.search(core) or _is_title(core):
        return None
    if sum(map(str.isalpha, core)) < _SHORTEST or any(map(str.isdigit, core)):
        return None
    return core, len(graphemes(raw[:left])), len(graphemes(core))
