"""The word reader: pyctcdecode behind the `Decoder` protocol, with a word model and hotwords.

It asks its language model only where a word ends, so it errs in another way than our character
beam: readings of another kind, and a cross-check of ours. pyctcdecode searches; what a word is
worth we say ourselves (`_Voice`, in the place of the library's own language model), because the
library tries each hotword at each step (a thousand make it ten times slower), punishes every word
that it does not know alike, numbers included, and misses words whose back-off weight is 0.

The library collapses double spaces and strips the ends of a line. Optional: extra
``[pyctcdecode]``; its metadata asks for NumPy below 2, its code does not.
"""

from __future__ import annotations

import importlib
import logging
import string
import unicodedata
from bisect import bisect_left
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ensemble_htr.decode._posteriors import Span, checked
from ensemble_htr.decode.forced import ctc_align
from ensemble_htr.errors import InputError, MissingDependencyError
from ensemble_htr.protocols import LanguageModel
from ensemble_htr.text import graphemes, has_letter
from ensemble_htr.types import Hypothesis, Posteriors

__all__ = ["PyctcDecoder", "WordOptions"]

# The library takes these symbols for spaces or word-piece marks; they travel under a private name.
_MISREAD = {"|": "\ue000", "▁": "\ue001", "_": "\ue002", "⁇": "\ue003"}
_RESTORED = str.maketrans({private: symbol for symbol, private in _MISREAD.items()})
_MARKS = string.punctuation + "«»“”„–—…"


@dataclass(frozen=True, slots=True)
class WordOptions:
    """The word reader (strict: fits a TOML table). Products are named here and loaded elsewhere.

    A word adds ``alpha * log p + beta``; one that neither the model nor a lexicon knows also
    ``unknown`` per character, a hotword ``weight``; one that holds a digit adds nothing.
    """

    on: bool = False
    lm: str = ""  # word n-gram on the shelf of language models; "" = none
    hotwords: tuple[str, ...] = ()  # files of lines "entry<TAB>weight" in the model's folder
    most: int = 300  # entries taken of each file, the heaviest
    alpha: float = 0.2  # weight of the word model's natural-log probabilities
    beta: float = 1.0  # nats per word
    unknown: float = -1.0  # nats per character of an unknown word, 0 or less
    weight: float = 1.5  # nats per hotword
    beam: int = 32  # prefixes kept after each frame
    n_best: int = 4  # readings that join the network

    def __post_init__(self) -> None:
        for name, good, wanted in (
            ("on", not self.on or bool(self.lm or self.hotwords), "only with lm or hotwords"),
            ("most", 1 <= self.most <= 1_000_000, "1 to 1000000"),
            ("alpha", 0 <= self.alpha <= 10, "0 to 10"),
            ("beta", abs(self.beta) <= 50, "between -50 and 50"),
            ("unknown", -50 <= self.unknown <= 0, "between -50 and 0"),
            ("weight", 0 <= self.weight <= 50, "0 to 50"),
            ("n_best", 1 <= self.n_best <= self.beam <= 1000, "1 <= n_best <= beam <= 1000"),
        ):
            if not good:
                raise ValueError(f"words: {name} is {getattr(self, name)}, wanted {wanted}")


