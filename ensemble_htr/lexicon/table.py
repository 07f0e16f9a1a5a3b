"""All words and names that a lexicon knows, as one sorted table for a search that spells."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ensemble_htr.assets import cache_folder
from ensemble_htr.errors import OutputError
from ensemble_htr.files import atomic_stream
from ensemble_htr.lexicon.lexicon import NameList
from ensemble_htr.lexicon.voice import share_of, worth
from ensemble_htr.types import WordTable

__all__ = ["word_table"]

_FORM = 1  # of the copy in the cache
_LETTERS = re.compile(r"[^\W\d_]+")


def word_table(words: Sequence[NameList], names: Sequence[NameList]) -> WordTable:
    """The table of the lists of ``words`` and of ``names``, each word with what `WordVoice` says of
    it; kept in the user's cache, named by what the lists hold."""
    digest = hashlib.blake2b(repr((_FORM, len(words))).encode(), digest_size=32)
    for each in (*words, *names):
        digest.update(each.arrays["entry_text"].tobytes() + each.arrays["count"].tobytes())
    try:
        kept = cache_folder() / f"{digest.hexdigest()}.words.npz"
    except (OSError, RuntimeError):
        return _made(words, names)
    table = _kept(kept)
    if table is None:
        table = _made(words, names)
        try:
            with atomic_stream(kept) as file:
                np.savez(file, **table._asdict())
        except (OSError, OutputError):  # nowhere to keep it
            pass
    return table


def _kept(path: Path) -> WordTable | None:
    """What the cache holds; None if that is no table."""
    try:
        with np.load(path, allow_pickle=False) as file:
            table = WordTable(file["text"], file["start"], file["value"])
    except (OSError, ValueError, KeyError, EOFError):
        return None
    text, start, value = table
    if [a.dtype.str for a in (text, start, value)] != ["<i4", "<i8", "<f8"]:
        return None
    if not text.ndim == start.ndim == value.ndim == 1:
        return None
    fits = len(start) == len(value) + 1 and start[0] == 0 and start[-1] == len(text)
    return table if fits and (np.diff(start) > 0).all() else None


def _made(words: Sequence[NameList], names: Sequence[NameList]) -> WordTable:
    known: dict[str, float] = {}
    for each in words:
        known |= {entry: share for entry, share in each.entries() if _LETTERS.fullmatch(entry)}
    spellings = {s for word in known for s in (word, word[0].upper() + word[1:])}
    called: set[str] = set()
    for each in names:
        for entry, _ in each.entries():
            called |= {part.title() for part in _LETTERS.findall(entry)}
    every = sorted(spellings | called)
    worths = [worth(w, share_of(known, w), w in called) for w in every]
    return WordTable(_codes("".join(every)), _places(every), np.array(worths, np.float64))


def _codes(text: str) -> NDArray[np.int32]:
    return np.frombuffer(text.encode("utf-32-le"), np.int32)


def _places(texts: Sequence[str]) -> NDArray[np.int64]:
    return np.cumsum([0, *map(len, texts)], dtype=np.int64)
