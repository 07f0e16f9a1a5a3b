"""Lists from a few texts of one's own: counted words, names, and both joined to lists at hand."""

from __future__ import annotations

import lzma
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from ensemble_htr.files import atomic_write
from ensemble_htr.lexicon.lists import read_entries
from ensemble_htr.lexicon.shelf import SUFFIX
from ensemble_htr.names import name_words
from ensemble_htr.text import graphemes

__all__ = ["adapt_lists", "count_words", "write_lists"]

OWN = "own"  # the list of names of one's own lines
SHARE = 0.1  # of all counted words that few texts of one's own are worth beside a language's


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Words (runs of letters and their combining marks, as written) and how often they occur."""
    found: Counter[str] = Counter()
    for text in texts:
        found.update("".join(word) for word in _words(text))
    return found


def _words(text: str) -> Iterable[list[str]]:
    word: list[str] = []
    for token in (*graphemes(text), " "):
        if token[0].isalpha():
            word.append(token)
        elif word:
            yield word
            word = []


def adapt_lists(base: Mapping[str, Path], texts: Iterable[str], out: Path) -> dict[str, int]:
    """Write the lists ``base`` with the words of ``texts`` joined to its ``words``, and the names
    in them as a list `OWN`, into the folder ``out``; how many entries are new in each.

    Raises `InputError` for a list that cannot be read, `OutputError` where ``out`` cannot be
    written.
    """
    texts = list(texts)
    lists = {name: read_entries(path) for name, path in base.items()}
    counted, words = count_words(texts), lists.get("words", {})
    weight = SHARE * sum(words.values()) / max(1, counted.total()) if words else 1.0
    new = {"words": len(counted.keys() - words.keys())}
    merged = dict(words)
    for word, times in counted.items():
        merged[word] = merged.get(word, 0.0) + times * max(1.0, weight)
    lists["words"] = merged
    names = Counter(name.text for text in texts for name in name_words(graphemes(text)))
    if names:
        mine = {**lists.get(OWN, {})}
        for name, times in names.items():
            mine[name] = mine.get(name, 0.0) + times
        lists[OWN], new[OWN] = mine, len(names)
    write_lists(lists, out)
    return new


def write_lists(lists: Mapping[str, Mapping[str, float]], out: Path) -> None:
    """Write lists as a lexicon's folder holds them (``NAME.tsv.xz``); empty ones are left out."""
    for name, entries in lists.items():
        rows = "".join(f"{entry}\t{count:g}\n" for entry, count in sorted(entries.items()))
        if rows:
            atomic_write(out / f"{name}{SUFFIX}", lzma.compress(rows.encode(), preset=6))