class PyctcDecoder:
    """Decodes with pyctcdecode, once built for each alphabet that it meets.

    ``lm`` is a word model and ``words`` its vocabulary; without ``lm`` a word of ``words`` costs
    nothing. ``hotwords`` are matched without punctuation, elision (``d'``) and accents. Raises
    `MissingDependencyError` where the library is not installed.
    """

    def __init__(
        self,
        lm: LanguageModel | None = None,
        words: Collection[str] = (),
        hotwords: Collection[str] = (),
        options: WordOptions | None = None,
        source: str = "pyctcdecode",
    ) -> None:
        self.source = source
        self.options = options or WordOptions()
        self._library = _library()
        self._voice = _Voice(lm, words, hotwords, self.options) if lm or words or hotwords else None
        self._decoders: dict[tuple[str, ...], Any] = {}

    def decode(self, posteriors: Posteriors, n_best: int = 1) -> list[Hypothesis]:
        """Distinct texts, best first; ``score`` is the library's (CTC and words together).

        Log-probabilities and spans come from our own forced alignment, and are None where the
        text cannot be aligned. Raises `InputError` if the posteriors hold NaN.
        """
        logp = checked(posteriors)
        if not len(logp):
            return [self._hypothesis(posteriors, "", 0.0)]
        beams = self._decoder(posteriors.alphabet).decode_beams(
            np.maximum(logp, -100.0),  # it cannot take -inf
            beam_width=max(self.options.beam, n_best),
        )
        scores: dict[str, float] = {}
        for text, *_, score in beams:
            scores.setdefault(text.translate(_RESTORED), float(score))
        ranked = sorted(scores.items(), key=lambda item: -item[1])[:n_best]
        return [self._hypothesis(posteriors, text, score) for text, score in ranked]

    def worth(self, text: str) -> float:
        """Nats that the words of ``text`` add to its CTC score."""
        if self._voice is None:
            return 0.0
        state, total, words = self._voice.get_start_state(), 0.0, text.split() or [""]
        for number, word in enumerate(words, start=1):
            added, state = self._voice.score(state, word, number == len(words))
            total += added
        return total

    def _decoder(self, alphabet: tuple[str, ...]) -> Any:
        if alphabet not in self._decoders:
            labels = ["", *(_MISREAD.get(symbol, symbol) for symbol in alphabet)]
            symbols = self._library.Alphabet.build_alphabet(labels)
            self._decoders[alphabet] = self._library.BeamSearchDecoderCTC(symbols, self._voice)
        return self._decoders[alphabet]

    def _hypothesis(self, posteriors: Posteriors, text: str, score: float) -> Hypothesis:
        tokens = graphemes(text)
        logprobs: tuple[float, ...] | None
        spans: tuple[Span, ...] | None
        try:
            logprobs, spans = ctc_align(posteriors, tokens)
        except InputError:
            logprobs = spans = None
        return Hypothesis(self.source, tokens, logprobs, spans, score, lm=self._voice is not None)


class _Voice:
    """What words are worth, in nats: the methods that pyctcdecode asks of a language model."""

    order = 3

    def __init__(
        self,
        lm: LanguageModel | None,
        words: Collection[str],
        hotwords: Collection[str],
        options: WordOptions,
    ) -> None:
        self._lm, self._options = lm, options
        entries = [_folded(part) for entry in hotwords for part in entry.split()]
        self._hot = frozenset(part for part in entries if has_letter(part))
        self._words = frozenset(words)
        # Sorted, so that the words that begin like a part are neighbours.
        self._sorted = sorted({_folded(word) for word in words} | self._hot)

    def get_start_state(self) -> Hashable:
        return self._lm.start() if self._lm is not None else None

    def score(self, state: Hashable, word: str, is_last_word: bool = False) -> tuple[float, Any]:
        """A whole word (empty: a blank at the end of the line), and the state after it."""
        total = 0.0
        if word:
            word = word.translate(_RESTORED)
            logp = 0.0
            if self._lm is not None:
                logp, state = self._lm.score(state, word)
            if not _numeric(word):
                total = self._options.alpha * logp + self._options.beta
                total += self._extra(word, is_last_word)
        if is_last_word and self._lm is not None:
            total += self._options.alpha * self._lm.end(state)
        return total, state

    def score_partial_token(self, part: str) -> float:
        """The beginning of a word: what it will cost at least if no known word begins so."""
        part = part.translate(_RESTORED)
        free = _numeric(part) or not has_letter(part) or self._begins(part)
        return 0.0 if free else self._options.unknown * len(part)

    def _extra(self, word: str, last: bool) -> float:
        core = _core(word)
        if _folded(core) in self._hot:
            return self._options.weight
        known = word in self._words or core in self._words or not has_letter(word)
        if known or (last and self._begins(core)):  # the rest stands on the next line
            return 0.0
        return self._options.unknown * len(word)

    def _begins(self, part: str) -> bool:
        """Whether a known word begins like ``part``."""
        for begun in dict.fromkeys((part, part.lstrip(_MARKS), _core(part))):
            folded = _folded(begun)
            at = bisect_left(self._sorted, folded)
            if at < len(self._sorted) and self._sorted[at].startswith(folded):
                return True
        return False


def _numeric(word: str) -> bool:
    return any(unicodedata.category(char).startswith("N") for char in word)


def _core(word: str) -> str:
    """The word without punctuation at its ends and without elision."""
    return word.strip(_MARKS).rpartition("'")[2]


def _folded(word: str) -> str:
    """Without accents (lists of names often have none), case kept."""
    if word.isascii():
        return word
    plain = unicodedata.normalize("NFD", word)
    return "".join(char for char in plain if unicodedata.category(char) != "Mn")


def _library() -> Any:
    """Import pyctcdecode without its chatter on stderr."""
    logging.getLogger("pyctcdecode").setLevel(logging.ERROR)
    try:
        return importlib.import_module("pyctcdecode")
    except ImportError:
        library = "pyctcdecode (with NumPy 2:  pip install --no-deps pyctcdecode pygtrie)"
        raise MissingDependencyError(library, "pyctcdecode", "the word reader") from None
