"""Keys: what spellings of one name have in common.

Case, accents, ligatures, hyphens, apostrophes and blanks fall away, ``St`` is ``Saint``, and a
preposition before a name (``de``, ``du``, ``des``, ``d'``) is dropped. An article is part of some
names (``Le Blanc`` is ``Leblanc``) and not of others (``le Havre``): such an entry has two keys.
"""

from __future__ import annotations

import functools
import re
import unicodedata

__all__ = ["MOST", "keys"]

MOST = 64  # characters of a key; longer ones are cut
_PREPOSITIONS = frozenset(("d", "de", "du", "des"))
_ARTICLES = frozenset(("l", "la", "le", "les"))
_ABBREVIATED = {"st": "saint", "ste": "sainte", "sts": "saints"}
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d"})
_BREAK = re.compile(r"[\W_]+")


@functools.lru_cache(maxsize=1 << 15)
def keys(text: str) -> tuple[str, ...]:
    """The keys of a spelling, the main one first; none if it holds neither letter nor digit."""
    folded = unicodedata.normalize("NFD", text.casefold().translate(_LIGATURES))
    plain = "".join(char for char in folded if not unicodedata.category(char).startswith("M"))
    parts = [_ABBREVIATED.get(part, part) for part in _BREAK.sub(" ", plain).split()]
    while len(parts) > 1 and parts[0] in _PREPOSITIONS:
        del parts[0]
    if not parts:
        return ()
    found = ["".join(parts)[:MOST]]
    if len(parts) > 1 and parts[0] in _ARTICLES:
        found.append("".join(parts[1:])[:MOST])
    return tuple(found)
