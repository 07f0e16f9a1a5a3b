"""Words: lines as words, a bounded vocabulary, the words of a finished model, lexicons.

A word is what stands between blanks, punctuation included ("Paris," is not "Paris"): a decoder that
asks a word model asks it exactly there. Words outside the vocabulary are one token, ``<unk>``,
which is estimated like any other (as in SRILM's open vocabularies).
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ensemble_htr.errors import AssetError
from ensemble_htr.lm.arpa import read_words
from ensemble_htr.lm.loading import load, opened
from ensemble_htr.lm.symbols import SPECIALS
from ensemble_htr.protocols import LanguageModel
from ensemble_htr.text import graphemes

__all__ = ["bounded", "gather", "heaviest", "split", "words_of"]

MAX_LEXICON = 64 << 20  # bytes of an unpacked lexicon

Tokens = tuple[str, ...]


def split(lines: Sequence[Tokens]) -> list[Tokens]:
    """Lines of characters as lines of words."""
    return [tuple("".join(line).split()) for line in lines]


def bounded(components: Mapping[str, Sequence[Tokens]], most: int) -> Tokens:
    """The three specials and the ``most`` frequent words (0 = all) in code point order.

    The frequency of a word is the sum of its shares in the components, so that the largest text
    does not choose alone. A word that is spelled like a special counts as ``<unk>``.
    """
    share: Counter[str] = Counter()
    for lines in components.values():
        counts = Counter(word for line in lines for word in line)
        total = max(1, counts.total())
        for word, count in counts.items():
            share[word] += count / total  # type: ignore[assignment]
    ranked = sorted(share.keys() - set(SPECIALS), key=lambda word: (-share[word], word))
    return SPECIALS + tuple(sorted(ranked[: most or None]))


def words_of(path: Path) -> Tokens:
    """The vocabulary of an ARPA file (plain or packed) without the specials, sorted. Raises
    `AssetError` for a file that is missing or no ARPA file."""
    if not path.is_file():
        raise AssetError(f"{path}: no such language model; wanted an .arpa, .arpa.xz or .arpa.gz")
    with opened(path) as file:
        return read_words(file, str(path))


def heaviest(path: Path, most: int) -> Tokens:
    """The ``most`` heaviest entries of a lexicon: lines ``entry<TAB>weight`` (no weight: 1), UTF-8,
    plain or packed (``.xz``, ``.gz``); of equal weights the first. Raises `AssetError`."""
    if not path.is_file():
        raise AssetError(f"{path}: no such lexicon; wanted lines  entry<TAB>weight")
    with opened(path) as file:
        data = file.read(MAX_LEXICON + 1)
    if len(data) > MAX_LEXICON:
        raise AssetError(f"{path}: more than {MAX_LEXICON >> 20} MiB; keep its heaviest entries")
    entries: dict[str, float] = {}
    try:
        rows = unicodedata.normalize("NFC", data.decode("utf-8-sig")).splitlines()
    except UnicodeDecodeError as error:
        raise AssetError(f"{path}: not UTF-8 (byte {error.start}); convert it first") from None
    for number, row in enumerate(rows, start=1):
        entry, _, weight = row.partition("\t")
        try:
            value = float(weight.split("\t")[0] or 1)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise AssetError(f"{path}: line {number}: '{weight[:20]}' is no weight")
        if entry := " ".join(entry.split()):
            entries[entry] = max(value, entries.get(entry, value))
    return tuple(sorted(entries, key=lambda entry: -entries[entry])[:most])


def gather(files: Mapping[str, Path], most: int) -> tuple[LanguageModel | None, Tokens, Tokens]:
    """What a word reader knows: the word model (the file called ``lm/...``, if any), its
    vocabulary, and the ``most`` heaviest entries of every other file, a lexicon each.

    Raises `AssetError` for files that cannot be used, a model of characters among them.
    """
    model = next((path for name, path in files.items() if name.startswith("lm/")), None)
    lexicons = [path for path in files.values() if path != model]
    hotwords = tuple(dict.fromkeys(w for path in lexicons for w in heaviest(path, most)))
    if model is None:
        return None, (), hotwords
    words = words_of(model)
    if all(len(graphemes(word)) == 1 for word in words):
        raise AssetError(
            f"{model}: a model of characters; the word reader wants one of words "
            "(ensemble-htr lm build --level word)"
        )
    return load(model), words, hotwords
